"""How files come from a server: each is fetched when it is settled, handed over, deleted there."""

import dataclasses
import logging
from typing import NamedTuple

import zope.interface

from zeit.cds.errors import (
    DONE,
    Error,
    FileError,
    ServerError,
    SourceGone,
    raise_signal,
)
from zeit.cds.interfaces import IOutcome
from zeit.cds.target.being_written import Fresh, Look
from zeit.cds.target.fetcher import Fetcher, NoFile, StillGrowing
from zeit.cds.target.workers import work_on
from zeit.cds.text import printable
from zeit.cds.values.plan import Job, Outcome


log = logging.getLogger(__name__)

#: Why a file waits whose name somebody has not taken out of `new/` yet.
OCCUPIED = 'the name is still taken in new/'


class Waits(FileError):
    """The file stays on the server for now."""

    exit_code = DONE


class NotSettled(FileError):
    """It may be that somebody writes the file.  `fresh` is what was seen: a `Fresh`."""

    exit_code = DONE

    def __init__(self, fresh):
        super().__init__('It is being written, or was a moment ago')
        self.fresh = fresh


@zope.interface.implementer(IOutcome)
class Downloaded(NamedTuple):
    """How it ended, see `IOutcome`.

    `filed_as` is its name in `new/`, '' if it is there since an earlier run; `kept` is why it was
    not deleted on the server, or None.
    """

    job: Job
    source: object = None
    reply: str = ''
    error: Error | None = None
    filed_as: str = ''
    kept: Error | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Downloads:
    """What all connections of a run have in common.

    `wait(name, look)` returns why a file is left on the server for now, or ''.  `since` is the time
    of our `lock`, ISO 8601, `time` a `ServerTime`.  `unique`: a name that is taken in `new/` is no
    obstacle.
    """

    arrivals: object
    wait: object
    since: str
    time: object
    size_check: bool
    unique: bool
    lock: object

    def together(self):
        """Return a context manager: what is written down inside shares its way to the disk."""
        return self.arrivals.together()

    def at_once(self, function):
        """Return what `function()` returns, and what it writes down is on the disk."""
        with self.together():
            return function()


def download_files(session, plan, downloads):
    """Fetch the files of `plan`, and delete them on the server; yield an `IOutcome` for each.

    `session` is an `ITransfers`, `downloads` a `Downloads`.  For the rest it is as `upload_files`:
    a job's `open()` returns an `IIncoming`.
    """

    def downloader(each, *, call=downloads.at_once):
        return Downloader(each, downloads, call=call)

    return work_on(plan, session, ledger=downloads, new_attempts=downloader)


@dataclasses.dataclass(eq=False, kw_only=True)
class Handover:
    """A complete file that is to get into `new/`, and what comes of it.

    `modified` is the server's time of the file in ISO 8601, '' if it says nothing.  `unique`: if
    there is something of its name, it gets another one.  `filed_as` is the name that it gets, '' if
    it does not get there; `same`: an earlier run has brought it there; `refused` is why it cannot,
    or None.
    """

    name: str
    incoming: object
    modified: str
    unique: bool
    filed_as: str = ''
    same: bool = False
    refused: FileError | None = None

    def move(self):
        """Move it to `new/`; return whether it is there."""
        try:
            return self.incoming.move(self.filed_as)
        except FileError as error:  # of no concern to the others
            self.refused = error
            return False


class Downloader:
    """Downloads over one session.

    `call(function)` does what each file needs written down, together with other files.
    """

    def __init__(self, session, downloads, *, call):
        self._session = session
        self._downloads = downloads
        self._call = call
        self._fetcher = Fetcher(session, size_check=downloads.size_check)

    def __repr__(self):
        return f'<Downloader over {self._session!r}>'

    def attempt(self, job, incoming, *, followed=False):
        """Let `incoming` be the file `job.name`; return the `IOutcome`.

        `followed`: another file is likely to follow.
        """
        try:
            with self._session.during(getattr(incoming, 'rate', None), followed=followed):
                return self._download(job, incoming)
        except Error as error:
            raise_signal(error)
            return Outcome(job=job, error=error)

    def _download(self, job, incoming):
        look = self._fetch(job, incoming)
        incoming.complete()
        handover = Handover(
            name=job.name,
            incoming=incoming,
            # A time says something if whatever takes the file's place gets another one: the
            # server's clock counts in seconds, and showed `since` before the file was fetched.
            modified=look.modified if look.modified < self._downloads.since else '',
            unique=self._downloads.unique,
        )
        arrivals = self._downloads.arrivals
        self._call(lambda: arrivals.hand_over(handover))
        if handover.refused:
            raise handover.refused
        if not (handover.filed_as or handover.same):
            raise Waits(OCCUPIED)
        if handover.filed_as:
            other = handover.filed_as != job.name
            as_what = f' (as {printable(handover.filed_as)})' if other else ''
            log.info("Moved from 'tmp' to 'new': %s%s", printable(job.name), as_what)
        kept = self._delete(job.name)
        self._call(lambda: arrivals.settle(job.name, removed=kept is None, look=look))
        return Downloaded(job=job, source=incoming, filed_as=handover.filed_as, kept=kept)

    def _fetch(self, job, incoming):
        name = job.name
        look = job.entry if isinstance(job.entry, Look) else self._settled_look(job)
        if self._session.sizes_directories():
            self._fetcher.require_file(name)
        attempt = f' (attempt {job.attempt})' if job.attempt > 1 else ''
        log.info('Downloading: %s%s', printable(name), attempt)
        if look.size == 0:
            log.warning('Empty, fetched anyway: %s', printable(name))
        incoming.require_room(look.size or 0)
        try:
            return self._fetcher.fetch(name, incoming, before=look)
        except StillGrowing:
            if not look.listed:
                raise
        # Some servers list times that are not those of their answers to MDTM.
        incoming.restart()
        return self._fetcher.fetch(name, incoming, before=self._settled_look(job))

    def _settled_look(self, job):
        """Look at a file anew; return the `Look`, or raise `NotSettled`."""
        time = self._downloads.time
        earlier = job.entry if isinstance(job.entry, Fresh) else None
        if earlier is not None and earlier.look.was_read:
            if time.is_settled(earlier.look, name=job.name, earlier=earlier):
                return earlier.look  # what is fetched now is compared with that
        look = self._look(job.name, known=job.entry)
        if not time.is_settled(look, name=job.name, earlier=earlier):
            raise NotSettled(time.fresh(look))
        return look

    def _look(self, name, *, known):
        look = self._fetcher.look(name)
        if not look.exists and known:
            raise SourceGone(f'{printable(name)} has disappeared from the server')
        if not look.exists:
            raise NoFile('It is no file, or gone')
        if reason := self._downloads.wait(name, look):
            raise Waits(reason)
        return look

    def _delete(self, name):
        """Delete what was imported; return why it is still there, or None."""
        try:
            # To fetch it, another connection may have been needed.
            self._downloads.lock.watch(over=self._session)
            self._session.delete(name)
        except ServerError as error:
            try:
                if self._fetcher.look(name).exists:
                    return error
            except Error:
                return error
        except Error as error:
            raise_signal(error)
            return error  # nobody knows whether it is there; that it is imported is sure
        log.info('File removed on server: %s', printable(name))
        return None
