"""The sub-command `prune`."""

import sys

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command, short_help='Delete old files from cur.')
@options.names('[SPOOL]...', completion.spools)
@options.several(options.SPOOL, *options.KEEP)
@options.flag('--dry-run', help='Say what would be deleted, and delete nothing.')
@command
def prune(console, zcml, *, names, dry_run, spool=None, **given):
    """Delete files from cur that were delivered long ago.  Nothing else does.

    \b
    With --zcml: in all spools, or those with these names, what their attributes
    keep and keep_bytes say; without them nothing.  With --spool: in this one.
      zeit-cds --zcml cds.zcml prune --dry-run
      zeit-cds prune --spool /var/spool/cds --keep 30d

    Only what has a receipt is deleted, and is what was delivered, by size and
    SHA-256; age and order are those of the receipts.  All else stays in cur, and
    so does what a retraction or the next run may need.  What is deleted cannot
    be sent again by "zeit-cds resend"; its receipt stays.

    It never waits for a run.  On success the result is printed on a terminal
    only, as cron calls it.
    """
    from zeit.cds.cli import selection
    from zeit.cds.text import file_size, local_time, plural, printable
    from zeit.cds.values.run_options import Keep

    given = {name: value for name, value in given.items() if value is not None}
    found = selection.named(zcml, names, spool)
    if spool is not None and not given:
        raise errors.UsageError('Nothing is to be deleted', hint='Give --keep or --keep-bytes.')
    for selected in found:
        pruned = selected.spool.prune(Keep(**given) if given else None, dry_run=dry_run)
        for each in pruned if dry_run else ():
            from zeit.cds.journal.history import moment

            when = moment(each.at)
            console.say(
                f'{printable(each.name)} ({file_size(each.size)}), '
                f'delivered {local_time(when) if when else "at no known time"}'
            )
        if dry_run or (sys.stdout.isatty() and not console.quiet):
            what = 'would be deleted' if dry_run else 'deleted'
            size = file_size(sum(each.size for each in pruned))
            where = printable(str(selected.spool.path / 'cur'))
            console.say(f'{plural(len(pruned), "file")} {what} ({size}) in {where}')
    return errors.DONE
