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
import threading
import time
import urllib.parse

import zope.component

from zeit.cds.drivers.inotify import Arriving
from zeit.cds.drivers.sdnotify import Heartbeat
from zeit.cds.errors import DONE, LOGIN_REFUSED
from zeit.cds.system.forks import Descriptor, opening
from zeit.cds.system.signals import ENDING
from zeit.cds.target.kept_connection import Kept
from zeit.cds.text import age, plural, printable
from zeit.cds.values.backoff import Pace


log = logging.getLogger(__name__)

#: A run may take so many seconds beyond its deadline, for cleaning up; and a wait, beyond its end.
GRACE = 120

#: Seconds that the runs of partners may take to come to their ends, when they are asked to.
PATIENCE = 60

#: Seconds until it looks again where all are at work.
LOOK = 60

#: Seconds for reading the configuration when it is checked before a reload.
CHECK_TIMEOUT = 60


class Turn:
    """One exporter, or whatever makes runs, and when it runs next.

    `run()` makes one run; returns its exit code and its report, None without one.  `deadline`:
    seconds that it may take, 0 for no end.  `interval`: seconds between two of them, at most.
    `title`: what it is called where it is told of; `kept`: the `Kept` of its runs.
    """

    def __init__(self, name, exporter, *, run, interval, deadline, now, kept=None, title=None):
        self.name = name
        self.title = name if title is None else title
        self.exporter = exporter
        #: The directory where files come in; None if that is on a server, which does not tell.
        self.new = self._directory()
        #: The directories in which something appears when there is something to do.
        self.watched = {self.new, self._own_directory()} - {None}
        #: Seconds after which something hangs: a file that is on its way has the time twice.
        self.longest = 2 * deadline + GRACE if deadline else math.inf
        self.at = now
        self.kept = kept or Kept()
        self._run = run
        self._pace = Pace(interval=interval)

    def __repr__(self):
        return f'<Turn of {self.name!r} at {self.at:.0f}>'

    def _directory(self):
        return self.exporter.spool.arrivals

    def _own_directory(self):
        return self.exporter.spool.own_arrivals

    @property
    def server(self):
        """The server that is asked, in whatever words; '' if it is only told."""
        return ''

    #: Whether a run goes on in the background, when that hangs, and what it has come to: the exit
    #: code, None as long as that is not known.
    is_busy, until = False, math.inf

    def result(self):
        """Return the exit code of a run that has ended in the background since, else None."""

    def begin(self, clock, *, wake):
        """Run; return the exit code, or None if it goes on in the background; then call `wake`."""
        return self.take(clock)

    def end(self):
        """Ask a run in the background to end."""

    def join(self, seconds):
        """Wait so long for its end; return whether that has come."""
        return True

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
        self.at = clock() + self._pace.pause_at(time.time())
        return code


class PartnerTurn(Turn):
    """The exporter of one of several partners: it runs in a thread, and keeps none of the others.

    `ended` is the event that its runs ask whether they are to end.
    """

    def __init__(self, name, exporter, *, ended, **options):
        super().__init__(name, exporter, **options)
        self._ended = ended
        self._thread = self._result = None
        self._again = False

    @property
    def is_busy(self):
        """See `Turn`."""
        return self._thread is not None

    def is_due(self, *, now, arrived):
        """See `Turn`; what arrives while it runs counts when that has ended."""
        self._again = self._again or arrived
        return not self.is_busy and super().is_due(now=now, arrived=self._again)

    def begin(self, clock, *, wake):
        """See `Turn`."""
        self._again, self.until = False, clock() + self.longest
        self._thread = threading.Thread(
            target=self._work, args=(clock, wake), name=f'zeit.cds {self.name}', daemon=True
        )
        self._thread.start()

    def _work(self, clock, wake):
        try:
            self._result = self.take(clock), None
        except BaseException as error:  # noqa: BLE001 it is raised by who asks for the result
            self._result = None, error
        finally:
            wake()

    def result(self):
        """See `Turn`; raises what has ended it."""
        if self._result is None:
            return None
        self._thread.join()
        (code, error), self._result, self._thread = self._result, None, None
        self.until = math.inf
        if error is not None:
            raise error
        return code

    def end(self):
        """See `Turn`."""
        self._ended.set()

    def join(self, seconds):
        """See `Turn`."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()


class ImportTurn(Turn):
    """One importer; it has only its intervals."""

    def _directory(self):
        return None

    def _own_directory(self):
        return None

    @property
    def server(self):
        """See `Turn`."""
        return urllib.parse.urlsplit(self.exporter.target.url).netloc


class Watch:
    """Watches the spools of exporters, and runs these; asks the servers of importers.

    `turns`: a list of `Turn`; `notifier`: the `zeit.cds.drivers.sdnotify.Notifier`; `problem()`:
    reads the configuration, returns one line on why it cannot be used, '' if it can.
    """

    def __init__(self, turns, *, notifier, problem, clock=time.monotonic):
        self._turns = turns
        self._notifier = notifier
        self._problem = problem
        self._clock = clock
        self._hangup = False
        self._bell = None

    def __repr__(self):
        return f'<Watch over {self._turns!r}>'

    def run(self):
        """Watch, until a signal ends it, or until it is to be reloaded: then it returns.

        SIGHUP asks for that.  If the configuration cannot be read any more, it is told, and the one
        that is known stays.
        """
        with contextlib.ExitStack() as stack:
            for turn in self._turns:
                stack.callback(turn.kept.close)
            alarm = stack.enter_context(self._alarm())
            heartbeat = stack.enter_context(Heartbeat(self._notifier))
            watched = {each for turn in self._turns for each in turn.watched}
            arriving = stack.enter_context(Arriving(sorted(watched), alarm=alarm))
            only = f', at intervals only: {arriving.obstacle}'
            how = only if watched and arriving.obstacle else ''
            log.info('%s%s', self._about, how)
            self._notifier.tell(READY=1, STATUS=self._about)
            try:
                self._watch(arriving, heartbeat)
            except BaseException:
                self._notifier.tell(STOPPING=1)
                raise
            finally:
                self._end(heartbeat)

    def _end(self, heartbeat):
        """Let runs in the background come to their ends; what does not is healed by the next."""
        for turn in self._turns:
            turn.end()
        heartbeat.allow(PATIENCE + GRACE)
        end = time.monotonic() + PATIENCE
        for turn in self._turns:
            if not turn.join(max(0, end - time.monotonic())):
                log.warning('%s: its run has not ended.', printable(turn.name))

    @property
    def _about(self):
        asked = [turn.server for turn in self._turns]
        spools, servers = {turn.new for turn in self._turns} - {None}, {*asked} - {''}
        parts = [f'watching {plural(len(spools), "spool")}'] * bool(spools)
        parts += [f'asking {plural(len(servers), "server")}'] * bool(servers)
        return ', '.join(parts).capitalize()

    def _watch(self, arriving, heartbeat):
        arrived = set()
        while True:
            for turn in self._turns:
                self._tell(turn, turn.result())
                if turn.is_due(now=self._clock(), arrived=bool(turn.watched & arrived)):
                    self._allow(heartbeat, turn.longest)
                    self._tell(turn, turn.begin(self._clock, wake=self._ring))
                if self._hangup:
                    break
            if self._hangup:
                heartbeat.allow(CHECK_TIMEOUT + GRACE)
                if self._may_reload():
                    return
                continue  # what has arrived is not forgotten over it
            idle = [turn for turn in self._turns if not turn.is_busy]
            for turn in idle:
                turn.kept.expire()
            seconds = max(0, min((turn.at - self._clock() for turn in idle), default=LOOK))
            seconds = min([seconds, *(turn.kept.left for turn in idle)])
            self._allow(heartbeat, seconds + GRACE)
            arrived = arriving.wait(seconds)

    def _allow(self, heartbeat, seconds):
        """Allow so many seconds, but none to a run in the background that hangs."""
        left = min(turn.until for turn in self._turns) - self._clock()
        heartbeat.allow(min(seconds, left))

    def _ring(self):
        """End the wait, from another thread."""
        with contextlib.suppress(BlockingIOError):  # there is something in the pipe already
            os.write(self._bell, b'.')

    def _tell(self, turn, code):
        if code is None:
            return
        about = f'{turn.title}: ' if turn.title else ''
        if code == LOGIN_REFUSED:
            pause = age(turn.at - self._clock() + 1)
            log.warning('%sNext login attempt in %s.', printable(about), pause)
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
            self._bell = ends[1].fileno()
            before = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
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
        log.error('Reload failed, keeping the old configuration: %s', reason)
        self._notifier.tell(READY=1, STATUS='Reload failed')
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
            return f'reading it took longer than {CHECK_TIMEOUT} s'
        return printable(ours.recv(), limit=500)
    except EOFError:
        child.join()
        return f'the process that read it ended with {child.exitcode}'
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
