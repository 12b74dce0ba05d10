"""Carrying files from a spool to a CDS server: the story, then the contracts.

zeit.cms publishes into a *spool*, a `gocept.filestore`: a file is written in `tmp/` and appears,
complete, in `new/`.  An *exporter* takes what is in `new/` to a *target*, one directory on one FTP
server, which a partner shares under a convention: whoever writes there creates the file `write`
first, whoever takes away creates `read`, and everybody else stops and comes back later.

One run, `IExporter.run_once()`, goes like this:

    spool.run()              one run per spool; directories checked before anything is sent
      spool.pending()        what is in `new/`; nothing there: no connection is made
      target.open()          -> session: connected and logged in
        the lock 'write'     look, create, look again
        session.run(plan)    for each job of the plan: send under a temporary name, wait for the
                             server's final word, compare the sizes, rename; -> outcome
        spool.done(...)      only now the file moves from `new/` to `cur/`
        the lock removed     on every way out, and never somebody else's
      session.close()
    -> report                what happened to every file; its exit code

The promise behind it: *at least once, never partial, nothing lost*.  A file is in `cur/` only after
the server's final 2xx for all of its bytes and a comparison of sizes.  Whatever happens in between,
it is still in the spool, unsent, or complete on the server; sent again in doubt.

Each part is a component: spools, targets and exporters are named utilities, an exporter adapts
(`ISpool`, `ITarget`).  Another utility or adapter registered in place of one of them is used
instead.  `zeit.cds.testing` has a target in memory that passes the same tests as the real thing.
Errors are those of `zeit.cds.errors`.
"""

from zope.interface import Attribute, Interface


class ISpool(Interface):
    """A `gocept.filestore` on a local file system, seen by the one who takes files out of it."""

    path = Attribute('The directory (`pathlib.Path`) with `tmp/`, `new/` and `cur/`')
    journal = Attribute('What it remembers (a `zeit.cds.journal.Journal`), during a run')

    def run():
        """Return a context manager: inside it, this process is the only run on this spool.

        Entering creates missing sub-directories, checks that all that is needed later is allowed
        and on one file system, and puts back what a killed run left on its way to `cur/`.

        Raises `SpoolBusy` at once if another run is active, `SpoolError` if the spool cannot be
        used as it is.  All methods below except `pending` and `status` need an active run.
        """

    def pending(*, order='arrival'):
        """Return what is in `new/`: (list of `IEntry`, list of (name, reason) that never goes).

        Regular files only: directories, FIFOs, devices, sockets and symbolic links are never
        opened, dot files are somebody else's business.  `order` is 'arrival' (by change of the
        inode, so by the move into `new/`, then name) or 'name'.  Raises `SpoolError`.
        """

    def open(entry):
        """Return the `ISource` of an entry.

        Raises `SourceGone` if it has disappeared, `SourceUnreadable` if it cannot be opened.
        """

    def done(entry, source):
        """File the delivered `entry`, sent from the open `source`, to `cur/`.

        Returns (name in `cur/`, newer entry or None).  If the name now belongs to another
        version than the one that was sent, this version stays, to be delivered next: it is
        the newer entry; `cur/` gets a copy of what was sent.  A name that is in `cur/` already
        is kept: the file gets a unique one.  A file that has disappeared meanwhile is copied to
        `cur/`, too.  On return the move survives a loss of power.  Raises `SpoolError`.
        """

    def filed(name, *, sha256):
        """Return the name in `cur/` of a file `name` with this SHA-256, or '' if there is none."""

    def park(entry, reason):
        """Put an entry into `parked/`, the reason beside it; return whether it was in `new/`."""

    def retry(name):
        """Bring a parked file back into `new/`.  Raises `FileError` if that is not possible."""

    def put(name, data):
        """Put a new file into `new/` under `name`: complete or not at all, durable on return.

        `data` is bytes or a binary file, read to its end.  A file of the same name that still
        waits is replaced (a correction).  Needs no active run.  Raises `NameRefused`.
        """

    def status():
        """Return a `ISpoolStatus`, reading only and never waiting for a run."""


class IEntry(Interface):
    """One file that waits in a spool; a value, compared by what the file system said."""

    name = Attribute('Its name: one path segment (str, undecodable bytes as surrogates)')
    size = Attribute('Its length in bytes')
    arrived = Attribute('When it came into `new/`: seconds since the epoch (float)')


class ISource(Interface):
    """An open file of the spool: a context manager that closes it."""

    size = Attribute('Its length in bytes when it was opened')
    sha256 = Attribute('The SHA-256 of what was read so far, in hexadecimal digits')

    def readinto(buffer):
        """Read into `buffer`; return the number of bytes, 0 at the end; `SourceUnreadable`."""

    def verify():
        """Raise `SourceChanged` if the file is not what it was when it was opened."""


class ISpoolStatus(Interface):
    """What a look into a spool shows; counts, bytes, seconds since the epoch."""

    path = Attribute('The directory')
    waiting = Attribute('The entries in `new/`, in the order of arrival')
    ignored = Attribute('What in `new/` will never be sent: (name, reason)')
    delivered = Attribute('The number of files in `cur/`')
    last_delivered = Attribute('(name, seconds since the epoch) of the newest in `cur/`, or None')
    parked = Attribute('(name, reason) of each file in `parked/`')
    active = Attribute('Which run is active, in words; empty if none is')


class ITarget(Interface):
    """One directory on one CDS server."""

    title = Attribute('The server in words, for the log: no secrets, nothing to escape')
    url = Attribute('What tells this directory from all others, without secrets (str)')

    def check(name):
        """Raise `NameRefused` if a file of this name cannot or must not be sent there."""

    def open():
        """Connect and log in; return an `ISession`.

        Raises `FTPOSError` if there is no server, `PermanentError` with exit code 77 if it refuses
        the login, `TemporaryError` or `RemoteProtocolError` if it does not serve now; all of them
        have `while_connecting` set.
        """


class ISession(Interface):
    """The work in the target's directory during one run.

    It opens, drops and replaces connections by itself: after an error in a transfer, and after any
    reply that cannot be trusted, the next method works on a fresh connection.  For all methods: a
    refused command raises `PermanentError` or `TemporaryError`, a broken or silent connection
    another `FTPOSError` or `RemoteProtocolError`.
    """

    connections = Attribute('The number of connections made so far')
    litter = Attribute('Names in the directory that are of no use and could not be deleted')

    def names(*, inside=''):
        """Return the names in the directory, a set of str; what is hidden may be missing.

        With `inside`, those in the directory of that name.
        """

    def size(name):
        """Return the length of the file in bytes, or None if there is no such file."""

    def modified(name):
        """Return when the file was changed (aware datetime, UTC), or None if not known."""

    def read(name, *, limit=4096):
        """Return the file's first `limit` bytes, or None if there is no such file."""

    def store(name, data):
        """Make a file of `data` (bytes) under exactly this name, checked by size."""

    def fetch(name, file):
        """Write the content of the file to the binary `file`; return the number of bytes."""

    def rename(old, new):
        """Give a file or directory another name; what happens to a file `new` is the server's."""

    def delete(name):
        """Delete a file."""

    def make_directory(name):
        """Make a directory."""

    def remove_directory(name):
        """Remove an empty directory."""

    def run(plan, *, token=None, ledger=None):
        """Work on the jobs of `plan`; yield an `IOutcome` for each as it comes.

        `token` is in the name of everything that is made on the way, a new one by default;
        `ledger` is an `ILedger`, by default one that remembers nothing.

        A generator: it asks `plan.next()` for a job when it has a connection free for one, and
        the caller's thread alone touches the plan.  An outcome's source stays open until the
        next one is asked for.  It must be closed when it is left early.  Errors of the
        connection are outcomes too: the plan decides whether to go on.
        """

    def bound(seconds):
        """From now on all must be done within so many seconds, or raises `DeadlinePassed`."""

    def hurry():
        """Somebody waits for our end: what is left is done within a few seconds, or not at all."""

    def refresh():
        """Drop the connection: the next method works on a new one."""

    def close():
        """Say goodbye and release everything; never raises, bounded to a few seconds."""


class ILedger(Interface):
    """What must be remembered of a delivery, in case that its end is never seen.

    Each method returns when the entry is durable, and raises `SpoolError` otherwise.
    """

    def uploaded(name, *, temporary, size, sha256, reply):
        """The server has all of `name`, as `temporary` ('': as `name`), and gives it its name."""

    def abandoned(name):
        """It did not, as far as is known; its temporary is going to be deleted."""

    def aside(name, aside):
        """A file `name` is going to be renamed to `aside`; the same: overwritten, by parts."""

    def tidied(name):
        """Nothing of `name` stands aside any more."""


class IPlan(Interface):
    """Which job comes next, and when to give up."""

    def next():
        """Return the next job, or None when there is none (left) to do."""


class IOutcome(Interface):
    """How one attempt to deliver one job ended."""

    job = Attribute('The job')
    source = Attribute('The `ISource` that was sent, open, if it was delivered; else None')
    reply = Attribute("The server's final word on the upload, if there was one")
    error = Attribute('Why it was not delivered: an `Error`, or None')


class IExporter(Interface):
    """Carries what waits in a spool to a target; adapts (`ISpool`, `ITarget`)."""

    spool = Attribute('The `ISpool`')
    target = Attribute('The `ITarget`')

    def run_once(options=None):
        """Export what waits now; return an `IReport`.

        `options` is a `zeit.cds.plan.Options`.  Never raises for what the report can say.
        """


class IReport(Interface):
    """What happened to every file of one run."""

    results = Attribute('A list of `IResult`, one for each file that was touched')
    errors = Attribute('What ended the run before its time, or spoilt its end: a list of `Error`')
    error = Attribute('The one of them that decides the exit code, or None')
    exit_code = Attribute('The exit code for a command that made this run')
    delivered = Attribute('The names that were delivered')
    failed = Attribute('The names that were not, as (name, reason)')


class IResult(Interface):
    """What happened to one file."""

    name = Attribute('Its name')
    size = Attribute('Its length in bytes')
    status = Attribute("'delivered', 'failed', 'parked', 'skipped', 'gone', 'planned'")
    reason = Attribute('Why, if it was not delivered; one line')
    filed_as = Attribute('Its name in `cur/`, if delivered')


class IExchangeEvent(Interface):
    """Something happened in a run.  A subscriber that raises is logged and changes nothing."""

    spool = Attribute('The `ISpool`')
    target = Attribute('The `ITarget`')


class IFileExported(IExchangeEvent):
    """A file is complete on the server and filed in `cur/`."""

    result = Attribute('The `IResult`')


class IExchangeFinished(IExchangeEvent):
    """A run has ended, the lock is released."""

    report = Attribute('The `IReport`')
