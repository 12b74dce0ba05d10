"""The sub-command `receipt`."""

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command)
@options.names('NAME [SPOOL]... | --id ID [SPOOL]...', completion.files('cur', 'new'))
@options.several(options.SPOOL)
@click.option(
    '--id', 'content', metavar='ID',
    help='Receipts of the content with this id, which status and log show.  Default: none.',
)  # fmt: skip
@options.several(options.JSON, options.SINCE)
@command
def receipt(console, zcml, *, names, spool=None, content, as_json, since):
    """Print the receipts of a file: each delivery of this name.

    \b
    With --zcml: look into all spools, or those with these names.  With --spool:
    look into this one.
      zeit-cds --zcml cds.zcml receipt a.xml
      zeit-cds receipt --spool /var/spool/cds 'a*' --since 2d

    NAME may be a pattern as in a shell, with * ? and [...]; put it in quotes.

    With --id: look for the content with this id, which the application told
    when it was published, such as http://xml.zeit.de/wirtschaft/zins.  It is in
    each receipt of such a file; "zeit-cds status" shows it while the file waits.

    A receipt has the time, size and SHA-256 of what was sent, the server and its
    final reply.  This command never waits for a run.  The exit code is 1 if
    there is no receipt.
    """
    from zeit.cds.cli import receipts, selection
    from zeit.cds.errors import UsageError

    if not content and not names:
        raise UsageError("Missing argument 'NAME'", hint='Or give the id of content with --id.')
    wanted = {'content': content} if content else {'name': names[0]}
    spools = names if content else names[1:]
    if spool is not None and spools:
        raise UsageError('More than one name was given', hint='Names of spools need --zcml.')
    selected = selection.named(zcml, spools, spool)
    found = [
        (spool, receipts.receipts(spool.spool, since=since or '', **wanted))
        for spool in receipts.with_partners(selected)
    ]
    is_there = any(matches.kinds for _, matches in found)
    pieces = ()
    if as_json:
        pieces = receipts.as_json(found)
    elif is_there:
        pieces = receipts.as_text(found, **wanted)
    for piece in pieces:
        if not console.say(piece, nl=False):
            break
    if not is_there:
        raise receipts.none_of(selected, **wanted)
    return errors.DONE
