"""What a signal must not break off in the middle: it is put off, for a moment."""

import contextlib
import os
import signal
import threading


#: What a terminal, a closing terminal, and an init system or a person send.
ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)

#: Seconds after which a signal breaks it off all the same: a disk may hang.
LONGEST = 30


@contextlib.contextmanager
def uninterrupted(*, longest=LONGEST):
    """Let a signal that ends a run do so when the context is left, or after `longest` seconds.

    That is: what the handlers of `ENDING` do, whosever they are.  Where there is none, the system
    ends the process at once, as it would without this; where signals are not handled, outside of
    the main thread, there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    put_off = _PutOff(longest)
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(put_off.close)
            for number in ENDING:
                if callable(before := signal.getsignal(number)):
                    put_off.handlers[number] = before
                    stack.callback(signal.signal, number, before)
                    signal.signal(number, put_off)
            yield
    finally:
        put_off.make_up()


class _PutOff:
    """A handler that remembers the first signal; `handlers` has those before, by number."""

    def __init__(self, longest):
        self.handlers = {}
        self._longest = longest
        self._timer = None
        self._late = False
        self._came = None

    def __call__(self, number, frame):
        if self._late:
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
        self._late = True
        os.kill(os.getpid(), number)

    def close(self):
        """Nothing is put off any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def make_up(self):
        """Do what was put off."""
        came, self._came = self._came, None
        if came is not None:
            self.handlers[came[0]](*came)
