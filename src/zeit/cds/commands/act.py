"""The sub-commands that put something right, and the demonstration."""

import functools

import click

from zeit.cds import errors, options, options_target
from zeit.cds.commands import command


@click.command()
@click.argument('names', nargs=-1, metavar='NAME... | --all')
@options.several(options.SPOOL)
@click.option('--all', 'everything', is_flag=True, help='All of that.  Default: no.')
@click.option(
    '--older', is_flag=True,
    help='Also over a newer version.  Default: no.',
)  # fmt: skip
@click.option(
    '--forget', is_flag=True,
    help='Give content up that could not be put into a spool.  Default: no.',
)  # fmt: skip
@command
def retry(console, zcml, *, names, everything, older, forget, spool=None):
    """Bring parked files back, to be sent by the next run.

    \b
    With --zcml: from whichever of its spools they are parked in.  With --spool:
    from this one.
      zeit-cds --zcml cds.zcml retry a.xml b.xml
      zeit-cds retry --spool /var/spool/cds a.xml

    With the id of content that could not be put into a spool when it was
    published, that is tried again; the ZCML file must have the application.
    With --forget it is not tried again any more: it was deleted, say.

    With --all: everything that is parked, or could not be put into a spool.

    A file stays parked if a newer version of it waits, was delivered, or is
    parked as well: it would go over that one.  The message names both.  It is
    brought back all the same with --older, and is the newest from then on; a
    file that waits in its place is parked.

    The exit code is 1 if one is not parked, or stays parked; the others are
    brought back.
    """
    from zeit.cds import choice, receipts
    from zeit.cds.text import printable

    if everything and (names or forget or older):
        other = 'names' if names else '--forget' if forget else '--older'
        raise errors.UsageError(f'--all does not go with {other}', hint='Name what you mean.')
    if forget and older:
        raise errors.UsageError('--forget does not go with --older', hint='Name one of them.')
    if not names and not everything:
        raise errors.UsageError("Missing argument 'NAME...'", hint='Or say --all.')
    places = choice.places(zcml=zcml, names=(), spool=spool, remote=False)
    if everything:
        names = receipts.everything(places)
        if not names and not console.quiet:
            console.say('Nothing is parked, and everything could be put into the spool.')
    codes = []
    if forget:
        found = ((name, None, error) for name, error in receipts.forget(names, places))
    else:
        found = receipts.bring_back(names, places, older=older)
    for name, path, error in found:
        if error is not None:
            console.tell(error)
            codes.append(error.exit_code)
        elif forget and not console.quiet:
            console.say(f'{printable(name)} is not tried again.')
        elif not console.quiet:
            console.say(f'{printable(name)} waits in {printable(str(path))} again.')
    return errors.decisive(codes)


@click.command()
@click.argument('names', nargs=-1, metavar='[SPOOL]...')
@options.several(options.SPOOL)
@click.option(
    '--forget', is_flag=True,
    help='That belongs to another copy, which runs.  Default: no.',
)  # fmt: skip
@command
def adopt(console, zcml, *, names, forget, spool=None):
    """Say that a spool is the original: restored or moved, not copied.

    \b
    With --zcml: all spools, or those with these names.  With --spool: this one.
      zeit-cds --zcml cds.zcml adopt articles
      zeit-cds adopt --spool /var/spool/cds

    Of a spool that looks like a copy nothing on a server is taken for its own:
    a lock, a temporary file, or an older version that stands aside may belong
    to the original, which may be at work.  Each run says so.

    If no other copy runs, this lets the next run clean up.  If another copy
    runs, call "adopt --forget" once, and the warning stops.

    The exit code is 0 also if there is nothing to do.
    """
    from zeit.cds import choice
    from zeit.cds.text import printable

    if spool is not None and names:
        raise errors.UsageError('Names of spools go with --zcml', hint='Name --spool alone.')
    for place in choice.places(zcml=zcml, names=names, spool=spool, remote=False):
        where = printable(str(place.spool.path))
        targets = place.spool.adopt(forget=forget)
        what = 'is forgotten' if forget else 'is cleaned up by its next run'
        lines = [f'{where}: what was left on {printable(url)} {what}.' for url in targets]
        lines = lines or [f'{where}: this spool is the original; nothing to do.']
        for line in () if console.quiet else lines:
            console.say(line)
    return errors.DONE


@click.command()
@click.argument('names', nargs=-1, metavar='[NAME]... | [URL]')
@options.several(options.SPOOL, options.PASSWORD)
@click.option('--yes', is_flag=True, help='Remove without asking.  Default: no.')
@options.several(*options_target.REACH)
@command
def unlock(console, zcml, **arguments):
    """Show who holds the lock on a server; remove it if you are sure.

    \b
    With --zcml: on the servers of these exporters.  Otherwise at this URL; the
    spool, --spool, only helps to tell whose lock it is.
      zeit-cds --zcml cds.zcml unlock articles
      zeit-cds unlock --spool /var/spool/cds ftp://zeit@ftp.example.com/in

    What a killed run of the spool has left needs no unlocking: the next run
    removes it.  The lock of somebody else is removed only after you say yes,
    on a terminal or by --yes; one that came in meanwhile stays.

    \b
    Exit codes: 0 not locked, removed, or left to the next run; 64 nobody could
    be asked; 73 the server refuses to remove it; 75 you said no, or there is
    another lock now.
    """
    from zeit.cds import choice
    from zeit.cds import unlock as unlocking

    sure = arguments.pop('yes')
    target = options_target.take(arguments)
    doors = choice.doors(zcml=zcml, **arguments, **target)
    codes = []
    for door in doors:
        run = functools.partial(unlocking.run, console, door, sure=sure)
        codes.append(console.guarded(run, about=door.name, several=False))
    return errors.decisive(codes)


@click.command(short_help='Show an export, on this machine only.')
@command
def demo(console, zcml):
    """Show an export to an FTP server that runs for a moment on this machine.

    It fills a spool in a temporary folder, starts an FTP server on 127.0.0.1,
    delivers, and shows both sides before and after.  Nothing is left behind.
    """
    from zeit.cds.demo import run

    return run(console)
