"""What is said and kept about a run: its log lines, its report, its events."""

import logging

import zope.event

from zeit.cds.errors import Interrupted, Locked, SpoolBusy, SpoolError
from zeit.cds.report import ExchangeFinished, Report, Result
from zeit.cds.text import plural, printable


#: The lines of a run all come from one logger, whoever of us says them.
log = logging.getLogger('zeit.cds.exchange')

#: Errors that have nothing to do with the server.
_LOCAL = (SpoolError, SpoolBusy)

#: Longest reason in a report, in characters: what happened, and what to do about it.
REASON = 500


class Record:
    """The record of one run between `spool` and `target`; `report` is what remains of it."""

    def __init__(self, spool, target):
        self._spool = spool
        self._target = target
        self.report = Report()

    def __repr__(self):
        return f'<Record of {self.report!r}>'

    def result(self, name, status, **details):
        """Keep what became of the file `name`; return the `IResult`."""
        result = Result(name=name, status=status, **details)
        self.report.results.append(result)
        return result

    def skipped(self, name, reason):
        """A file is left where it is."""
        log.warning('Not sent: %s %s', printable(name), reason)
        self.result(name, 'skipped', reason=reason)

    def failed(self, name, error, *, size):
        """A file was not delivered, because of `error`."""
        reason = printable(error.advice, limit=REASON)
        log.error('Not delivered: %s: %s', printable(name), reason)
        log.debug('The reason', exc_info=error)
        self.result(name, 'failed', size=size, reason=reason)

    def parked(self, name, reason, *, size):
        """A file was put away."""
        log.error('Parked: %s: %s', printable(name), printable(reason, limit=REASON))
        self.result(name, 'parked', size=size, reason=printable(reason, limit=REASON))

    def gone(self, name, error):
        """A file has disappeared before it was sent."""
        log.info('It has disappeared from the spool: %s', printable(name))
        self.result(name, 'gone', reason=error.message)

    def given_up(self, error):
        """The run ends because of `error`."""
        self.report.errors.append(error)
        if isinstance(error, Locked) and not error.lost:
            log.warning("Cannot access CDS FTP server as '%s' lockfile exists.", error.name)
            log.debug('%s', error.holder)
        elif isinstance(error, Locked):
            log.warning("The lock '%s' was taken over. %s", error.name, error.holder)
        elif isinstance(error, (SpoolBusy, Interrupted)):
            log.warning('%s', error.message)
        elif error.while_connecting:
            log.error('Could not connect to CDS FTP server.')
        elif not isinstance(error, _LOCAL):
            log.error('Error accessing FTP server.')

    def finish(self):
        """Say how it ended, to the log and to the subscribers."""
        report = self.report
        if isinstance(report.error, (Interrupted, Locked, SpoolBusy)):
            log.warning('Exiting.')
        elif report.error is not None:
            log.error('Exiting with exception:', exc_info=report.error)
        elif report.failed:
            done, failed = len(report.delivered), plural(len(report.failed), 'file')
            log.error('Exiting with errors: %s not delivered, %s delivered.', failed, done)
        else:
            log.info('Exiting with success.')
        self.notify(ExchangeFinished(spool=self._spool, target=self._target, report=report))

    def notify(self, event):
        """Tell the subscribers; what they do with it cannot change what has happened."""
        try:
            zope.event.notify(event)
        except Exception:  # noqa: BLE001 a subscriber may raise anything
            log.exception('A subscriber of %s failed.', type(event).__name__)
