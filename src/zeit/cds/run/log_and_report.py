"""What is said and kept about a run: its log lines, its report, its events."""

import collections
import logging
import time

import zope.event

from zeit.cds import scope
from zeit.cds.errors import Expired, Held, Interrupted, Locked, SpoolBusy, Withdrawn
from zeit.cds.monitoring.tracing import Trace
from zeit.cds.text import plural, printable, retry
from zeit.cds.values.report import ExchangeFinished, Report, Result


#: The lines of a run all come from one logger, whoever of us says them.
log = logging.getLogger('zeit.cds.run.run')

#: Longest reason in a report, in characters: what happened, and what to do about it.
REASON = 500

#: The most failures of a kind that are logged as errors; the others are logged as information.
SHOWN = 20


class LogAndReport:
    """The record of one run between `spool` and `target`; `report` is what remains of it.

    `done` and `begun` say what a run does to a file: 'delivered', 'sent', or 'imported', 'taken'.
    `comes_again`: it is no warning that another run is active, see `zeit.cds.values.run_options`.
    """

    def __init__(self, spool, target, *, done='delivered', begun='sent', comes_again=False):
        self._spool = spool
        self._target = target
        self.done = done
        self._begun = begun
        #: That of the lines which say that all is well.
        self.level = logging.INFO
        self._comes_again = comes_again
        self._busy = logging.DEBUG if comes_again else logging.WARNING
        self.report = Report(done=done)
        #: What the application has told of files, by name: see `zeit.cds.journal.kinds.told`.
        self.told = {}
        self._begun_at = {}
        self._said = collections.Counter()
        #: Names of files to which it is done, and whose result was not written down any more.
        self.unsettled = frozenset()
        self._trace = Trace(spool, target, done=done)

    def __repr__(self):
        return f'<LogAndReport of {self.report!r}>'

    def started(self, name):
        """Work on the file `name` begins, perhaps once more."""
        self._begun_at.setdefault(name, time.monotonic())
        self._trace.started(name)

    def result(self, name, status, **details):
        """Keep what became of the file `name`; return the `IResult`."""
        begun = self._begun_at.pop(name, None)
        seconds = None if begun is None else time.monotonic() - begun
        about = {'seconds': seconds, **self.told.get(name, {}), **details}
        result = Result(name=name, status=status, **about)
        self.report.results.append(result)
        self._trace.result(result)
        return result

    def skipped(self, name, reason):
        """A file is left where it is."""
        log.warning('Not %s: %s %s', self._begun, printable(name), reason)
        self.result(name, 'skipped', reason=reason)

    def failed(self, name, error, *, size, what=''):
        """A file was not delivered or imported, or what `what` says, because of `error`."""
        reason = printable(error.advice, limit=REASON)
        level = self._severity('failed')
        log.log(level, 'Not %s: %s: %s', what or self.done, printable(name), reason)
        log.debug('The reason', exc_info=error)
        self.result(name, 'failed', size=size, reason=reason)

    def _severity(self, status):
        """Return the level for one more of this status: a mail needs no hundred lines."""
        self._said[status] += 1
        return logging.ERROR if self._said[status] <= SHOWN else logging.INFO

    def _say_more(self):
        for status, what in ('failed', f'not {self.done}'), ('kept', 'not removed on the server'):
            more = self._said[status] - SHOWN
            if more > 0:
                number = plural(more, 'more file')
                log.error('And %s %s; see them all with -v or in a log file.', number, what)

    def parked(self, name, reason, *, size, stored):
        """A file was put away, and is called `stored` there."""
        log.error(
            'Parked: %s: %s. "%s" brings it back.',
            printable(name),
            printable(reason, limit=REASON).rstrip('.'),
            retry(self._spool.path, stored),
        )
        self.result(name, 'parked', size=size, reason=printable(reason, limit=REASON))

    def left(self, name, reason):
        """A file stays on the server for now, as it should."""
        log.info('Left on the server: %s: %s', printable(name), reason)
        self.result(name, 'skipped', reason=reason)

    def kept(self, name, error):
        """A file was imported, but the server does not let it be deleted there."""
        if not error.hint:
            error.advise('Let the account delete files there; the next run tries again.')
        reason = printable(f'It is imported, but stays on the server: {error.advice}', limit=REASON)
        log.log(self._severity('kept'), '%s: %s', printable(name), reason)
        self.result(name, 'kept', reason=reason)

    def gone(self, name, error):
        """A file has disappeared before it was sent, or taken."""
        if isinstance(error, Held):
            self.held(name, error)
            return
        if isinstance(error, Withdrawn):
            reason = printable(error.message, limit=REASON)
            level = logging.WARNING if isinstance(error, Expired) else logging.INFO
            log.log(level, 'Withdrawn, not delivered: %s: %s', printable(name), reason)
            self.result(name, 'withdrawn', reason=reason)
            return
        where = 'spool' if self._begun == 'sent' else 'server'
        log.info('Disappeared from the %s: %s', where, printable(name))
        self.result(name, 'gone', reason=error.message)

    def held(self, name, error):
        """A file waits, as a person wants it: a `Held` says why."""
        reason = printable(error.message, limit=REASON)
        # Of a spool that is held as a whole one line is enough.
        often = self._comes_again or (error.everything and self._said['held'])
        self._said['held'] += 1
        level = logging.DEBUG if often else logging.INFO
        log.log(level, 'Held, not %s: %s: %s', self._begun, printable(name), reason)
        self.result(name, 'held', reason=reason)

    def embargoed(self, until):
        """A file may go from this moment on (seconds since the epoch)."""
        self.report.due = min(until, self.report.due or until)

    def limited(self):
        """A bound of the run has ended it, and more waits."""
        self.report.limited = True
        log.info('The limit of this run is reached; the next run continues.')

    def given_up(self, error):
        """The run ends because of `error`."""
        self.report.errors.append(error)
        if isinstance(error, Locked) and not error.lost:
            log.warning("Cannot access CDS FTP server as '%s' lockfile exists.", error.name)
            log.debug('%s', error.holder)
        elif isinstance(error, Locked):
            log.error('%s. %s', error.message, error.holder)
        elif isinstance(error, SpoolBusy):
            log.log(self._busy, '%s', error.message)
        elif isinstance(error, Interrupted):
            log.warning('%s', error.message)
        elif error.while_connecting:
            log.error('Could not connect to CDS FTP server.')
        elif error.server:
            log.error('Error accessing FTP server.')

    @property
    def so_far(self):
        """What was done, of a run that does not come to its end."""
        unsettled = self.unsettled - {*self.report.delivered}
        number = plural(len(self.report.delivered) + len(unsettled), 'file')
        return f'{number} {self.done}; the next run continues with the rest.'

    def finish(self):
        """Say how it ended, to the log and to the subscribers."""
        self._say_more()
        report = self.report
        if isinstance(report.error, SpoolBusy):
            log.log(self._busy, 'Exiting.')
        elif isinstance(report.error, (Interrupted, Locked)):
            log.warning('Exiting.')
        elif report.error is not None:
            log.error('Exiting with exception:', exc_info=report.error)
        elif report.failed:
            log.error('Exiting with errors: %s.', self._counts())
        else:
            log.log(self.level, 'Exiting with success.')
        self._trace.finish(report)
        self.notify(ExchangeFinished(spool=self._spool, target=self._target, report=report))

    def _counts(self):
        kept = sum(result.status == 'kept' for result in self.report.results)
        failed = plural(len(self.report.failed) - kept, 'file')
        text = f'{failed} not {self.done}, {len(self.report.delivered)} {self.done}'
        return f'{text}, {plural(kept, "file")} not removed on the server' if kept else text

    def notify(self, event):
        """Tell the subscribers; what they do with it cannot change what has happened."""
        try:
            with scope.around():
                zope.event.notify(event)
        except Exception:  # noqa: BLE001 a subscriber may raise anything
            log.exception('A subscriber of %s failed.', type(event).__name__)
