"""Signals that end a run: it cleans up on its way out, and what must not be broken off, is not."""

import contextlib
import os
import signal
import threading


#: What a terminal, a closing terminal, and an init system or a person send.
ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)

#: Seconds after which a signal breaks it off all the same: a disk may hang.
LONGEST = 30


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
def ending():
    """Let the signals `ENDING` raise `SystemExit` in the main thread; yield the `Ending`.

    A signal that is ignored stays so, as nohup(1) and a shell's `&` want it.  The handlers before
    are there again afterwards.  Outside of the main thread, where Python allows no handlers,
    nothing happens.
    """
    handler = Ending()
    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                before = signal.getsignal(number)
                # None: a handler that was not installed by Python, and could not be restored.
                if before is not None and before != signal.SIG_IGN:
                    stack.callback(signal.signal, number, before)
                    signal.signal(number, handler)
        yield handler


@contextlib.contextmanager
def deferrable(*, longest=LONGEST):
    """Yield a context manager: a signal that ends a run does so when that is left.

    It may be entered again inside.  Or after `longest` seconds.  That is: what the handlers of
    `ENDING` do, whosever they are; they are there again afterwards.  Where there is none, the
    system ends the process at once, as it would without this; where signals are not handled,
    outside of the main thread, there is nothing to do.  Inside of another one it is that one.
    """
    uninterrupted = _Uninterrupted(longest)
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in ENDING}
        uninterrupted.handlers = {n: before for n, before in found.items() if callable(before)}
    around = {*uninterrupted.handlers.values()}
    if len(around) == 1 and isinstance(outer := around.pop(), _Uninterrupted):
        yield outer
        return
    with contextlib.ExitStack() as stack:
        for number, before in uninterrupted.handlers.items():
            stack.callback(signal.signal, number, before)
            signal.signal(number, uninterrupted)
        yield uninterrupted


class _Uninterrupted:
    """A handler that puts off the first signal that comes inside; `handlers`: those before."""

    def __init__(self, longest):
        self.handlers = {}
        self._longest = longest
        self._is_late = False
        self._depth = 0
        self._came = self._timer = None

    def __enter__(self):
        self._depth += 1

    def __exit__(self, *exc_info):
        self._depth -= 1
        if self._depth:
            return
        try:
            self._is_late = False
            came, self._came = self._came, None
            if came is not None:
                self.handlers[came[0]](*came)
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer.join()
                self._timer = None

    def __call__(self, number, frame):
        if self._is_late or not self._depth:
            self._came = None
            self.handlers[number](number, frame)
        elif self._came is None:
            self._came = number, frame
            self._timer = threading.Timer(self._longest, self._again, [number])
            try:
                self._timer.start()
            except RuntimeError:  # no more threads: then nothing is put off
                self._timer = self._came = None
                self.handlers[number](number, frame)

    def _again(self, number):
        if self._came is not None:
            self._is_late = True
            os.kill(os.getpid(), number)
