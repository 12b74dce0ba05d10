"""How a server is looked at: as in a run, under the lock, with names that the next run would know.

Whatever happens to a check, its lock and its files carry a token of the spool's journal.  What it
finds out about the server is remembered there as that of a run is.
"""

import contextlib
import logging
import time

from zeit.cds import names
from zeit.cds.check import finding, questions
from zeit.cds.check.finding import CAN, CANNOT, UNKNOWN, WARNING, Finding
from zeit.cds.check.local import about_certificate
from zeit.cds.errors import (
    LOST,
    DataConnectionRefused,
    Error,
    FileError,
    ServerError,
    SpoolBusy,
)
from zeit.cds.run.run import Run
from zeit.cds.text import file_size, printable
from zeit.cds.values.run_options import Options


log = logging.getLogger(__name__)

#: All of it must be done within so many seconds.
LIMIT_SECONDS = 300

LOGIN, LIST, LOCK, FILES, END = 'log in', 'list', 'lock', 'send files', 'clean up'
DATA = 'move data'

#: What there is to be set where no data connection is made.
NO_DATA = (
    'let firewalls pass the ports of the server; or passive="no", if it may connect to us; or '
    'trust_pasv_address="yes", if it is behind a load balancer'
)


def server(spool, target, *, imports, wait=time.sleep, clock=time.monotonic):
    """Return the `Finding`s about the server of `target`, reached as from `spool`.

    `imports`: it is about the lock of who takes files away.
    """
    examination = Examination(
        spool,
        target,
        Options(deadline=LIMIT_SECONDS),
        name=names.READ if imports else names.WRITE,
        renames=target.temporary,
        wait=wait,
        clock=clock,
    )
    examination.examine()
    return examination.findings


class Examination(Run):
    """A run that moves no files: what would be its work are questions, see `Run`."""

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.findings = []
        self._step = LOGIN
        self._seconds = 0
        self._session = None

    def examine(self):
        """Find out what there is to be found out; `findings` has it, whatever happens."""
        try:
            with self.spool.run():
                self._connect(self, idle=False)
                self._look_behind()
        except SpoolBusy as error:
            self.findings.append(finding.failed(LOCK, error))
            self._look_only()
        except Error as error:
            self.record.report.errors.append(error)
        self.findings += map(self._failed, self.record.report.errors)

    def _look_only(self):
        """Find out what takes no lock."""
        try:
            session = self._open({})
            try:
                self._look(session)
            finally:
                session.close()
        except Error as error:
            self.findings.append(self._failed(error))

    def _failed(self, error):
        """Return the `Finding` of what has ended it."""
        if isinstance(error, DataConnectionRefused):
            return finding.failed(DATA, error)._replace(setting=NO_DATA)
        return finding.failed(self._step, error)

    # As a run, but anew

    def _learned(self):
        # What earlier ones have found out may be wrong by now.
        if super()._learned():
            self._learn({})
        return {}

    def _rights(self):
        return {**super()._rights(), 'known': False, 'guard': True}

    def _open(self, known):
        started = self.clock()
        self._session = super()._open(known)
        self._seconds = self.clock() - started
        return self._session

    def _enter(self, session, work, *, idle):
        self._look(session)
        self._step = LOCK
        super()._enter(session, work, idle=idle)

    # What is asked

    def _look(self, session):
        """Ask what takes no lock; the listing that a run begins with takes a data connection."""
        self.findings.append(Finding(LOGIN, CAN, f'in {self._seconds:.2f} s'))
        self._step = LIST
        session.names()
        ours = getattr(session, 'capabilities', None)
        if ours is not None:  # else somebody else's, of whom no more is known
            self.findings += _encryption(session)
            self.findings += _ports(ours, self.target.settings)
        abilities = getattr(session, 'abilities', None)
        if abilities is not None:
            self.findings += _by_sftp(abilities())

    def transfer(self, session, lock):
        """See `zeit.cds.run.run`: ask what takes the lock."""
        self.findings += [Finding(LOCK, CAN, 'and the lock is seen'), _guard(lock)]
        self._step = FILES
        probe = questions.Probe(session, token=self.token, now=time.time)
        with session.at_work():
            try:
                for name, question in questions.QUESTIONS.items():
                    self._ask(name, question, probe)
                probe.tidy()
            except BaseException:
                probe.abandon()
                raise
        self._step = END

    def _ask(self, name, question, probe):
        """Ask; once more if the connection is lost: a bad moment says nothing of the server."""
        try:
            try:
                self.findings += [*question(name, probe)]
            except LOST as error:
                if error.while_connecting:
                    raise
                log.debug('Asked once more: %s: %s', name, printable(error.message))
                self.findings += [*question(name, probe)]
        except (ServerError, FileError, *LOST) as error:
            if error.while_connecting:
                raise
            why = printable(error.message, limit=finding.TEXT_CHARACTERS)
            self.findings.append(Finding(name, UNKNOWN, why, setting=error.hint))

    def _look_behind(self):
        """Say what the end of the session has shown, and what stays on the server."""
        if getattr(getattr(self._session, 'capabilities', None), 'orderly', None):
            about = 'in order, several changes in one: locks take fewer round trips from now on'
            self.findings.append(Finding('take packets', CAN, about))
        if left := self._session.garbage:
            about = f'left there: {", ".join(map(printable, left))}'
            self.findings.append(Finding(END, WARNING, about, 'the next run deletes it'))


def _encryption(session):
    """Yield what there is to say of TLS, where it is spoken."""
    protection = session.connection.protection
    if protection is None:
        return
    from zeit.cds.check import certificates

    version, cipher, shown = protection.facts
    yield Finding('speak TLS', CAN, f'{version}, {cipher}')
    if protection.connections:
        if protection.resumed:
            yield Finding('resume TLS', CAN, 'for data connections')
        else:
            instead = 'a whole handshake for each file'
            yield Finding('resume TLS', CANNOT, 'for data connections', instead)
    with contextlib.suppress(ValueError):
        yield about_certificate('certificate', certificates.parse(shown), time.time())


def _by_sftp(server):
    """Yield what there is to say of an SFTP server, the `zeit.cds.sftp.capabilities.Abilities`."""
    yield Finding('speak SSH', CAN, printable(f'{server.version}, {server.cipher}'))
    if server.replaces:
        yield Finding('replace at once', CAN, 'by posix-rename')
    else:
        instead = 'what is there gets another name first: a reader may see neither for a moment'
        yield Finding('replace at once', CANNOT, 'no posix-rename', instead)
    if server.syncs:
        yield Finding('sync files', CAN, 'each file is on its disk, by fsync')
    else:
        yield Finding('sync files', UNKNOWN, 'no fsync')
    if server.digest:
        yield Finding('compare', CAN, f'{server.digest} of each file, by check-file')
    else:
        yield Finding('compare', CANNOT, 'no check-file', 'its size is compared')
    if server.space is not None:
        about = f'{file_size(server.space.free)} are free, by statvfs'
        yield Finding('tell its room', CAN, about)


def _ports(capabilities, settings):
    """Yield how a data connection was made, just now."""
    newer, older = ('EPSV', 'PASV') if settings.passive else ('EPRT', 'PORT')
    if settings.epsv == 'no' or settings.trust_pasv_address:
        yield Finding(DATA, CAN, f'by {older}, as configured')
    elif capabilities.epsv:
        yield Finding(DATA, CAN, f'by {newer}')
    else:
        # Of commands in one packet the wrong one may have been blamed.
        about = '' if capabilities.together else 'with other commands at least'
        yield Finding(f'use {newer}', CANNOT, about, older, 'epsv="no" saves to ask for it')
        yield Finding(DATA, CAN, f'by {older}')


def _guard(lock):
    if lock.guards:
        return Finding('guard locks', CAN, 'by a directory that is renamed')
    return Finding(
        'guard locks',
        CANNOT,
        'directories are not made, or not renamed, or merged',
        'locks are announced: one more listing for each lock, see docs/lock.txt',
    )
