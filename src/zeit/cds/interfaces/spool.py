"""The local side: a spool and what is in it."""

import math

from zope.interface import Attribute, Interface


class ISpool(Interface):
    """A `gocept.filestore` on a local file system, seen by the one who takes files out of it."""

    path = Attribute('The directory (`pathlib.Path`) with `tmp/`, `new/` and `cur/`')
    arrivals = Attribute('The path of the directory in which what is to be sent appears')
    own_arrivals = Attribute(
        'That in which something appears when a file is brought back for this one of several '
        'partners alone; None if it is in the other one'
    )
    journal = Attribute('What it remembers (a `zeit.cds.journal.journal.Journal`), during a run')
    unpublished = Attribute('What the application failed to put into it: an `IUnpublished`')
    set_aside = Attribute(
        '(name, `FileError`, name in parked/) of what a killed run had left, and could not be '
        "read; the last is '' for what cannot be moved, and stays until a person has put that right"
    )

    def run(*, rehearsal=False, acknowledges=False):
        """Return a context manager: inside it, this process is the only run on this spool.

        Entering creates missing sub-directories, checks that all that is needed later is allowed
        and on one file system, and puts back what a killed run left on its way to `cur/`.  A
        `rehearsal` only wants to look: where no run has been yet, nothing is created.
        `acknowledges`: a person knows what is damaged or missing, and nobody is told any more.

        Raises `SpoolBusy` at once if another run is active, `SpoolError` if the spool cannot be
        used as it is.  All methods below except `pending` and `status` need an active run.
        """

    def pending(*, order='arrival'):
        """Return what is in `new/`: (list of `IEntry`, list of (name, reason) that never goes).

        Regular files only: directories, FIFOs, devices, sockets and symbolic links are never
        opened, dot files are somebody else's business.  `order` is 'arrival' (by their numbers) or
        'name'.  In a run each entry has a number; those that are seen for the first time get
        theirs by the change of the inode, which is the move into `new/`.  Raises `SpoolError`.
        """

    def queue(*, order='arrival', notable=None):
        """Return what waits for a run, as it is now: an object with `names`, `ignored`, `notable`.

        `names`, a list, are all that may be sent, in the `order` of `pending`; `ignored` as there.
        `notable` are the entries, in their sequence, of what has a priority or a time, or is of the
        same content as such a file, or has a name with `notable(name)`, if that is given: light
        ones, of which only name, version and number are right, and what the application has told.
        It is for many files: all else comes later, see `entries`.  Raises `SpoolError`.
        """

    def is_plain():
        """Return whether the journal tells of no file that has a priority or a time.

        Then nothing is notable but by its name.  Raises `SpoolError`.
        """

    def entries(names):
        """Return the entries of what waits by these `names`, in their order; some may be gone.

        In a run each has a number, see `pending`.  Raises `SpoolError`.
        """

    def missing(name):
        """Return why what was in the `queue` by this `name` waits no more.

        An error: `Withdrawn`, or `SourceGone` if nothing tells.  Raises `SpoolError`.
        """

    def open(entry):
        """Return the `ISource` of an entry.

        Raises `SourceGone` if it has disappeared, `SourceUnreadable` if it cannot be opened, and
        `NotMoved` if it is known that it can neither be filed nor parked.
        """

    def filed_at(stored):
        """Return the path of what is in `cur/` by the name `stored`, as a receipt has it."""

    def look(name):
        """Return the `ISource` of what waits as `name`, for who does not send it.

        Raises what `open` does.
        """

    def done(entry, source):
        """File the delivered `entry`, sent from the open `source`, to `cur/`.

        Returns (name in `cur/`, newer entry or None).  If the name now belongs to another
        version than the one that was sent, this version stays, to be delivered next: it is
        the newer entry; `cur/` gets a copy of what was sent.  A name that is in `cur/` already
        is kept: the file gets a unique one.  A file that has disappeared meanwhile is copied to
        `cur/`, too.  The move survives a kill, and a loss of power when `sync` has returned.

        Raises `SpoolError`; `NotMoved` if this file cannot be moved, and others can;
        `SourceChanged`, and the file stays, if what was read when it was sent,
        see `ISource.sha256`, is not what is to be filed.
        """

    def untimely(entries):
        """Return why some of `entries`, which were `pending`, must not go now: errors by name.

        `Embargoed` (also what is of the same content as an earlier one that is), or `Expired`.
        """

    def require_timely(number):
        """Raise that of the version with this number."""

    def sync():
        """Make what is `done` survive a loss of power.  Raises `SpoolError`."""

    def require_filing():
        """Let a file take the way from `new/` to `cur/`, in a run that has something to send.

        Raises `SpoolError` if what is delivered could not be filed.  The file has a dot name, is
        shown nowhere, and gone on return; the next run removes what a killed one has left.
        """

    def filed(name, *, sha256, version=None):
        """Return the name in `cur/` of a file `name` with this SHA-256, or '' if there is none.

        Where that is '', it is the file of this `version` (see `IEntry`), if that is given.
        """

    def park(entry, reason):
        """Put an entry into `parked/`, the reason beside it; return its name there.

        '' if this version of it is not in `new/` any more.

        Its true name and its number are beside it, too.  Raises `NotMoved`, as `done` does.
        """

    def retry(name, *, older=False):
        """Bring the file that is called `name` in `parked/` back into `new/`; return its true name.

        It is a run of its own where this thread has none on the spool, and raises `SpoolBusy` where
        another one is active.  Raises `FileError` if a newer version of it waits, was delivered, or
        is parked, too; with `older` it is brought back all the same, with a new number, and what
        waits in its place is parked.  Raises `FileError` also if it is not parked, or its true name
        is not known; `NotMoved` if it cannot be moved, and others can.
        """

    def put(
        name,
        data,
        *,
        tell=True,
        content='',
        content_version='',
        priority=0,
        not_before=None,
        not_after=None,
    ):
        """Put a new file into `new/` under `name`: complete or not at all, durable on return.

        `data` is bytes or a binary file, read to its end.  A file of the same name that still
        waits is replaced (a correction).  `content` is the id of what is in it, where the
        application has ids, `content_version` tells which version of that (str): they go along,
        into each receipt.  The log says if one of another content is replaced.  Needs no active
        run.  Sends `IFilePut` if it is to `tell`, raises `NameRefused`, also for a name that begins
        with a dot, and TypeError for other `data`.

        What has a larger `priority` (int, from -1000 to 1000) goes first.  No run sends it before
        the time `not_before`, its embargo; what was not delivered by `not_after` is withdrawn, as
        it has expired.  Both are datetimes with a time zone: others raise ValueError, and so does a
        span that is empty.  If these cannot be written down, it is not put: `SpoolError`,
        `SpoolBusy`.  They are
        those of this version: what is put next under the name has its own.
        """

    def withdraw(name, reason, *, until=math.inf):
        """Take the file that waits as `name` out of `new/`; return whether it does not go.

        Only a version whose number is not above `until`.
        It waits for no run: one that is about to send it finds that out, and cleans up.  What the
        server has already, or is about to give its name, goes.  The bytes remain in `withdrawn/`,
        the receipt has the `reason`, one line.  Raises `SpoolError`, `SpoolBusy`.
        """

    def resend(name):
        """Put what was delivered last as `name` into `new/` once more: a copy of what is in `cur/`.

        It is compared with its receipt, by size and SHA-256.  It waits for no run.  Raises
        `FileError` if there is no receipt, or no such file; if a newer version waits, is parked or
        in doubt; or if it was retracted, or has expired.  `SpoolBusy` if one is being delivered at
        this moment.
        """

    def prune(keep=None, *, dry_run=False):
        """Delete from `cur/` what was delivered and is not to be kept; see `docs/operations.txt`.

        `keep`: a `zeit.cds.values.run_options.Keep`, by default that of the spool.  Returns what is
        deleted, or would be in a `dry_run`: a list of objects with `name` (in `cur/`), `size` and
        `at` (when it was delivered, ISO 8601), the oldest first.  What has no receipt stays, and so
        does what is not what was delivered, by size and SHA-256, or what a run may look for still.
        It waits for no run.  Raises `SpoolError`, `SpoolBusy`.
        """

    def drop(name, reason):
        """Give up what waits, or is parked, as `name`: it is in `parked/` then, and no alarm.

        `retry` brings it back by its name.  It waits for no run.  Returns its name in `parked/`, ''
        if there is nothing of that name.  Raises `SpoolError`, `SpoolBusy`: also if it is being
        delivered at this moment.
        """

    def hold(name, reason):
        """Let no run send what is called `name`, now or later, or anything if that is ''.

        It waits for no run.  Returns whether a version of it is being delivered at this moment, and
        may go still.  The `reason` is one line.  Raises `FileError` for a name
        that no file has, `SpoolError`, `SpoolBusy`.
        """

    def release(name):
        """Undo `hold` with this `name`; return whether it was held.  Raises what `hold` does."""

    def latest(*, new=False, before=''):
        """Return the largest number so far, see `IEntry`, or a `new` one, which is larger.

        `before`: the largest one of that time (ISO 8601, UTC), by the clock of whoever took it.
        Raises `SpoolError`, `SpoolBusy`.
        """

    def retract(content, reason, *, until, delete=False, notice=None):
        """Withdraw what waits, or is parked, of the content with this id; return the names.

        Only versions whose number is not above `until`, a new one, see `latest`; so it is with what
        failed of it, see `IUnpublished`, which is forgotten.  For the rest see `withdraw`.  With
        `delete` the next run deletes on the server what was delivered of them, if that is there as
        its receipt says; something newer of its name stays.  A `notice` is a file that tells the
        partner, (name, data, version): it is put with the number `until` if he has the content, or
        is about to get it, as far as receipts tell, and has got no notice since; it is withdrawn
        when the content is put once more.  Raises what `put` does.
        """

    def retracted(content, *, since):
        """Return whether the content with this id was retracted since this number was `latest`."""

    def batch():
        """Return an `IBatch`: files that are put together or not at all.  Raises `SpoolError`."""

    def receive(name, *, temporary):
        """Return the `IIncoming` for a file that will be `name`, now `temporary` in `tmp/`.

        Raises `NameRefused` for a name that no file of a spool may have, `SpoolError`.
        """

    def recover(name, *, temporary, size, sha256, inode=None):
        """Bring an `IIncoming` of a run that was killed to its end.

        Returns True if it is in `new/` as `name`: it was moved just now, being complete in `tmp/`,
        of this `size` (bytes) and `sha256`, or is there with this `sha256`; or if it was there: it
        is in `cur/`, with this `inode`.  Otherwise False: that it is gone proves nothing.
        """

    def sync_arrivals():
        """Make what was received, and what was moved to `new/`, survive a loss of power."""

    def has(name):
        """Return whether there is something called `name` in `new/`."""

    def sweep():
        """Delete from `tmp/` what killed runs of this spool have left there."""

    def adopt(*, forget=False):
        """Take for its own what is on servers of the spool that this one was copied from.

        For a spool that is a copy, or was restored, or of which that is not known: nothing on a
        server is taken for its own before a person says so.  `forget` says the opposite.  Returns
        the URLs of the targets, a list, empty if there is nothing to decide.  It is a run: raises
        `SpoolBusy`, `SpoolError`.
        """

    def status():
        """Return a `ISpoolStatus`, reading only and never waiting for a run."""


class IPartner(ISpool):
    """One of several partners of a spool: what waits there for it, and all that is its own.

    It is a spool in which files appear that wait in the other one, until they were delivered, or
    are not to be.  What is delivered goes to `cur/` of that when all partners have it.  What is
    done in a spool, such as `ISpool.withdraw`, is done for all of its partners; what is done here
    is for one.
    """

    name = Attribute('The name of its exporter')
    shared = Attribute('The `ISpool` whose files it gets')

    def without_exporter():
        """Return the names of partners for whom files wait, and who have no exporter, sorted."""


class IEntry(Interface):
    """One file that waits in a spool; a value, compared by what the file system said."""

    name = Attribute('Its name: one path segment (str, undecodable bytes as surrogates)')
    size = Attribute('Its length in bytes')
    arrived = Attribute('When it came into `new/`: seconds since the epoch (float)')
    number = Attribute(
        'Its number: what came later has a larger one, by no clock; 0 if no run has seen it yet'
    )
    content = Attribute("The id that the application has told of its content; '' without one")
    content_version = Attribute("Which version of the content it is, as that has told; '' without")
    priority = Attribute('What the application has told: the larger, the earlier it goes; or 0')
    not_before = Attribute("When its embargo ends, as that has told (ISO 8601, UTC); '' without")
    not_after = Attribute("When it expires, the same; '' without")
    waits_since = Attribute(
        'When it came, or its embargo ends if that is later: seconds since the epoch (float)'
    )


class ISource(Interface):
    """An open file of the spool: a context manager that closes it."""

    size = Attribute('Its length in bytes when it was opened')
    number = Attribute('The number of this version, see `IEntry`')
    version = Attribute('Which version of the file it is, see `IEntry`')
    rate = Attribute('What `watch` was given: how fast it is, or None')
    sha256 = Attribute(
        "The SHA-256 of what was read so far, in hexadecimal digits; '' after `skip_digest`"
    )

    def readinto(buffer):
        """Read into `buffer`; return the number of bytes, 0 at the end; `SourceUnreadable`."""

    def skip_digest():
        """Compute no digest: that takes longer than all else for a large file."""

    def watch(moved, *, rate):
        """Call `moved(count)` from now on, when so many bytes were read."""

    def digest():
        """Read to the end; return the SHA-256 of the whole file, in hexadecimal digits."""

    def require_wanted():
        """Raise `Withdrawn` if it was, or is `Held`, `SourceGone` if its name is not in `new/`.

        Otherwise it counts as delivered from then on.  It is asked when the journal has that all of
        it is on the server, or is going to be there under its own name.
        """

    def verify():
        """Raise `SourceChanged` if the file is not what it was when it was opened."""


class IIncoming(Interface):
    """A file that comes into a spool, in `tmp/`.  All methods raise `SpoolError`.

    `require_room`, `write` and `complete` raise a `SpoolFull` where there is no room for this file.

    A context manager, which discards it unless it is to be kept.
    """

    temporary = Attribute('Its name in `tmp/`')
    size = Attribute('The number of bytes written so far')
    sha256 = Attribute('The SHA-256 of what was written so far, in hexadecimal digits')
    inode = Attribute('The number of its inode, after `complete`; None before')

    def require_room(size):
        """See whether so many bytes have room on the disk, before they are fetched."""

    def write(data):
        """Add bytes."""

    def complete():
        """There will be no more: on return its content survives a loss of power.

        That it is in `tmp/`, or in `new/`, does so after `ISpool.sync_arrivals`.
        """

    def restart():
        """Forget what was written."""

    def keep():
        """Leaving the context does not discard it any more: the journal is about to know it."""

    def move(name):
        """Move it to `new/`.

        Returns False if something of that name is there, which is left alone.  Raises `FileError`
        for what concerns no other file: it is not in `tmp/` any more, or cannot have this name.
        """

    def discard():
        """Delete it from `tmp/`; may be called again."""


class ISpoolStatus(Interface):
    """What a look into a spool shows; counts, bytes, seconds since the epoch.

    What is about `cur/` and `withdrawn/` is looked up when it is asked for, and may raise
    `SpoolError`: there may be a hundred thousand files.
    """

    path = Attribute('The directory')
    partners = Attribute('The names of its partners, if it has several, a tuple')
    waiting = Attribute('The entries in `new/`, in the order of arrival')
    ignored = Attribute('What in `new/` will never be sent: (name, reason)')
    hidden = Attribute('Names in `new/` that begin with a dot, like temporary files: never sent')
    delivered = Attribute('The number of files in `cur/`')
    withdrawn = Attribute('The number of files in `withdrawn/`')
    last_delivered = Attribute('(name, seconds since the epoch) of the newest in `cur/`, or None')
    parked = Attribute('(name, reason) of each file in `parked/`')
    given_up = Attribute('The names of those that a person has given up, a set: they are no alarm')
    parked_content = Attribute(
        'By these names, what the application has told of them: dictionaries, with `content` and '
        '`content_version`, or empty'
    )
    unpublished = Attribute('What the application failed to put into it: a list of `IFailure`')
    held = Attribute(
        'What is held: by name the reason and since when (float); the name is that of all files if '
        "it is ''"
    )
    in_doubt = Attribute('Files of transactions whose end is not known: a list of `IInDoubt`')
    filing = Attribute('The entries of what was sent, and is on its way to `cur/`')
    active = Attribute('Which run is active, in words; empty if none is')
    numbers = Attribute('What the journal counts, a `zeit.cds.spool.statistics.Statistics`')
