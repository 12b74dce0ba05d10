"""The frame of a run, whichever way the files go: one run per spool, the server, the lock, the end.

What is done with the files is the *work* (see `zeit.cds.run.engine`), with four methods:

    prepare()                  look what there is to do; return whether it takes the server
    dry_run(session)           say what would be done
    idle()                     there is nothing to do
    transfer(session, lock)    do it; the lock is ours
"""

import contextlib
import logging
import signal

from zeit.cds import names
from zeit.cds.errors import (
    CONFIGURATION,
    FILES_FAILED,
    SOFTWARE,
    UNAVAILABLE,
    ConfigurationError,
    DeadlinePassed,
    Error,
    Locked,
    LockLeftBehind,
    NotTold,
    ServerError,
    SpoolBusy,
    SpoolError,
    raise_signal,
)
from zeit.cds.run import hooks
from zeit.cds.run.log_and_report import REASON, LogAndReport
from zeit.cds.spool import sharing, statistics
from zeit.cds.text import printable
from zeit.cds.usable import require_usable
from zeit.cds.values.progress import Rate


log = logging.getLogger(__name__)

#: Seconds for cleaning up, however many the run has left.
CLEAN_UP = 60


def _exit_code(error):
    """Return the exit code of a process that ends by `error`, which is no `Error`."""
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    code = getattr(error, 'code', None) if isinstance(error, SystemExit) else None
    return code if isinstance(code, int) and code else SOFTWARE


def _concerns_no_file(error):
    """Let a refusal count as one of the whole run: no file is at fault."""
    if error.exit_code == FILES_FAILED:
        error.exit_code = UNAVAILABLE if error.transient else CONFIGURATION


class Run:
    """One run between `spool` and `target`, under the lock `name`.

    `options` is of `zeit.cds.values.run_options`; `renames` says that files get other names on the
    server; `clock` tells monotonic seconds, `wait` waits for some; `words` are for its
    `LogAndReport`.
    """

    def __init__(self, spool, target, options, *, name, clock, wait, renames=False, **words):
        self.spool = spool
        self.target = target
        self.options = options
        self.record = LogAndReport(spool, target, comes_again=options.comes_again, **words)
        self._name = name
        self._renames = renames
        self.clock = clock
        self.wait = wait
        #: What tells this run from others on the server, once it goes there.
        self.token = ''
        self._ending = None
        self._end = clock() + options.deadline if options.deadline else None

    def __repr__(self):
        return f'<Run between {self.spool!r} and {self.target!r}, lock {self._name!r}>'

    def execute(self, new_work):
        """Make the run: the steps, in the order in which they happen; return its report.

        `new_work(run)` returns the work, when the spool is ours.  Never raises for what a report
        can say.
        """
        started = self.clock()
        with contextlib.ExitStack() as stack:
            # When the spool is free again: nobody waits for a command of a person.
            stack.callback(self._tell)
            try:
                dry = self.options.dry_run
                stack.enter_context(self.spool.run(rehearsal=True) if dry else self.spool.run())
                self._execute(new_work)
            except Error as error:
                self.record.given_up(error)
            except BaseException as error:
                # A signal, or a bug: it was a run all the same.
                if not isinstance(error, Exception):
                    error.add_note(self.record.so_far)
                self._ended(started, code=_exit_code(error))
                raise
            # Whoever is the next one on this spool knows how this one has ended.
            self._ended(started)
        self.record.finish()
        return self.record.report

    def _execute(self, new_work):
        comes_again = self.options.comes_again
        sharing.require_alone(self.spool)
        if self.options.postponed():
            raise SpoolBusy('Another run has just ended, and the server is left alone for now')
        if not comes_again:
            self._accessed()
        try:
            require_usable(self.spool)
        except Error as error:  # parked/, which is no reason to send nothing
            self.record.given_up(error)
        for name, error, stored in self.spool.set_aside:
            if stored:
                self.record.parked(name, error.message, size=0, stored=stored)
            else:
                self.record.failed(name, error, size=0, what='put back')
        require_usable(self.target)  # also with nothing to do
        work = new_work(self)
        needs_server = work.prepare()
        if needs_server or self.spool.journal.open_tokens(self.target.url):
            if comes_again:
                self._accessed()
            self._connect(work, idle=not needs_server)
        else:
            # A run every minute does not log every minute that there is nothing to do.
            self.record.level = logging.DEBUG if comes_again else logging.INFO
            work.idle()

    def _accessed(self):
        log.info('Accessed filestore %s', printable(str(self.spool.path)))

    def _ended(self, started, *, code=None):
        if not self.options.dry_run:
            seconds = self.clock() - started
            self._ending = statistics.ended(
                self.spool,
                self.record.report,
                seconds=seconds,
                exit_code=code,
                target=self.target.url,
            )

    def _tell(self):
        if self._ending is not None:
            about = {'spool': self.spool, 'target': self.target, 'report': self.record.report}
            hooks.tell(self._ending, self.options, **about)

    def is_late(self):
        """Return whether the time of this run is used up."""
        return self._end is not None and self.clock() >= self._end

    def require_time(self):
        """Raise `DeadlinePassed` if the time of this run is used up."""
        if self.is_late():
            raise DeadlinePassed('The time of this run is used up')

    def rate(self, name, *, size):
        """Return the `Rate` of a file whose transfer begins now; see there."""
        return Rate(name, size=size, clock=self.clock, deadline=self.options.deadline)

    def _remaining(self):
        """Return how many seconds this run has left; None for no bound."""
        return None if self._end is None else self._end - self.clock()

    # On the server

    def _connect(self, work, *, idle):
        log.info('Connecting to CDS FTP server (%s)', self.target.title)
        known = self._learned()
        session = self._open(known)
        try:
            if self.options.dry_run:
                self._lock(session, token='').look()
                session.require_sizes()
                self._foresee(session)
                work.dry_run(session)
            else:
                self._enter(session, work, idle=idle)
        except Error as error:
            self._place(error)
            raise
        except BaseException:
            session.hurry()
            raise
        finally:
            session.close()
            if session.learned != known:
                self._learn(session.learned)
        log.info('Disconnected from CDS FTP server')

    def _open(self, known):
        kept = {} if self.options.kept is None else {'kept': self.options.kept}
        return self.target.open(within=self._remaining(), learned=known, **kept)

    def _learned(self):
        """Return what an earlier run has found out about the server, as long as it is believed."""
        learned = self.spool.journal.at(self.target.url).learned()
        row = self.spool.journal.row('learned', self.target.url)
        if row and row['known'] != learned:
            self._learn(learned)
        return learned

    def _learn(self, learned):
        """Write down what is known of the server now, or that it is nothing any more."""
        try:
            self.spool.journal.note('learned', target=self.target.url, known=learned)
        except SpoolError as error:
            self.record.given_up(error)

    def _foresee(self, session):
        """Say what the account may not do, as far as that shows where nothing is changed.

        Raises `ConfigurationError` if the last run was refused something as well.
        """
        rights = self._rights()
        if rights['known']:
            return
        refused = rights['why']
        error = self._lock(session, token=names.new_token()).foresee()
        if error is not None and refused:
            raise error
        if error is not None:
            log.warning('As far as a dry run can tell: %s', printable(error.advice))
        elif refused:
            log.warning('The last run could not lock: %s', printable(refused))

    def _rights(self):
        """Return what the journal knows of the kind 'rights': a dictionary."""
        row = self.spool.journal.row('rights', self.target.url) or {}
        return {'known': False, 'guard': True, 'why': '', **row}

    def _note_rights(self, *, known, guard=True, why=''):
        """Write down whether the account may do all that a lock takes; `why` not."""
        row = self.spool.journal.row('rights', self.target.url) or {}
        about = {'known': known, 'guard': guard, 'why': why}
        if about.items() - row.items():
            self.spool.journal.note('rights', target=self.target.url, **about)

    def _lock(self, session, *, token):
        from zeit.cds.lock.lock import Lock

        return Lock(
            session,
            token=token,
            name=self._name,
            renames=self._renames,
            guards=self._rights()['guard'],
            wait=self.wait,
            clock=self.clock,
        )

    def _enter(self, session, work, *, idle):
        """Tidy up what earlier runs have left; then work, unless it is `idle`."""
        from zeit.cds.lock.leftovers import Leftovers

        journal, url = self.spool.journal, self.target.url
        view = journal.at(url)
        leftovers = Leftovers(session, journal=journal, target=url, name=self._name)
        try:
            present = leftovers.remove(waits=self._is_pending)
        except (ServerError, NotTold) as error:
            _concerns_no_file(error)
            raise
        if idle:
            work.idle()
            return
        self._lock(session, token='').glance(present, proves=not self._rights()['known'])
        self.token = journal.new_token(url)
        lock = self._lock(session, token=self.token)
        self._under_lock(lock, session, work)
        # What is late may still make a temporary, which the next run looks for, also an idle one.
        unfinished = lock.touched or session.garbage or session.unconfirmed
        if not (unfinished or view.rows('exposed') or view.rows('asides')):
            journal.note('clean', token=self.token)

    def _is_pending(self, name):
        return bool(self.spool.entries([name]))

    def _under_lock(self, lock, session, work):
        try:
            self._transfer(lock, session, work)
            session.bound(CLEAN_UP, ends=True)
            self._release(lock)
        except Error:
            raise
        except BaseException as ending:
            log.warning('Stopping, cleaning up ...')
            session.hurry()
            self._release_at_last(lock, ending)
            raise

    def _place(self, error):
        """Say on which server `error` was, if it was not in the spool."""
        if not isinstance(error, SpoolError):
            error.server = self.target.title

    def _transfer(self, lock, session, work):
        try:
            log.info('Creating lock file: %s', self._name)
            self._create(lock)
            log.info('Lock file successfully created: %s', self._name)
            work.transfer(session, lock)
        except Error as error:
            raise_signal(error)
            self._place(error)
            # Noted before the lock is removed: that may fail for the same reason.
            self.record.given_up(error)

    def _create(self, lock):
        rights = self._note_rights
        try:
            if not self._rights()['known']:
                lock.prove()
                rights(known=True, guard=lock.guards)
            lock.create()
        except Locked:
            rights(known=self._rights()['known'], guard=lock.guards)  # it may have shown that
            raise
        except (ConfigurationError, ServerError, NotTold) as error:
            rights(known=False, why=error.message)
            _concerns_no_file(error)
            if not error.hint:
                error.advise(
                    f"The lock file '{self._name}' cannot be made: let the user create, rename and "
                    'delete files in the directory.'
                )
            raise

    def _release_at_last(self, lock, ending):
        """Release it after a signal, which ends the process whatever becomes of the lock."""
        try:
            self._release(lock)
        except Error as error:
            log.error('%s', printable(error.advice, limit=REASON))
            if isinstance(ending, SystemExit):
                ending.code = error.exit_code

    def _release(self, lock):
        if not lock.touched:
            return
        log.info('Removing lock file: %s', self._name)
        try:
            if lock.release():
                log.info('Lock file successfully removed: %s', self._name)
            if lock.unreadable:
                self._note_rights(known=False)
        except (ConfigurationError, LockLeftBehind):
            # Whatever the reason: the next lock is not made before it is known to go away again.
            self._note_rights(known=False)
            raise
