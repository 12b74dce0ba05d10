"""The sub-command that goes on."""

import dataclasses
import functools
import sys

import click

from zeit.cds import errors, options, options_target
from zeit.cds.commands import command


#: Options of a run that an importer has as well.
SHARED = ('max_files', 'max_bytes', 'deadline', 'dry_run')


class _Watch(click.Command):
    """Remembers how many arguments were its own: the last ones of the command line."""

    def parse_args(self, context, args):
        """See click."""
        context.meta[__name__] = len(args)
        return super().parse_args(context, args)


def _checking():
    """Return the command line that only checks what this one is about.

    It is quiet, whatever else is said, as its last line is the reason.  Options come first: behind
    `--` there are none.
    """
    own = click.get_current_context().meta[__name__]
    before = len(sys.orig_argv) - own
    options = ['--check', f'-{"q" * 20}']
    return [sys.executable, *sys.orig_argv[1:before], *options, *sys.orig_argv[before:]]


@click.command(cls=_Watch, short_help='Deliver and import again and again, until it is ended.')
@click.argument('names', nargs=-1, metavar='[NAME]... | URL')
@click.option(
    '--interval',
    type=click.FloatRange(min=0, min_open=True, max=options.LONGEST),
    default=60,
    metavar='SECONDS',
    help='Look at least so often.  Default: 60.',
)
@click.option(
    '--check',
    is_flag=True,
    help='Only find out whether all can be used, without the network.  Default: no.',
)
@options.several(options.SPOOL, options.PASSWORD, *options.RUN, *options_target.TARGET)
@command
def watch(console, zcml, *, interval, check, **arguments):
    """Deliver what comes into spools at once, and import, until it is ended.

    \b
    With --zcml: exporters and importers of these names, without a name all of
    them.  With --spool: to this URL.
      zeit-cds --zcml cds.zcml watch
      zeit-cds watch --spool /var/spool/cds ftp://zeit@ftp.example.com/in

    \b
    New files in a spool are noticed where inotify_simple is installed (the extra
    watch), else it is looked at each --interval.  Importers ask their server as
    often; order, strict, empty and park-after are not about them.

    \b
    What fails is tried again after 1, 2, 4 ... seconds, the interval at most; a
    refused login after five minutes.

    \b
    SIGHUP reads all anew: the command, ZCML, passwords.  If that is not possible
    everything stays as it was.  SIGTERM ends it after cleaning up (143).
    systemd is told how it goes (Type=notify, with a watchdog).
    """
    import os
    import time

    from zeit.cds import choice
    from zeit.cds import watch as watching
    from zeit.cds.pace import is_busy
    from zeit.cds.plan import ImportOptions, Options, options_of
    from zeit.cds.sdnotify import Notifier

    target = options_target.take(arguments)
    given = {name: value for name, value in arguments.items() if value is not None}
    names, spool = given.pop('names'), given.pop('spool', None)
    exporters, importers = choice.watched(zcml=zcml, names=names, spool=spool, **target)
    several = len(exporters) + len(importers) > 1
    if check:
        looks = [
            (functools.partial(choice.require_usable, exchange), name)
            for name, exchange in (*exporters, *importers)
        ]
        return errors.decisive([console.guarded(look, about=about) for look, about in looks])

    def run(exchange, own, about):
        """Return exit code and report; None without one."""
        reports = [None]

        def once():
            reports.append(exchange.run_once(own))
            if not is_busy(reports[-1]):
                console.tell_report(reports[-1])
            return reports[-1].exit_code

        code = console.guarded(once, about=about, several=several)
        return code, reports[-1]

    def turn(kind, title, exchange, own):
        return kind(
            title,
            exchange,
            run=functools.partial(run, exchange, own, title),
            interval=interval,
            deadline=own.deadline,
            now=time.monotonic(),
        )

    turns = []
    for name, exporter in exporters:
        own = dataclasses.replace(options_of(exporter, Options), **given)
        turns.append(turn(watching.Turn, name, exporter, own))
    shared = {name: value for name, value in given.items() if name in SHARED}
    for name, importer in importers:
        own = dataclasses.replace(options_of(importer, ImportOptions), **shared)
        turns.append(turn(watching.ImportTurn, f'{name} (import)', importer, own))
    watching.Watch(turns, notifier=Notifier(os.environ), check=_checking()).run()
    watching.replace()
