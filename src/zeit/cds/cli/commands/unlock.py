"""The sub-command `unlock`."""

import functools

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command)
@options.names('[NAME]... | [URL]', completion.exchanges)
@options.several(options.SPOOL, options.PASSWORD)
@options.flag('--yes', help='Remove the lock without asking.')
@options.several(*options.REACH)
@command
def unlock(console, zcml, **arguments):
    """Show who holds the lock on a server; remove it if you are sure.

    \b
    With --zcml: look at the servers of these exporters.  Otherwise: look at this
    URL; the spool, --spool, only helps to tell whose lock it is.
      zeit-cds --zcml cds.zcml unlock articles
      zeit-cds unlock --spool /var/spool/cds ftp://zeit@ftp.example.com/in

    What a killed run of the spool has left needs no unlocking: the next run
    removes it; so does this with --yes.  Somebody else's lock is removed only
    after you say yes, on a terminal or by --yes.  A lock that appears meanwhile
    stays, and so does that of a run which is active.

    \b
    Exit codes: 0 not locked, removed, or left to the next run; 64 there was no
    terminal to ask on; 73 the server refuses to remove it; 75 you said no, a run
    is active, or there is another lock now.
    """
    from zeit.cds.cli import selection
    from zeit.cds.cli import unlock as unlocking

    sure = arguments.pop('yes')
    target = options.take(arguments)
    servers = selection.servers(zcml=zcml, **arguments, **target)
    codes = []
    for server in servers:
        run = functools.partial(unlocking.run, console, server, sure=sure)
        codes.append(console.guarded(run, about=server.name, several=False))
    return errors.decisive(codes)
