"""The sub-command `log`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(
    cls=options.Command,
    short_help='Show what has happened: files, and how runs ended.',
)
@options.names('[SPOOL]...', completion.spools)
@options.several(options.SPOOL, options.SINCE, options.UNTIL)
@options.flag('--failed', help='Only what was parked, stayed on the server, and runs that failed.')
@click.option('--name', metavar='GLOB', help='Only files of this name or pattern.  Default: all.')
@click.option(
    '--id', 'content', metavar='ID', help='Only files of the content with this id.  Default: all.'
)
@options.several(options.JSON)
@options.flag('--csv', 'as_csv', help='Print CSV with a header (RFC 4180).', default='text')
@command
def log(console, zcml, *, names, spool=None, since, until, name, content, **flags):
    """Show what has happened to files, and how runs ended, the newest first.

    \b
    With --zcml: of all spools, or those with these names.  With --spool: of
    this one.
      zeit-cds --zcml cds.zcml log --since 2d --failed
      zeit-cds log --spool /var/spool/cds --name 'a*' --csv

    It reads the history of the spool, which is kept for ever unless you say
    otherwise, and never waits for a run.  A pattern is one of a shell, with * ?
    and [...]; put it in quotes.  A run without files that ended like the one
    before is not in it.  The exit code is 0, whatever there is.
    """
    from zeit.cds.cli import events, selection

    if flags['as_json'] and flags['as_csv']:
        raise errors.UsageError('--json cannot be combined with --csv', hint='Choose one.')
    selected = selection.named(zcml, names, spool)
    wanted = {'failed': flags['failed'], 'name': name or '', 'content': content or ''}
    found = events.events(selected, **wanted, since=since or '', until=until or '')
    form = 'json' if flags['as_json'] else 'csv' if flags['as_csv'] else 'text'
    for text in events.texts(found, form=form, several=len(selected) > 1):
        if not console.say(text):
            break  # nobody reads on
    return errors.DONE
