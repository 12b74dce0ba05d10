"""What is said and kept about a run: its log lines, its report, its events."""

import collections
import logging

import zope.event

from zeit.cds import scope
from zeit.cds.errors import Interrupted, Locked, SpoolBusy, Withdrawn
from zeit.cds.report import ExchangeFinished, Report, Result
from zeit.cds.text import plural, printable, retry
from zeit.cds.tracing import Trace


#: The lines of a run all come from one logger, whoever of us says them.
log = logging.getLogger('zeit.cds.exchange')

#: Longest reason in a report, in characters: what happened, and what to do about it.
REASON = 500

#: So many failures of a kind are said as errors; the others are in the log, and in the report.
SHOWN = 20


class Record:
    """The record of one run between `spool` and `target`; `report` is what remains of it.

    `done` and `begun` say what a run does to a file: 'delivered', 'sent', or 'imported', 'taken'.
    `comes_again`: it is no warning that another run is active, see `zeit.cds.plan.Options`.
    """

    def __init__(self, spool, target, *, done='delivered', begun='sent', comes_again=False):
        self._spool = spool
        self._target = target
        self._done = done
        self._begun = begun
        #: That of the lines which say that all is well.
        self.level = logging.INFO
        self._busy = logging.DEBUG if comes_again else logging.WARNING
        self.report = Report(done=done)
        #: What the application has told of files, by name: see `zeit.cds.kinds.told`.
        self.told = {}
        self._said = collections.Counter()
        #: Names of files to which it is done, and whose result was not written down any more.
        self.unsettled = frozenset()
        self._trace = Trace(spool, target, done=done)

    def __repr__(self):
        return f'<Record of {self.report!r}>'

    def started(self, name):
        """Work on the file `name` begins."""
        self._trace.started(name)

    def result(self, name, status, **details):
        """Keep what became of the file `name`; return the `IResult`."""
        result = Result(name=name, status=status, **{**self.told.get(name, {}), **details})
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
        log.log(level, 'Not %s: %s: %s', what or self._done, printable(name), reason)
        log.debug('The reason', exc_info=error)
        self.result(name, 'failed', size=size, reason=reason)

    def _severity(self, status):
        """Return the level for one more of this status: a mail needs no hundred lines."""
        self._said[status] += 1
        return logging.ERROR if self._said[status] <= SHOWN else logging.INFO

    def _say_more(self):
        for status, what in ('failed', f'not {self._done}'), ('kept', 'not removed on the server'):
            more = self._said[status] - SHOWN
            if more > 0:
                number = plural(more, 'more file')
                log.error('And %s %s; -v and a log file have them all.', number, what)

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
        if isinstance(error, Withdrawn):
            reason = printable(error.message, limit=REASON)
            log.info('Withdrawn, and not delivered: %s: %s', printable(name), reason)
            self.result(name, 'withdrawn', reason=reason)
            return
        where = 'spool' if self._begun == 'sent' else 'server'
        log.info('It has disappeared from the %s: %s', where, printable(name))
        self.result(name, 'gone', reason=error.message)

    def limited(self):
        """A bound of the run has ended it, and more waits."""
        self.report.limited = True
        log.info('The limit of this run is reached; the next one goes on.')

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
        return f'{number} {self._done}; the next run goes on with the rest.'

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
        text = f'{failed} not {self._done}, {len(self.report.delivered)} {self._done}'
        return f'{text}, {plural(kept, "file")} not removed on the server' if kept else text

    def notify(self, event):
        """Tell the subscribers; what they do with it cannot change what has happened."""
        try:
            with scope.around():
                zope.event.notify(event)
        except Exception:  # noqa: BLE001 a subscriber may raise anything
            log.exception('A subscriber of %s failed.', type(event).__name__)
