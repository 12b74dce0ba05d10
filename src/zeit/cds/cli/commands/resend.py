"""The sub-command `resend`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command
from zeit.cds.option_types import PATH, Option


@click.command(cls=options.Command, short_help='Deliver once more what was delivered.')
@options.names('NAME... | --since TIME | --from FILE', completion.files('cur'))
@options.several(
    options.SPOOL,
    options.ALL_SINCE,
    options.option(
        Option('from', PATH, 'File with names, one on each line; - is standard input.'),
    ),
)
@click.option(
    '--to',
    metavar='EXPORTER',
    shell_complete=completion.exporters,
    help='Only to this partner, also what only others have got.  Default: to whom it was sent.',
)
@command
def resend(console, zcml, *, names, since, to, spool=None, **given):
    """Deliver once more what was delivered, because the partner has lost it, say.

    \b
    With --zcml: look into all spools that are exported.  With --spool: look into
    this one.
      zeit-cds --zcml cds.zcml resend a.xml b.xml
      zeit-cds resend --spool /var/spool/cds --since 2d

    A copy of the file in cur goes into new, if it is what was delivered last
    under that name, by size and SHA-256; the next run sends it.  With --since:
    of all files that were delivered since then.

    Where several exporters have one spool, each partner gets what it has got;
    with --to: one partner, also what only others have got, as far as it is
    wanted.
      zeit-cds --zcml cds.zcml resend --to archive --since 30d

    A file is refused if a newer version of it waits, is parked or in doubt, or
    if it was retracted: it would come back, or overwrite that; and also if it
    has expired.  This command never waits for a run.

    \b
    Exit codes: 1 if a file is refused, 75 if one is being delivered at this
    moment; the others are sent.
    """
    from zeit.cds.cli import file_actions

    source = given['from']
    ways = [bool(names), since is not None, source is not None]
    if sum(ways) > 1:
        raise errors.UsageError('Names, --since and --from cannot be combined', hint='Choose one.')
    if not any(ways):
        raise errors.UsageError("Missing argument 'NAME...'", hint='Or give --since or --from.')
    if to is not None and zcml is None:
        raise errors.UsageError('--to needs --zcml', hint='It is the name of an exporter there.')
    spools = file_actions.exported(zcml, spool, names or any(ways[1:]), by=to)
    if source is not None:
        names = file_actions.names_in(source)
    return file_actions.resend(console, spools, names, since=since, to=to)
