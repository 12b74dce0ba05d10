"""The sub-command `export`."""

import click

from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command)
@options.names('[NAME]... | URL', completion.exporters)
@options.several(
    *(options.ALL, options.SPOOL, options.PASSWORD, options.JSON), *options.RUN, *options.TARGET
)
@command
def export(console, zcml, **arguments):
    """Deliver what waits in a spool.

    \b
    With --zcml: run the exporters with these names, or --all: one after the
    other, but partners of one spool side by side.  The name may be left out if
    there is only one.  One that fails stops no other, and the exit code is that
    of the worst: see README.txt.
      zeit-cds --zcml cds.zcml export --all
      zeit-cds --zcml cds.zcml export articles

    \b
    With --spool: deliver to ftp://user@host:port/directory; ftpes:// is FTP
    with explicit, ftps:// with implicit TLS.  The path is absolute.  The port is
    21, or 990 for ftps, unless given.  Do not put a password into the URL.
      zeit-cds export --spool /var/spool/cds --password-file /etc/cds.pw \\
          ftpes://zeit@ftp.example.com/in

    On success the result is printed on a terminal only, so that cron sends mail
    only when something is wrong.  With --json a program gets it in any case.
    """
    from zeit.cds.cli import runs
    from zeit.cds.run.exporter import Exporter, Options

    return runs.run_each(console, zcml, arguments, factory=Exporter, options=Options)
