"""What `zeit-cds watch` does: it makes `Turn`s of what the configuration has, and lets them run."""

import functools
import os
import threading
import time

from zeit.cds import errors
from zeit.cds.cli import runs, selection
from zeit.cds.cli.console import what_and_why
from zeit.cds.drivers import watch
from zeit.cds.drivers.sdnotify import Notifier
from zeit.cds.interfaces import IPartner
from zeit.cds.target.kept_connection import Kept
from zeit.cds.values.backoff import is_busy
from zeit.cds.values.run_options import ImportOptions, Options, options_of


#: Options of a run that an importer has as well.
SHARED = (
    *('max_files', 'max_bytes', 'deadline', 'dry_run'),
    *('on_failure', 'on_recovery', 'hook_timeout'),
)


class Watching:
    """What is `selected`, see `zeit.cds.cli.selection.watched`, with the options `given`.

    `interval`: seconds between two runs of one of them, at most.
    """

    def __init__(self, console, zcml, selected, given, *, interval):
        self._console = console
        self._zcml = zcml
        self._selected = selected
        self._given = given
        self._interval = interval

    def __repr__(self):
        return f'<Watching {self._selected!r}>'

    def check(self):
        """Say what of it cannot be used, without the network; return the exit code."""
        codes = []
        for turn in self._turns():
            check = functools.partial(selection.require_usable, turn.exporter)
            codes.append(self._console.guarded(check, about=turn.name))
        return errors.decisive(codes)

    def go_on(self):
        """Let all of it run again and again, until a signal ends it, or replaces this process."""
        notifier = Notifier(os.environ)
        watch.Watch(self._turns(), notifier=notifier, problem=self._problem).run()
        watch.replace()

    def _turns(self):
        """Return all `Turn`s of what the configuration has now."""
        exporters, importers = selection.watched(zcml=self._zcml, **self._selected)
        several = len(exporters) + len(importers) > 1
        return [
            *(self._turn(*each, imports=False, several=several) for each in exporters),
            *(self._turn(*each, imports=True, several=several) for each in importers),
        ]

    def _turn(self, name, exchange, *, imports, several):
        title = f'{name} (import)' if imports else name
        turn, kind, given = watch.Turn, Options, self._given
        kept, changes, about = Kept(), {}, {}
        if imports:
            turn, kind = watch.ImportTurn, ImportOptions
            given = {option: value for option, value in given.items() if option in SHARED}
        elif IPartner.providedBy(exchange.spool):
            turn, ended = watch.PartnerTurn, threading.Event()
            changes, about = {'interrupted': ended.is_set}, {'ended': ended}
        own = options_of(exchange, kind, given=given, kept=kept, **changes)
        return turn(
            name,
            exchange,
            title=title,
            run=functools.partial(self._run, exchange, own, title, several),
            interval=self._interval,
            deadline=own.deadline if isinstance(own, kind) else 0,
            now=time.monotonic(),
            kept=kept,
            **about,
        )

    def _run(self, exchange, own, title, several):
        """Make one run; return its exit code and report, None without one."""
        reports = [None]

        def once():
            report = runs.run_once(exchange, own)
            if not is_busy(report):
                self._console.tell_report(report)
            reports.append(report)
            return report.exit_code

        code = self._console.guarded(once, about=title, several=several)
        return code, reports[-1]

    def _problem(self):
        """Return why what the configuration has now cannot be used, one line; '' if it can."""
        about = ''
        try:
            for turn in self._turns():
                about = f'{turn.name}: '
                selection.require_usable(turn.exporter)
        except errors.Error as error:
            return about + what_and_why(error)
        return ''
