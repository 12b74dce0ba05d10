"""The other side: a directory on a CDS server, and the work in it during one run."""

from zope.interface import Attribute, Interface


class ITarget(Interface):
    """One directory on one CDS server."""

    title = Attribute('The server in words, for the log: no secrets, nothing to escape')
    url = Attribute('What tells this directory from all others, without secrets (str)')

    size_check = Attribute('Whether a file counts only if the server tells its size')
    temporary = Attribute('Whether files are sent under another name first, and then renamed')

    def check(name):
        """Raise `NameRefused` if a file of this name cannot or must not be sent there."""

    def open(*, within=None, learned=None, kept=None):
        """Connect and log in; return an `ISession`.

        `within`: all of that, and what the session does until it is bound anew, must be done within
        so many seconds; None for no bound.  `learned` is what an earlier session had `learned`.
        `kept` is given by who makes one run after the other: it may have a connection, and gets it
        back, see `zeit.cds.target.kept_connection`.

        Raises `FTPOSError` if there is no server (`HandshakeFailed`, `CertificateRefused`: none
        that speaks TLS as it should), `PermanentError` with exit code 77 if it refuses
        the login, `TemporaryError` or `RemoteProtocolError` if it does not serve now; all of them
        have `while_connecting` set.
        """


class IUsable(Interface):
    """A spool or a target that can be looked at before there is a run.

    Each run looks at its target when it begins, also with nothing to do; see `watch --check`.
    """

    def require_usable():
        """Raise `ConfigurationError` if a run could not use it as it is.

        It looks at all that can be looked at without the network, and changes nothing.
        """


class ITransfers(Interface):
    """What uploads and downloads need of a session, beside its operations on single files.

    One at a time uses a session; `sibling` sessions are for other tasks of the same thread.  While
    one of them waits by `zeit.cds.system.polling`, the others go on.
    """

    delivery = Attribute('How files get there, a `zeit.cds.target.delivery_options.Delivery`')
    free = Attribute(
        'False while another task is at work over it, which sets this: then no method may be called'
    )
    shares = Attribute('True if a sibling works over the same connection, and so costs no login')
    garbage = Attribute('Names that are still to be deleted on the server; others may be added')
    unconfirmed = Attribute(
        'Names of which STOR, DELE or the renaming to another name was not answered: the server '
        'may execute it at any time'
    )

    def at_work():
        """Return a context manager for all transfers of a run.

        What is in `garbage` is deleted when it is left, if that is possible; after a signal in a
        `hurry`.
        """

    def during(transfer, *, followed=False):
        """Return a context manager: inside it `transfer` is under way.

        It is a `zeit.cds.values.progress.Rate`: what that says when the time is up decides whether
        its file may end.  None: it has no rate, and may not.  `followed`: another file is likely to
        follow, which the last commands of this one may prepare.
        """

    def upload(name, source, *, began=None, rename_follows=False):
        """Send the open `source` under exactly this name, compare sizes; return the final reply.

        It is '' if only the size shows that all is there.  `began(name)` is called when the server
        may have started to store: from then on there may be a part under that name.
        `rename_follows`: the file is going to get another name next.
        Raises `SizeMismatch` if the server has more or less, `TakenAway` if it has none.
        """

    def dispose_of(name):
        """Delete what is of no use, now, or later with the `garbage`; return whether it is gone."""

    def hurry():
        """Somebody waits for our end: what is left is done within a few seconds, or not at all."""

    def sibling():
        """Return another session in the same directory, with the same deadline; not connected."""

    def connect():
        """Make the connection of a sibling; raises what `ITarget.open` raises."""

    def enter():
        """Be in the directory."""

    def leave():
        """Close a sibling, with what could not be deleted still in `garbage`; never raises."""


class ISession(ITransfers):
    """Operations in the target's directory during one run.

    It opens, drops and replaces connections by itself: after an error in a transfer, unless it was
    refused before it began, and after any reply that cannot be trusted, the next method works on a
    fresh connection.  For all methods: a refused command raises `PermanentError` or
    `TemporaryError`, a broken or silent connection another `FTPOSError` or `RemoteProtocolError`.
    """

    connections = Attribute('The number of connections made so far')
    known = Attribute(
        'Names of files that are in the directory for sure, a set: what was stored (`store`) or '
        'read (`read`), and is not renamed or deleted.  Others may be added.'
    )
    learned = Attribute(
        'What was found out about the server, a dictionary of JSON values for the next `open`; it '
        'is complete after `close`, and empty if there is nothing.  It saves time, and must never '
        'do more: what is wrong, or outdated, is found out, and left out then.'
    )
    renames = Attribute('True since the server has renamed something')
    orderly = Attribute('True if it is known that the server executes packets in order')
    terms = Attribute('What its protocol calls things, for texts: `zeit.cds.target.terms.Terms`')

    def names(*, inside=''):
        """Return the names in the directory, a set of str; what is hidden may be missing.

        With `inside`, those in the directory of that name.  A name that is not among them may be
        there all the same: see `is_shown`.
        """

    def exists(name):
        """Return whether there is something called `name` in the directory, a file or not.

        Raises `NotTold` where the server's answers do not prove the one or the other.
        """

    def is_shown(present):
        """Return whether `present`, a listing, shows a file that is `known` to be there.

        Then it is believed: what it does not show is not there.  Nothing else proves that.
        """

    def tells_sizes():
        """Return whether SIZE has told the length of a file in this session.

        If it was not asked for one that is there, one that is `known` is asked about.
        """

    def is_directory(name):
        """Return whether `name` is a directory: the server lets us into it."""

    def sizes_directories():
        """Return whether SIZE tells a length of directories: then it does not tell what is a file.

        It is asked for by `files` where listings tell names only.
        """

    def require_sizes():
        """Raise `SizeMismatch` if the target wants sizes, and the server does not tell any.

        It is what can be found out without a file of ours.
        """

    def files(*, wanted=None, most=None):
        """Return what may be files in the directory: (size, modified) by name, as in `facts`.

        Where a listing tells names only, the rest is asked for, several files at a time, if
        `wanted(name)` says so, for at most `most` of them; what turns out to be a directory is left
        out.

        The names are as the server gave them, and may be anything, `../x` included: whoever uses
        one for something else than asking this session about it must check it.
        """

    def facts():
        """Return what a listing tells: (size, modified) by name, None each where it does not.

        `size` in bytes, `modified` an aware datetime, UTC.
        """

    def size(name):
        """Return the length of the file in bytes, or None if it is proven that there is none.

        Raises `NotTold` where the server tells neither.
        """

    def sizes(*names, followed=False, rename_follows=''):
        """Return a list: the length of each file, None, or the `ServerError` that was the answer.

        `followed` says that a transfer, or a listing, is likely to follow: then all are asked at
        once.  `rename_follows`: what has this name gets another one next.  Nothing else is asked.
        None is the refusal of a server that tells sizes, by the code for a file that is not
        available.  Somebody may have it in use: nothing may be deleted, overwritten, filed or
        locked because of it, see `size` and `exists`.
        """

    def modified(name):
        """Return when the file was changed (aware datetime, UTC), or None if not known."""

    def resting(name):
        """Return the size of each file that was not changed for minutes when `name` was, by name.

        So a listing for people tells; {} where it is none that is understood.
        """

    def look(name):
        """Return (size, modified) of the file, as `size` and `modified` do, at once.

        A server that does not know times is no error; one that does not know SIZE is a
        `ServerError`.
        """

    def read(name, *, limit=4096):
        """Return the file's first `limit` bytes, or None if it is proven that there is none.

        Raises `ServerError` if it is there and cannot be read, `NotTold` if that is not known.
        """

    def store(name, data, *, rename_follows=''):
        """Make a file of `data` (bytes) under exactly this name, checked by size.

        `rename_follows`: what has this name gets another one next.
        """

    def fetch(name, file, *, within=None):
        """Write the file to `file`; return the number of bytes, or None as `read` does.

        Raises `NotBegun` if the server does not begin to send it `within` so many seconds.
        """

    def rename(old, new):
        """Give a file or directory another name; what happens to a file `new` is the server's.

        A lock is not replaced, where the server can refuse that.

        Returns whether that is only inferred: no reply says that it is done, but `old` is gone, and
        something of its size has the name `new`.
        """

    def delete(name):
        """Delete a file."""

    def misspelt(names, *, token):
        """Return which of the `names` files would not get there: a `NameRefused` by name.

        What is not known of the server is tried with names that carry `token`, and removed.
        """

    def make_directory(name):
        """Make a directory."""

    def remove_directory(name):
        """Remove an empty directory."""

    def perform(*commands, followed=True, rename_follows='', trial=False):
        """Execute commands in their order; return a list of what became of each.

        They are ('MKD', name), ('RMD', name), ('DELE', name), ('SIZE', name, ...), and, as the
        first one only, ('RNTO', old, new).  What became of one is None, or the `ServerError` of its
        refusal; of SIZE it is what `sizes` returns.  `followed`: a transfer, or a listing, is
        likely to follow.  `rename_follows` as in `sizes`.

        Where the server is known to execute packets in order they are one packet: each of them is
        executed, whatever became of those before, and any number of the first of them if the
        connection breaks, perhaps late.  Elsewhere each waits for the one before, the first refusal
        is the last, and the list is shorter.  `trial`: where nothing is known of that, they are one
        packet that shows it: each needs those before, and none does harm, whenever it comes.
        """

    def bound(seconds, *, ends=False):
        """From now on all must be done within so many seconds, or raises `DeadlinePassed`.

        A file that is on its way then may have as many seconds more, see `during`.  `ends`: what is
        to be done is the end of the run, its cleaning up; that has no more.
        """

    def reconnect():
        """End the connection, in order where it is: the next method works on a new one."""

    def close():
        """Say goodbye and release everything; never raises, bounded to a few seconds."""


class ILedger(Interface):
    """What must be remembered of a delivery, in case that its end is never seen."""

    def together():
        """Return a context manager: what is written inside is durable when it is left."""

    def note(kind, name, **fields):
        """Remember what `kind` says of the file `name`; return when that is durable.

        'uploaded': the server has all of it, as `temporary`, and gives it its name; `size`,
        `sha256`, `reply` and `sequence` are those of the upload, `source` is the `version` of what
        was sent, by which a file without `sha256` is known in `cur/`.  'placed': the same, as
        `name` itself, and `temporary` is ''.

        'abandoned': it did not, as far as is known; its temporary is going to be deleted.

        'aside': what has this name is going to be renamed to `aside`; `replaced`: it was, and a
        newer file has had the name since.

        'exposed': a file of `size` bytes is going to be sent as `name` itself, a part until it is
        whole.  `before` is what stands there, as `zeit.cds.target.upload_in_place` tells it.  Until
        'placed' or 'tidied', what is found under `name` is of no use, unless it is that.

        'tidied': nothing of `name` stands aside any more, and no part of it under its own name.

        Raises `SpoolError`.
        """


class IPlan(Interface):
    """Which job comes next, and when to give up."""

    def next():
        """Return the next job, or None when there is none (left) to do."""

    strict = Attribute('True if one file must be delivered before the next one is begun')

    def waiting(most):
        """Return the jobs that are to come, `most` of them at most."""


class IOutcome(Interface):
    """How one attempt to deliver one job ended."""

    job = Attribute('The job')
    source = Attribute('The `ISource` that was sent, open, if it was delivered; else None')
    reply = Attribute("The server's final word on the upload, if there was one")
    error = Attribute('Why it was not delivered: an `Error`, or None')
