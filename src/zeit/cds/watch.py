"""`zeit-cds watch`: delivers what comes in at once, and imports, for as long as it is let.

It is made for systemd.
"""

import contextlib
import logging
import math
import multiprocessing
import os
import signal
import sys
import time
import urllib.parse

import zope.component

from zeit.cds.arriving import Arriving
from zeit.cds.errors import DONE, LOGIN_REFUSED
from zeit.cds.forks import Descriptor, opening
from zeit.cds.pace import Pace
from zeit.cds.sdnotify import Heartbeat
from zeit.cds.text import age, plural, printable
from zeit.cds.uninterrupted import ENDING


log = logging.getLogger(__name__)

#: A run may take so many seconds beyond its deadline, for cleaning up; and a wait, beyond its end.
GRACE = 120

#: Seconds for reading the configuration when it is checked before a reload.
CHECK_TIMEOUT = 60


class Turn:
    """One exporter, or whatever makes runs, and when it runs next.

    `run()` makes one run; returns its exit code and its report, None without one.  `deadline`:
    seconds that it may take, 0 for no end.  `interval`: seconds between two of them, at most.
    `title`: what it is called where it is told of.
    """

    def __init__(self, name, exporter, *, run, interval, deadline, now, title=None):
        self.name = name
        self.title = name if title is None else title
        self.exporter = exporter
        #: The directory where files come in; None if that is on a server, which does not tell.
        self.new = self._directory()
        #: Seconds after which something hangs: a file that is on its way has the time twice.
        self.longest = 2 * deadline + GRACE if deadline else math.inf
        self.at = now
        self._run = run
        self._pace = Pace(interval=interval)

    def __repr__(self):
        return f'<Turn of {self.name!r} at {self.at:.0f}>'

    def _directory(self):
        return os.path.join(self.exporter.spool.path, 'new')

    @property
    def server(self):
        """The server that is asked, in whatever words; '' if it is only told."""
        return ''

    def is_due(self, *, now, arrived):
        """Return whether it runs now; `arrived` says that there is a new file."""
        return now >= self.at or (arrived and self._pace.hurries)

    def take(self, clock):
        """Run; return the exit code.

        Also where nothing waits: the run finds out what a killed one has left on the server, or a
        transaction in doubt, and connects only for that.
        """
        code, report = self._run()
        self._pace = self._pace.after(code, report)
        self.at = clock() + self._pace.pause
        return code


class ImportTurn(Turn):
    """One importer; it has only its intervals."""

    def _directory(self):
        return None

    @property
    def server(self):
        """See `Turn`."""
        return urllib.parse.urlsplit(self.exporter.target.url).netloc


class Watch:
    """Watches the spools of exporters, and runs these; asks the servers of importers.

    `turns`: a list of `Turn`; `notifier`: the `zeit.cds.sdnotify.Notifier`; `problem()`: reads the
    configuration, returns one line on why it cannot be used, '' if it can.
    """

    def __init__(self, turns, *, notifier, problem, clock=time.monotonic):
        self._turns = turns
        self._notifier = notifier
        self._problem = problem
        self._clock = clock
        self._hangup = False

    def __repr__(self):
        return f'<Watch over {self._turns!r}>'

    def run(self):
        """Watch, until a signal ends it, or until it is to be reloaded: then it returns.

        SIGHUP asks for that.  If the configuration cannot be read any more, it is told, and the one
        that is known stays.
        """
        with contextlib.ExitStack() as stack:
            alarm = stack.enter_context(self._alarm())
            heartbeat = stack.enter_context(Heartbeat(self._notifier))
            new = {turn.new for turn in self._turns if turn.new is not None}
            arriving = stack.enter_context(Arriving(sorted(new), alarm=alarm))
            how = f', at intervals only: {arriving.obstacle}' if new and arriving.obstacle else ''
            log.info('%s%s', self._about, how)
            self._notifier.tell(READY=1, STATUS=self._about)
            try:
                self._watch(arriving, heartbeat)
            except BaseException:
                self._notifier.tell(STOPPING=1)
                raise

    @property
    def _about(self):
        asked = [turn.server for turn in self._turns]
        exporters, servers = asked.count(''), {*asked} - {''}
        parts = [f'watching {plural(exporters, "spool")}'] * bool(exporters)
        parts += [f'asking {plural(len(servers), "server")}'] * bool(servers)
        return ', '.join(parts).capitalize()

    def _watch(self, arriving, heartbeat):
        arrived = set()
        while True:
            for turn in self._turns:
                if turn.is_due(now=self._clock(), arrived=turn.new in arrived):
                    heartbeat.allow(turn.longest)
                    self._tell(turn, turn.take(self._clock))
                if self._hangup:
                    break
            if self._hangup:
                heartbeat.allow(CHECK_TIMEOUT + GRACE)
                if self._may_reload():
                    return
                continue  # what has arrived is not forgotten over it
            seconds = max(0, min(turn.at for turn in self._turns) - self._clock())
            heartbeat.allow(seconds + GRACE)
            arrived = arriving.wait(seconds)

    def _tell(self, turn, code):
        about = f'{turn.title}: ' if turn.title else ''
        if code == LOGIN_REFUSED:
            pause = age(turn.at - self._clock() + 1)
            log.warning('%sThe login is tried again in %s.', printable(about), pause)
        how = 'done' if code == DONE else f'failed ({code})'
        now = time.strftime('%H:%M:%S')
        self._notifier.tell(STATUS=f'{printable(about)}last run {how} at {now}')

    @contextlib.contextmanager
    def _alarm(self):
        """Let signals end a wait, and SIGHUP be remembered; yield the end of a pipe."""
        with contextlib.ExitStack() as stack:
            with opening() as add:
                ends = [add(Descriptor(number)) for number in os.pipe()]
            for end in ends:
                stack.enter_context(end)
                os.set_blocking(end.fileno(), False)
            before = signal.set_wakeup_fd(ends[1].fileno(), warn_on_full_buffer=False)
            stack.callback(signal.set_wakeup_fd, before)
            stack.callback(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
            signal.signal(signal.SIGHUP, self._hang_up)
            # Blocked by the program that was here before, see `_may_reload`.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
            yield ends[0].fileno()

    def _hang_up(self, number, frame):
        self._hangup = True

    def _may_reload(self):
        self._hangup = False
        self._notifier.reloading()
        reason = why_not(self._problem)
        if not reason:
            # From here on there is nobody to remember it, until the new program does.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
            return True
        log.error('Not reloaded, what was read before stays: %s', reason)
        self._notifier.tell(READY=1, STATUS='Not reloaded')
        return False


def why_not(problem):
    """Return what `problem()` returns with an empty registry, or one line on why it does not.

    It is called in a child of this process, where it may register, hang or fail as it likes.
    """
    context = multiprocessing.get_context('fork')
    ours, its = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(problem, its), name='check')
    child.start()
    its.close()
    try:
        if not ours.poll(CHECK_TIMEOUT):
            return f'it was not read within {CHECK_TIMEOUT} s'
        return printable(ours.recv(), limit=500)
    except EOFError:
        child.join()
        return f'who reads it has ended ({child.exitcode})'
    finally:
        child.kill()
        child.join()
        ours.close()


def _answer(problem, end):
    logging.disable()  # whatever is wrong is in the answer
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    registry = zope.component.getGlobalSiteManager()
    registry.__init__(registry.__name__)
    try:
        answer = problem()
    except Exception as error:  # noqa: BLE001 somebody else's part may raise anything
        answer = f'{type(error).__name__}: {error}'
    end.send(answer)


def replace():
    """Start this command line anew, in this process: nothing of what was read before stays.

    Does not return.  SIGHUP is blocked, and waits until the new one can be asked to reload again.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 our own command line
