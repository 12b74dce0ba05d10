"""The sub-commands of `zeit-cds`; each imports what it needs when it is called."""

import functools

import click

from zeit.cds import options


def command(function):
    """Let `function(console, zcml, ...)` run with console, log file and signals set up."""

    @options.several(*options.COMMON)
    @click.pass_context
    @functools.wraps(function)
    def call(context, **arguments):
        from zeit.cds.console import Console
        from zeit.cds.scope import alone

        common = context.obj
        console = Console(verbosity=common.verbosity, log_file=common.log_file)
        with alone():
            return console.run(functools.partial(function, console, common.zcml, **arguments))

    return call
