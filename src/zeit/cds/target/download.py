"""How files come from a server: each is looked at, fetched, handed over, deleted there."""

import dataclasses
import logging
from typing import NamedTuple

import zope.interface

from zeit.cds.errors import (
    DONE,
    Error,
    FileError,
    NameRefused,
    NotBegun,
    NotTold,
    NoValue,
    RemoteProtocolError,
    ServerError,
    SizeMismatch,
    SourceGone,
    raise_signal,
)
from zeit.cds.interfaces import IOutcome
from zeit.cds.target.settled import GONE, Fresh, Look
from zeit.cds.target.workers import work_on
from zeit.cds.text import printable
from zeit.cds.values.plan import Job, Outcome


log = logging.getLogger(__name__)

#: Some servers (zope.server) never begin to send an empty file: so many seconds are enough for one
#: that sends it.  It is not left out: some say so of files whose length they do not know.
EMPTY = 2


class StillGrowing(FileError):
    """The server's file changed while it was being fetched: somebody writes it."""

    exit_code = DONE
    transient = True


class NoFile(FileError):
    """There is no file of that name, only something else, or nothing any more."""

    exit_code = DONE


class _TooMuch(FileError):
    """More came than the server has said that there is."""


class _Bounded:
    """Writes to `incoming`, but not more than `limit` bytes; None for no limit."""

    def __init__(self, incoming, *, limit):
        self._incoming = incoming
        self._limit = limit
        self._size = 0

    def __repr__(self):
        return f'<Bounded {self._incoming!r}, {self._size} of {self._limit} bytes>'

    def write(self, data):
        """Write `data`; raise `_TooMuch` in its place if it does not fit."""
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            raise _TooMuch(f'More comes than the {self._limit} bytes that the server has')
        self._incoming.write(data)


class _Length:
    """Counts the bytes that are written to it, in `size`, and keeps nothing."""

    def __init__(self):
        self.size = 0

    def __repr__(self):
        return f'<Length {self.size}>'

    def write(self, data):
        """Count these bytes, too."""
        self.size += len(data)


class Fetcher:
    """Looks at files over `session`, and fetches them.

    `size_check`: only what is confirmed by SIZE is taken.
    """

    def __init__(self, session, *, size_check=True):
        self._session = session
        self._size_check = size_check
        self._knows_size = True

    def __repr__(self):
        return f'<Fetcher over {self._session!r}>'

    def look(self, name):
        """Return the `Look` at the file `name`, as it is now.

        Raises `NotTold` if it is listed, or may
        be there, `SizeMismatch` if the server does not tell sizes and they are wanted.
        """
        try:
            return self._look(name)
        except (FileError, ServerError):
            if self._session.is_directory(name):
                return GONE
            raise

    def _look(self, name):
        if not self._knows_size:
            return self._look_without_size(name)
        try:
            size, modified = self._session.look(name)
        except NotTold as error:
            if self._session.tells_sizes():
                if error.listed and isinstance(error.__cause__, NoValue):
                    # So ftp-srv says it; whatever comes when it is fetched is too much.
                    return Look(0, self.modified(name), is_said=False)
                raise  # of others it tells the size
            if self._size_check:
                raise SizeMismatch(
                    f'The server does not tell the size of the file: {error.message}',
                    hint='If it never does, use size_check="no" (--no-size-check).',
                ) from error
            self._knows_size = False
            return self._look_without_size(name)
        if size is None:
            return GONE
        return Look(size, modified.isoformat() if modified else '')

    def require_file(self, name):
        """Raise `NoFile` if `name` is a directory."""
        if self._session.is_directory(name):
            raise NoFile('It is a directory')

    def _look_without_size(self, name):
        """The same on a server that does not know SIZE.

        If it knows no times either, only the file itself tells whether it is there, and whether it
        grows: nothing is claimed, and nothing deleted, because of what was not answered.
        """
        if modified := self.modified(name):
            return Look(None, modified)
        length = _Length()
        if self._session.fetch(name, length) is None:
            return GONE
        return Look(length.size, '', was_read=True)

    def modified(self, name):
        """Return the time of the file `name` in ISO 8601, '' if it is not known."""
        try:
            found = self._session.modified(name)
        except (ServerError, RemoteProtocolError) as error:
            log.debug('The server tells no time: %s', printable(error.message))
            return ''
        return found.isoformat() if found else ''

    def fetch(self, name, incoming, *, before):
        """Write the file `name` into `incoming` (`IIncoming`), and compare; return the last `Look`.

        `before` is an earlier `Look`, of whose size no more is taken: a server must not fill the
        disk.  Raises `NoFile` if it is a
        directory, `StillGrowing` if the file is not what it was then, `SizeMismatch` if it is, but
        something else arrived, `SourceGone` if it is not there.
        """
        too_much = None
        bounded = _Bounded(incoming, limit=before.size)
        empty = before.size == 0 and before.is_said and not before.was_read
        try:
            if self._session.fetch(name, bounded, within=EMPTY if empty else None) is None:
                raise SourceGone(f'{printable(name)} has disappeared from the server')
        except _TooMuch as error:
            too_much = error
        except NotBegun:
            if not empty:
                raise
        except ServerError:
            self.require_file(name)
            raise
        if before.was_read and too_much is None:
            after = before._replace(size=incoming.size)  # it was read once more just now
        else:
            after = self.look(name)
        if not after.exists:
            raise SourceGone(f'{printable(name)} has disappeared from the server')
        if not after.agrees(before):
            raise StillGrowing('It is being written: it changed while it was fetched')
        if too_much is not None:
            raise SizeMismatch(
                too_much.message,
                hint='The rest was not waited for; the next run fetches it again.',
            )
        if after.size not in (None, incoming.size):
            raise SizeMismatch(
                f'{incoming.size} bytes arrived, but the server has {after.size}',
                hint='What arrived is discarded; the next run fetches it again.',
            )
        return after


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
    it does not get there; `same`: an earlier run has brought it there; `refused` is why it cannot
    have its name, or None.
    """

    name: str
    incoming: object
    modified: str
    unique: bool
    filed_as: str = ''
    same: bool = False
    refused: NameRefused | None = None

    def move(self):
        """Move it to `new/`; return whether it is there."""
        try:
            return self.incoming.move(self.filed_as)
        except NameRefused as error:  # of no concern to the others
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
