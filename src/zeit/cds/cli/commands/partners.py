"""The sub-command `partners`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command, short_help='Show who gets the files of a spool.')
@options.names('[SPOOL]...', completion.spools)
@options.several(options.SPOOL)
@click.option(
    '--remove',
    metavar='PARTNER',
    help='Let nothing wait for this one any more.  Default: only show them.',
)
@options.flag('--yes', help='Do not ask.')
@command
def partners(console, zcml, *, names, remove, yes, spool=None):
    """Show which partners get the files of a spool, and what waits for each.

    \b
    With --zcml: of all spools with several exporters, or those with these
    names.  With --spool: of this one.
      zeit-cds --zcml cds.zcml partners
      zeit-cds partners --spool /var/spool/cds --remove archive

    An exporter that is gone from the ZCML file remains a partner: its files wait
    in new until it is removed.  Then what all others have goes to cur by the
    next run of one of them; its receipts remain.  Whoever comes back later gets
    nothing that waited meanwhile.

    \b
    Exit codes: 64 if there is no such partner, or its exporter is there still;
    73 if it was removed, but a killed run may have left its lock on the server;
    75 if it has an active run, or you say no.
    """
    from zeit.cds.cli import partners as found
    from zeit.cds.cli import selection

    selected = selection.named(zcml, names, spool)
    if remove is not None:
        return found.remove(console, selected, remove, sure=yes)
    console.say(found.as_text(selected))
    return errors.DONE
