"""The sub-command `drop`."""

import click

from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command, short_help='Give up files that wait or are parked.')
@options.names('NAME...', completion.files('new', 'parked'))
@options.several(options.SPOOL, options.REASON)
@options.flag('--yes', help='Do not ask.')
@command
def drop(console, zcml, *, names, reason, yes, spool=None):
    """Give up files that wait or are parked: they are not sent, and are no alarm.

    \b
    With --zcml: look into all spools that are exported.  With --spool: look into
    this one.
      zeit-cds --zcml cds.zcml drop a.xml --reason 'It was a test.'
      zeit-cds drop --spool /var/spool/cds --yes a.xml

    Their bytes are in parked, and "zeit-cds retry NAME" sends them after all;
    "retry --all" does not.  It never waits for a run.  What is delivered already
    is the business of "zeit-cds withdraw".

    \b
    Exit codes: 1 if there is no such file, 75 if it is being delivered at this
    moment, or you say no.
    """
    from zeit.cds.cli import file_actions

    spools = file_actions.exported(zcml, spool, names)
    return file_actions.drop(console, spools, names, reason, sure=yes)
