"""Signals that end a run: it cleans up on its way out, and then the exit code says which one."""

import contextlib
import signal
import threading

from zeit.cds.uninterrupted import ENDING


class Ending:
    """A signal handler that raises `SystemExit`, with 128 + the signal's number, once.

    Signals after the first change nothing: the clean-up that is then under way must not be broken
    off, and its own time-outs bound it.  `name` is that of the signal, '' as long as there was
    none.
    """

    def __init__(self):
        self.name = ''

    def __call__(self, number, frame):
        if not self.name:
            self.name = signal.Signals(number).name
            raise SystemExit(128 + number)


@contextlib.contextmanager
def ending(*, numbers=ENDING):
    """Let the signals `numbers` raise `SystemExit` in the main thread; yield the `Ending`.

    A signal that is ignored stays so, as nohup(1) and a shell's `&` want it.  The handlers before
    are there again afterwards.  Outside of the main thread, where Python allows no handlers,
    nothing happens.
    """
    handler = Ending()
    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                before = signal.getsignal(number)
                # None: a handler that was not installed by Python, and could not be restored.
                if before is not None and before != signal.SIG_IGN:
                    stack.callback(signal.signal, number, before)
                    signal.signal(number, handler)
        yield handler
