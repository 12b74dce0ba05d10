"""The sub-command `withdraw`."""

import click

from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command, short_help='Take files back, also from the server.')
@options.names('NAME...', completion.files('new', 'cur'))
@options.several(options.SPOOL, options.REASON)
@command
def withdraw(console, zcml, *, names, reason, spool=None):
    """Take files back that wait, or that were delivered.

    \b
    With --zcml: look into all spools that are exported.  With --spool: look into
    this one.
      zeit-cds --zcml cds.zcml withdraw a.xml --reason 'It was the wrong one.'
      zeit-cds withdraw --spool /var/spool/cds a.xml b.xml

    A file that waits leaves the spool at once; its bytes are in withdrawn.  The
    version before it may be on the server still: call this once more for that.

    A file that was delivered is deleted by the next run, under the lock, if the
    server still has what was sent, by size and SHA-256; anything else stays.
    "zeit-cds receipt NAME" then says what has become of it, and until then
    "zeit-cds retry --forget NAME" lets it stay.

    It never waits for a run.  The exit code is 1 if there is nothing to take
    back, and 75 if the file is being delivered at this moment.
    """
    from zeit.cds.cli import file_actions

    spools = file_actions.exported(zcml, spool, names)
    return file_actions.withdraw(console, spools, names, reason)
