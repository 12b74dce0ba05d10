"""Runs of the partners of one spool, side by side: one that hangs keeps none of the others."""

import logging
import threading
import time

from zeit.cds.interfaces import IPartner
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Seconds that these runs may take to come to their ends, when a signal ends the command; and after
#: which it says that it waits.
PATIENCE, SOON = 60, 1


class Beside:
    """A context manager around such runs: on its way out they are asked to end, and waited for."""

    def __init__(self):
        self._threads = []

    def __repr__(self):
        return f'<Beside {self._threads!r}>'

    def __enter__(self):
        return self

    def start(self, name, run):
        """Start `run(interrupted)` in a thread; return what waits for its result, a function.

        `interrupted()` tells the run whether it is to end.
        """
        thread = _Thread(name, run)
        self._threads.append(thread)
        thread.start()
        return thread.result

    def __exit__(self, *exc_info):
        end = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.interrupted.set()
        for thread in self._threads:
            if not thread.ended.wait(SOON):
                about = printable(thread.about), PATIENCE
                log.warning('%s: waiting for the end of its run, for %d s at most.', *about)
        for thread in self._threads:
            if thread.ended.wait(max(0, end - time.monotonic())):
                thread.join()
            else:
                log.warning(
                    '%s: its run did not end; the next one cleans up.', printable(thread.about)
                )


class _Thread(threading.Thread):
    def __init__(self, name, run):
        # What hangs for longer must not keep the process: the next run heals what it leaves.
        super().__init__(name=f'zeit.cds {name}', daemon=True)
        self.about = name
        self.interrupted = threading.Event()
        #: To be waited for: a `join` that a signal ends takes the thread for one that has ended, in
        #: Python before 3.13.
        self.ended = threading.Event()
        self._work = run
        self._result = self._error = None

    def run(self):
        try:
            self._result = self._work(self.interrupted.is_set)
        except BaseException as error:  # noqa: BLE001 it is raised by who asks for the result
            self._error = error
        finally:
            self.ended.set()

    def result(self):
        self.ended.wait()
        if self._error is not None:
            raise self._error
        return self._result


def partners(exchanges):
    """Return the indexes of those (name, exporter or importer) that share a spool, a set."""
    found = {}
    for number, (_, exchange) in enumerate(exchanges):
        path = _shared(exchange)
        if path is not None:
            found.setdefault(path, []).append(number)
    return {number for several in found.values() if len(several) > 1 for number in several}


def _shared(exchange):
    try:
        spool = exchange.spool
        return str(spool.shared.path) if IPartner.providedBy(spool) else None
    except Exception as error:  # noqa: BLE001 its run will tell
        log.debug('Not known whose spool that is.', exc_info=error)
        return None
