"""The sub-command `status`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(
    cls=options.Command,
    short_help='Show what waits, what was delivered, and the active run.',
)
@options.names('[NAME]... | [URL]', completion.everything)
@options.several(options.SPOOL, options.PASSWORD)
@options.flag('--remote', help='Also ask the server who holds the lock.')
@options.several(options.JSON, *options.MONITORING, *options.REACH)
@command
def status(console, zcml, **arguments):
    """Show what waits, what was delivered or imported, and the active run.

    \b
    With --zcml: show all spools, or those with these names or with exporters of
    these names.  With --spool: show this one; --remote needs the server's URL.
      zeit-cds --zcml cds.zcml status --remote
      zeit-cds status --spool /var/spool/cds

    It never waits for a run, and changes nothing.  The exit code is 0 even if
    files wait or the server is locked.  If a spool or server cannot be read, it
    is that of the failure.

    \b
    For monitoring: if something is not delivered for longer than --max-age, the
    exit code is 2, and a line says why.  It may wait, be parked, be ignored, or
    not even be in the spool.  For imports it is 2 if no run has succeeded for so
    long, the CMS has not taken a file, or an imported file is not yet deleted.
      zeit-cds --zcml cds.zcml status --max-age 15m
      zeit-cds --zcml cds.zcml status --prometheus
    """
    from zeit.cds.cli import selection, snapshot, status_json, status_text

    remote, as_json = arguments.pop('remote'), arguments.pop('as_json')
    prometheus, max_age = arguments.pop('prometheus'), arguments.pop('max_age')
    if as_json and prometheus:
        raise errors.UsageError('--json cannot be combined with --prometheus', hint='Choose one.')
    target = options.take(arguments)
    selected = selection.spools(zcml=zcml, remote=remote, **arguments, **target)
    snapshots = [snapshot.take(each, remote=remote, filed=not prometheus) for each in selected]
    if prometheus:
        console.say(snapshot.as_metrics(snapshots), nl=False)
        for error in snapshot.failures(snapshots):
            console.tell(error)
    else:
        console.say(status_json.as_json(snapshots) if as_json else status_text.as_text(snapshots))
    late = [] if max_age is None else snapshot.overdue(snapshots, limit=max_age)
    for line in late:
        console.complain(line)
    code = errors.decisive(code for each in snapshots for code in each.exit_codes)
    return code or (errors.TOO_OLD if late else errors.DONE)
