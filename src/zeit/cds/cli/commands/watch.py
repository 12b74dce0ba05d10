"""The sub-command that goes on."""

import functools

import click

from zeit.cds import errors
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command


#: Options of a run that an importer has as well.
SHARED = (
    *('max_files', 'max_bytes', 'deadline', 'dry_run'),
    *('on_failure', 'on_recovery', 'hook_timeout'),
)


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
    import os
    import threading
    import time

    from zeit.cds.cli import runs, selection
    from zeit.cds.cli.console import what_and_why
    from zeit.cds.drivers import watch as watching
    from zeit.cds.drivers.sdnotify import Notifier
    from zeit.cds.interfaces import IPartner
    from zeit.cds.target.kept_connection import Kept
    from zeit.cds.values.backoff import is_busy
    from zeit.cds.values.run_options import ImportOptions, Options, options_of

    selected, given = options.split(arguments)

    def _turn(exporter):
        return watching.PartnerTurn if IPartner.providedBy(exporter.spool) else watching.Turn

    def run(exchange, own, about, several):
        """Return exit code and report; None without one."""
        reports = [None]

        def once():
            report = runs.run_once(exchange, own)
            if not is_busy(report):
                console.tell_report(report)
            reports.append(report)
            return report.exit_code

        code = console.guarded(once, about=about, several=several)
        return code, reports[-1]

    def turns():
        """Return all `Turn`s of what the configuration has now."""
        exporters, importers = selection.watched(zcml=zcml, **selected)
        several = len(exporters) + len(importers) > 1
        shared = {name: value for name, value in given.items() if name in SHARED}
        chosen = [(_turn(each), name, name, each, Options, given) for name, each in exporters]
        chosen += [
            (watching.ImportTurn, name, f'{name} (import)', each, ImportOptions, shared)
            for name, each in importers
        ]
        found = []
        for turn, name, title, exchange, kind, changes in chosen:
            kept, ended = Kept(), threading.Event()
            is_beside = turn is watching.PartnerTurn
            asked = {'interrupted': ended.is_set} if is_beside else {}
            own = options_of(exchange, kind, given=changes, kept=kept, **asked)
            found.append(
                turn(
                    name,
                    exchange,
                    title=title,
                    run=functools.partial(run, exchange, own, title, several),
                    interval=interval,
                    deadline=own.deadline if isinstance(own, kind) else 0,
                    now=time.monotonic(),
                    kept=kept,
                    **({'ended': ended} if is_beside else {}),
                )
            )
        return found

    found = turns()
    if check:
        checks = [(functools.partial(selection.require_usable, e.exporter), e.name) for e in found]
        return errors.decisive([console.guarded(check, about=about) for check, about in checks])

    def problem():
        """Return why what the configuration has now cannot be used, one line; '' if it can."""
        about = ''
        try:
            for turn in turns():
                about = f'{turn.name}: '
                selection.require_usable(turn.exporter)
        except errors.Error as error:
            return about + what_and_why(error)
        return ''

    watching.Watch(found, notifier=Notifier(os.environ), problem=problem).run()
    watching.replace()
