"""The sub-command `watch`."""

import click

from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


@click.command(
    cls=options.Command,
    short_help='Deliver and import again and again, until it is ended.',
)
@options.names('[NAME]... | URL', completion.exchanges)
@options.flag('--check', help='Only check whether everything can be used, without the network.')
@options.several(options.INTERVAL, options.SPOOL, options.PASSWORD, *options.RUN, *options.TARGET)
@command
def watch(console, zcml, *, interval, check, **arguments):
    """Deliver new files at once, and import, until it is ended.

    \b
    With --zcml: run the exporters and importers with these names, or all.
    With --spool: deliver to this URL.
      zeit-cds --zcml cds.zcml watch
      zeit-cds watch --spool /var/spool/cds ftp://zeit@ftp.example.com/in

    \b
    New files in a spool are noticed at once where inotify_simple is installed
    (the extra watch), otherwise every --interval seconds.  Importers ask their
    server every --interval seconds.  --order, --strict, --empty and --park-after
    are for exporters only.

    \b
    After a failure it tries again in 1, 2, 4 ... seconds, at most the interval;
    after a refused login, in five minutes.

    \b
    SIGHUP reloads the program, ZCML and passwords; if that fails, everything
    stays as it was.  SIGTERM ends it after cleaning up (143).  It notifies
    systemd (Type=notify, with a watchdog).
    """
    from zeit.cds.cli.watching import Watching

    selected, given = options.split(arguments)
    watching = Watching(console, zcml, selected, given, interval=interval)
    return watching.check() if check else watching.go_on()
