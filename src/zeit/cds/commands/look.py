"""The sub-commands that only look."""

import click

from zeit.cds import errors, options, options_target
from zeit.cds.commands import command


@click.command()
@click.argument('names', nargs=-1, metavar='[NAME]... | [URL]')
@options.several(options.SPOOL, options.PASSWORD)
@click.option(
    '--remote', is_flag=True, help='Ask the server as well who holds the lock.  Default: no.'
)
@options.several(options.JSON, *options.MONITORING, *options_target.REACH)
@command
def status(console, zcml, **arguments):
    """Show what waits, what was delivered or imported, and who is at work.

    \b
    With --zcml: all spools, or those with these names, or of exporters with
    these names.  With --spool: this one; --remote needs the URL of its server.
      zeit-cds --zcml cds.zcml status --remote
      zeit-cds status --spool /var/spool/cds

    It never waits for a run, and changes nothing.  The exit code is 0 also when
    files wait or the server is locked, and the one of the failure if a spool or
    server cannot be asked.

    \b
    For monitoring: 2, and a line that says why, if anything is not delivered for
    longer than --max-age, be it parked, ignored or never put into the spool.
    Of imports: if for so long no run has succeeded, the CMS has not taken a file,
    or one is imported, but still on the server.  A failure goes before.
      zeit-cds --zcml cds.zcml status --max-age 15m
      zeit-cds --zcml cds.zcml status --prometheus
    """
    from zeit.cds import choice, status_json, status_text
    from zeit.cds import status as look

    remote, as_json = arguments.pop('remote'), arguments.pop('as_json')
    prometheus, max_age = arguments.pop('prometheus'), arguments.pop('max_age')
    if as_json and prometheus:
        raise errors.UsageError('--json and --prometheus are two formats', hint='Choose one.')
    target = options_target.take(arguments)
    places = choice.places(zcml=zcml, remote=remote, **arguments, **target)
    looks = [look.look(place, remote=remote, filed=not prometheus) for place in places]
    if prometheus:
        console.say(look.as_metrics(looks), nl=False)
        for error in look.failures(looks):
            console.tell(error)
    else:
        console.say(status_json.as_json(looks) if as_json else status_text.as_text(looks))
    late = [] if max_age is None else look.too_old(looks, limit=max_age)
    for line in late:
        console.complain(line)
    code = errors.decisive(code for each in looks for code in each.exit_codes)
    return code or (errors.TOO_OLD if late else errors.DONE)


@click.command()
@click.argument('names', nargs=-1, metavar='NAME [SPOOL]... | --id ID [SPOOL]...')
@options.several(options.SPOOL)
@click.option('--id', 'content', metavar='ID', help='What is of this content.  Default: none.')
@options.several(options.JSON, options.SINCE)
@command
def receipt(console, zcml, *, names, spool=None, content, as_json, since):
    """Print the receipts of a file: each delivery of this name.

    \b
    With --zcml: in all spools, or those with these names.  With --spool: in
    this one.
      zeit-cds --zcml cds.zcml receipt a.xml
      zeit-cds receipt --spool /var/spool/cds a.xml

    With --id: of a content, by the id that the application has told when it was
    published, such as http://xml.zeit.de/wirtschaft/zins.

    A receipt tells when it was, size and SHA-256 of what was sent, the server
    and its final reply.  It never waits for a run.  The exit code is 1 if there
    is none.
    """
    from zeit.cds import choice, receipts
    from zeit.cds.errors import UsageError

    if not content and not names:
        raise UsageError("Missing argument 'NAME'", hint='Or give the id of a content with --id.')
    wanted = {'content': content} if content else {'name': names[0]}
    spools = names if content else names[1:]
    if spool is not None and spools:
        raise UsageError('A receipt is of one file', hint='Names of spools go with --zcml.')
    places = choice.places(zcml=zcml, names=spools, spool=spool, remote=False)
    found = [
        (place, each)
        for place in places
        for each in receipts.receipts(place.spool, within=since, **wanted)
    ]
    if as_json:
        console.say(receipts.as_json(found))
    elif found:
        console.say(receipts.as_text(found, **wanted))
    if not found:
        raise receipts.none_of(places, **wanted)
    return errors.DONE


@click.group()
def journal():
    """What a spool remembers: see "journal verify"."""


@journal.command()
@click.argument('names', nargs=-1, metavar='[SPOOL]...')
@options.several(options.SPOOL)
@click.option(
    '--acknowledge', is_flag=True,
    help='Let status say no more of lines that were left out.  Default: no.',
)  # fmt: skip
@command
def verify(console, zcml, *, names, acknowledge, spool=None):
    """Read all of journal and history, and say what is damaged.

    \b
    With --zcml: of all spools, or those with these names.  With --spool: of
    this one.
      zeit-cds --zcml cds.zcml journal verify
      zeit-cds journal verify --spool /var/spool/cds

    It changes nothing, and never waits for a run.  A line that is damaged is
    left out by everybody who reads it; half a line at the end is somebody who
    writes, or is cut off by the next run.  The exit code is 1 if anything is
    damaged, or a month is missing.

    Of lines of the journal that a run has left out status tells until somebody
    says --acknowledge.
    """
    from zeit.cds import choice
    from zeit.cds import verify as verifying
    from zeit.cds.text import plural, printable

    if spool is not None and names:
        raise errors.UsageError('Names of spools go with --zcml', hint='Name --spool alone.')
    codes = [errors.DONE]
    for place in choice.places(zcml=zcml, names=names, spool=spool, remote=False):
        about, damaged = verifying.verify(place.spool)
        for line in damaged:
            console.complain(line)
            codes.append(errors.FILES_FAILED)
        if not console.quiet:
            result = plural(len(damaged), 'fault') if damaged else 'sound'
            console.say(f'{printable(str(place.spool.path))}: {result}; {about}.')
        if acknowledge:
            verifying.acknowledge(place.spool)
    return max(codes)
