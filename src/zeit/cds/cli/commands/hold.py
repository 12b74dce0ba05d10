"""The sub-commands `hold` and `release`."""

import click

from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command)
@options.names('NAME... | --all', completion.files('new'))
@options.several(options.SPOOL)
@options.flag('--all', 'everything', help='Hold the whole spool, and what comes in.')
@options.several(options.REASON)
@command
def hold(console, zcml, *, names, everything, reason, spool=None):
    """Let files wait until you release them: no run sends them.

    \b
    With --zcml: look into all spools that are exported.  With --spool: look into
    this one.
      zeit-cds --zcml cds.zcml hold a.xml --reason 'Legal looks at it.'
      zeit-cds hold --spool /var/spool/cds --all

    It never waits for a run, and lasts until "zeit-cds release".  A file that is
    held need not be there yet.  If it is being sent at this moment, the run
    finds out and removes what it has sent.  The exit code is 75 if the server
    has all of it already: then it is delivered, and "zeit-cds withdraw" is next.

    What is held gets old, as all that waits: monitoring tells of it.
    """
    from zeit.cds.cli import file_actions

    spools = file_actions.exported(zcml, spool, names, everything)
    return file_actions.hold(console, spools, names, reason)


@click.command(cls=options.Command)
@options.names('NAME... | --all', completion.files('new'))
@options.several(options.SPOOL)
@options.flag('--all', 'everything', help='Release the whole spool; files held by name stay.')
@command
def release(console, zcml, *, names, everything, spool=None):
    """Let the next run send what was held.

    \b
    With --zcml: look into all spools that are exported.  With --spool: look into
    this one.
      zeit-cds --zcml cds.zcml release a.xml
      zeit-cds release --spool /var/spool/cds --all

    A file that was held by its name is released by its name, and the whole spool
    with --all; "zeit-cds status" shows what is held.  The exit code is 1 if it
    was not held.
    """
    from zeit.cds.cli import file_actions

    spools = file_actions.exported(zcml, spool, names, everything)
    return file_actions.release(console, spools, names)
