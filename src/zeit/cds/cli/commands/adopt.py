"""The sub-command `adopt`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(
    cls=options.Command,
    short_help='Declare a spool the original: restored or moved, not copied.',
)
@options.names('[SPOOL]...', completion.spools)
@options.several(options.SPOOL)
@options.flag('--forget', help='Leave what is on the server to the other copy, which runs.')
@command
def adopt(console, zcml, *, names, forget, spool=None):
    """Declare a spool the original: it was restored or moved, not copied.

    \b
    With --zcml: do so for all spools, or those with these names.  With --spool:
    for this one.
      zeit-cds --zcml cds.zcml adopt articles
      zeit-cds adopt --spool /var/spool/cds

    A run of a spool that looks like a copy removes nothing from the server: a
    lock, a temporary file, or an older version under another name may belong to
    the original, which may be running.  Each run warns of it.

    If no other copy runs, call this once, and the next run cleans up.  If another
    copy runs, call "adopt --forget" once; that only stops the warning.

    The exit code is 0 even if there is nothing to do.
    """
    from zeit.cds.cli import selection
    from zeit.cds.text import printable

    for selected in selection.named(zcml, names, spool):
        where = printable(str(selected.spool.path))
        targets = selected.spool.adopt(forget=forget)
        what = 'is left to the other copy' if forget else 'will be cleaned up by the next run'
        lines = [f'{where}: what was left on {printable(url)} {what}.' for url in targets]
        lines = lines or [f'{where}: this spool is the original; nothing to do.']
        for line in () if console.quiet else lines:
            console.say(line)
    return errors.DONE
