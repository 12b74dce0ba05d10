"""The sub-command that goes on."""

import functools

import click

from zeit.cds import errors, options, options_target
from zeit.cds.commands import command


#: Options of a run that an importer has as well.
SHARED = ('max_files', 'max_bytes', 'deadline', 'dry_run')


@click.command(short_help='Deliver and import again and again, until it is ended.')
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
    from zeit.cds.console import what_and_why
    from zeit.cds.pace import is_busy
    from zeit.cds.plan import ImportOptions, Options, options_of
    from zeit.cds.sdnotify import Notifier

    target = options_target.take(arguments)
    given = {name: value for name, value in arguments.items() if value is not None}
    names, spool = given.pop('names'), given.pop('spool', None)

    def run(exchange, own, about, several):
        """Return exit code and report; None without one."""
        reports = [None]

        def once():
            report = choice.run_once(exchange, own)
            if not is_busy(report):
                console.tell_report(report)
            reports.append(report)
            return report.exit_code

        code = console.guarded(once, about=about, several=several)
        return code, reports[-1]

    def turns():
        """Return all `Turn`s of what the configuration has now."""
        exporters, importers = choice.watched(zcml=zcml, names=names, spool=spool, **target)
        several = len(exporters) + len(importers) > 1
        shared = {name: value for name, value in given.items() if name in SHARED}
        chosen = [(watching.Turn, name, name, each, Options, given) for name, each in exporters]
        chosen += [
            (watching.ImportTurn, name, f'{name} (import)', each, ImportOptions, shared)
            for name, each in importers
        ]
        found = []
        for turn, name, title, exchange, kind, changes in chosen:
            own = options_of(exchange, kind, given=changes)
            found.append(
                turn(
                    name,
                    exchange,
                    title=title,
                    run=functools.partial(run, exchange, own, title, several),
                    interval=interval,
                    deadline=own.deadline if isinstance(own, kind) else 0,
                    now=time.monotonic(),
                )
            )
        return found

    found = turns()
    if check:
        looks = [(functools.partial(choice.require_usable, e.exporter), e.name) for e in found]
        return errors.decisive([console.guarded(look, about=about) for look, about in looks])

    def problem():
        """Return why what the configuration has now cannot be used, one line; '' if it can."""
        about = ''
        try:
            for turn in turns():
                about = f'{turn.name}: '
                choice.require_usable(turn.exporter)
        except errors.Error as error:
            return about + what_and_why(error)
        return ''

    watching.Watch(found, notifier=Notifier(os.environ), problem=problem).run()
    watching.replace()
