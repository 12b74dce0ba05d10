"""Runs of the partners of one spool, side by side: one that hangs keeps none of the others."""

import logging
import threading
import time

from zeit.cds.interfaces import IPartner
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Seconds that these runs may take to come to their ends, when a signal ends the command; and after
#: which it says that it waits.
END_SECONDS, SILENT_SECONDS = 60, 1


class Beside:
    """A context manager around such runs: on its way out they are asked to end, and waited for."""

    def __init__(self):
        self._runs = []

    def __repr__(self):
        return f'<Beside {[thread for _, thread, *_ in self._runs]!r}>'

    def __enter__(self):
        return self

    def start(self, name, run):
        """Start `run(interrupted)` in a thread; return what waits for its result, a function.

        `interrupted()` tells the run whether it is to end.
        """
        from concurrent.futures import Future

        done, interrupted = Future(), threading.Event()

        def work():
            try:
                done.set_result(run(interrupted.is_set))
            except BaseException as error:  # noqa: BLE001 it is raised by who asks for the result
                done.set_exception(error)

        # What hangs for longer must not keep the process: the next run heals what it leaves.
        thread = threading.Thread(target=work, name=f'zeit.cds {name}', daemon=True)
        self._runs.append((name, thread, done, interrupted))
        try:
            thread.start()
        except RuntimeError:  # there are no more threads, and nothing to be waited for
            self._runs.pop()
            raise
        return done.result

    def __exit__(self, *exc_info):
        end = time.monotonic() + END_SECONDS
        for *_, interrupted in self._runs:
            interrupted.set()
        for name, _, done, _ in self._runs:
            if not _has_ended(done, SILENT_SECONDS):
                about = printable(name), END_SECONDS
                log.warning('%s: waiting for the end of its run, for %d s at most.', *about)
        for name, thread, done, _ in self._runs:
            # A `join` that a signal ends takes the thread for one that has ended, in Python before
            # 3.13.
            if _has_ended(done, max(0, end - time.monotonic())):
                thread.join()
            else:
                log.warning('%s: its run did not end; the next one cleans up.', printable(name))


def _has_ended(done, seconds):
    """Return whether a run ends within so many seconds; `done` is its future."""
    from concurrent.futures import wait

    return bool(wait([done], timeout=seconds).done)


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
