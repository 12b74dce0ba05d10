"""The sub-commands of `zeit-cds`; each imports what it needs when it is called."""

import functools

import click

from zeit.cds.cli import options


def command(function):
    """Let `function(console, zcml, ...)` run with console, log file and signals set up."""

    @options.several(*options.COMMON)
    @click.pass_context
    @functools.wraps(function)
    def call(context, **arguments):
        from zeit.cds.cli import configuration
        from zeit.cds.cli.console import Console
        from zeit.cds.scope import alone

        common = context.obj
        console = Console(verbosity=common.verbosity, log_file=common.log_file)
        zcml = configuration.path(
            common.zcml, spool=arguments.get('spool'), names=arguments.get('names', ())
        )
        with alone():
            return console.run(functools.partial(function, console, zcml, **arguments))

    return call
