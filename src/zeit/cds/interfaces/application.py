"""What connects us with the application around us: its settings, its publications."""

from zope.interface import Attribute, Interface


class IProductConfiguration(Interface):
    """Where an application keeps settings: texts or numbers, by package and key.

    The utility without a name is asked while ZCML is executed.  The one of zeit.cms is registered
    where that is installed, otherwise the one of zope.app.appsetup.
    """

    def __call__(package, key):
        """Return the value (str, int, float or bool), or None if there is none."""


class IDeliverable(Interface):
    """Content as a file; the one adapter that an integrator writes for each type of content.

    It is registered with the name of the spool that the file goes into: for two partners there are
    two adapters.  It may also return None in place of itself, which means: it shall not go.

    What failed is tried again later, and what goes then is what the content is by then: `wanted`
    has to be False for what was withdrawn meanwhile.
    """

    name = Attribute('The name of the file')
    wanted = Attribute(
        'Whether it shall go (bool), and is published; the rest is used only if it shall'
    )

    def open():
        """Return its content: a binary file, which is read to its end and closed."""


class IVersionedDeliverable(IDeliverable):
    """One that tells which version of the content it is."""

    version = Attribute('For the receipt: a str, or what `str` makes one of, or None')


class ITimedDeliverable(IDeliverable):
    """One that tells when it goes; see `ISpool.put`."""

    priority = Attribute('What has a larger one goes first: an int, or None')
    not_before = Attribute('When its embargo ends: a datetime with a time zone, or None')
    not_after = Attribute('When it expires: the same')


class IRetraction(Interface):
    """What becomes of delivered content that is retracted: an adapter of it, named like a spool.

    Where there is none, the partner keeps what he has.
    """

    answer = Attribute(
        "What the partner gets: None, nothing; 'delete': what was delivered is deleted on the "
        'server, if it is there as it was; or an `IDeliverable`: its file is put into the spool, '
        'whatever it says of `wanted`, if the partner has the content'
    )


class IPublisher(Interface):
    """Puts content that was published into spools, as the adapters to `IDeliverable` want it."""

    def publish(content):
        """Put `content` into the spool of each of its adapters; return the names of the files.

        Raises nothing: what fails is logged with the id of the content, `uniqueId`, and kept with
        the spool until it works.  What it has changed in the current transaction is undone then,
        see `IScope.part`.  What was kept in memory is written, if that can be done by now.
        Exporters are woken when all that is in the spools.
        """

    def retract(content):
        """Withdraw from all spools what waits for `content`, and forget what failed of it.

        What was delivered is dealt with as the adapters to `IRetraction` say.
        In a transaction this is done when that is committed.  What is published later goes.  Raises
        nothing: what fails is logged, kept with the spool, and tried again as publications are.
        """

    def retry(unique_id=None):
        """Try again what was kept; return a list of (id, name of the spool, error or None).

        With `unique_id` only this content.  The content is found by `IContentFinder`, so it has to
        happen inside of the application, but in no transaction: each content has one of its own,
        which sees the present.  Where another one is open, that is the error.  Raises nothing.
        """

    def retry_due():
        """Try again what has waited long enough since its last failure; return like `retry`.

        The pauses grow with each failure.  What was kept in memory, as its spool could not be
        written, is due as soon as that can be.  Nothing happens where no `IContentFinder` is, nor
        in a transaction of the caller.  What somebody else publishes at the moment is left to him.
        Content that is not found here makes the pause of this process longer, and nobody else's.
        Raises nothing.
        """


class IContentFinder(Interface):
    """Finds content of the application; the utility without a name is used.

    It may also be an interface that ids, which are texts, are adapted to.  Where nothing is
    registered that does so, the application is not here.
    """

    def __call__(unique_id):
        """Return the content with this id, None if there is none.

        Whatever it raises means that it cannot tell, and is asked again.
        """


class IStillWanted(Interface):
    """Is asked about each file before it goes: an adapter of `ISpool`, for whoever has one."""

    def wanted(entry):
        """Return whether the file of this `IEntry` shall go; if not, it is withdrawn.

        If it raises something, the file waits for the next run.
        """


class IWorkingCopies(Interface):
    """What holds copies that somebody works on: an interface is the utility without a name.

    If something is removed from there, the content is where it was.
    """


class IScope(Interface):
    """What calls of the application have around them; the utility without a name is used.

    That is its site, connection, principal, transaction: whatever adapters to `IDeliverable`, an
    `IContentFinder` and subscribers need.  Both methods return a context manager.
    """

    def own():
        """Begin all of it, for a call by nobody: a thread, a worker, the command line.

        At the end it is committed, after an error aborted; nothing stays open.
        """

    def part():
        """Begin a part of what the caller has, which goes on: what fails inside is undone."""

    def is_open():
        """Return whether the caller has a transaction, which sees what was when it began."""

    def at_commit(key, call):
        """Call `call()` right before the caller's transaction is committed, and once more after.

        After an abort it is not called any more.  It raises nothing.  It takes the place of what
        was given with the same key before; None calls nothing.
        """


class IUnpublished(Interface):
    """What should have been put into a spool, or retracted, and was not.

    What cannot be written is kept in memory, and is part of `content` in this process.
    """

    def alone(unique_id, *, within=0):
        """Return a context manager: inside it nobody else puts this content into the spool.

        Raises `SpoolBusy` if somebody does so for longer than `within` seconds, and OSError.
        """

    def add(unique_id, reason, *, retracts=False, answer='', until=0):
        """Remember one more failure of the content with this id; return how many there were.

        Of a retraction, if it `retracts`: then the others are those of the `IFailure`; `until` may
        be a time, see `ISpool.latest`.  What comes later takes the place of what failed before.
        Raises `SpoolError` or `SpoolBusy` if it is in memory only.
        """

    def find(unique_id):
        """Return the `IFailure` of the content with this id, None if there is none."""

    def renew(failure):
        """Write an `IFailure` anew, as its transaction is committed only now.

        No attempt that began before settles it then; one that has done so may have read what was
        before, so it is kept again.  Not if the content was retracted since.  Raises as `add` does.
        """

    def save():
        """Write what is in memory only; return the ids, a list.  Raises as `add` does."""

    def forget(unique_id):
        """Forget about it; return whether it was known."""

    def settle(failure):
        """Forget an `IFailure`, unless the same content has failed again since."""

    def content():
        """Return a list of `IFailure`, the oldest first."""


class IFailure(Interface):
    """One content that should have been put into a spool, or retracted."""

    unique_id = Attribute('Its id in the application')
    reason = Attribute('Why it failed the last time, one line')
    attempts = Attribute('How often it has failed')
    since = Attribute('When it failed first: seconds since the epoch (float)')
    last = Attribute('When it failed last: seconds since the epoch (float)')
    retracts = Attribute('Whether it should have been retracted (bool)')
    until = Attribute('What has at most this number, see `ISpool.retract`, must not go; 0 without')
    answer = Attribute(
        "What becomes of what was delivered: 'delete', 'nothing', '' if that is not known yet; see "
        '`IRetraction`'
    )


class IFilePut(Interface):
    """An event: a file was put into a spool, where it waits now.

    Who wants to deliver at once subscribes to it, or registers an `IWakeUp`.  Sent by `ISpool.put`
    and by what puts files in transactions; not by a program that moves a file into `new/` by
    itself.  A subscriber that raises is logged and changes nothing; only what is no Exception, such
    as SystemExit, goes through, out of the commit of a transaction, too, which stays committed.
    """

    spool = Attribute('The `ISpool`')
    name = Attribute('The name of the file')
    last = Attribute('False if more follow that were put together with it, in a transaction (bool)')
    content = Attribute("The id that the application has told of its content; '' without one")
    content_version = Attribute("Which version of the content it is, as that has told; '' without")


class IPublicationFailed(Interface):
    """An event: a content could not be put into a spool, and is kept there to be tried again."""

    spool = Attribute('The `ISpool`')
    unique_id = Attribute('The id of the content')
    reason = Attribute('Why it failed, one line')
    pause = Attribute('In so many seconds it is due to be tried again')


class IOutbox(Interface):
    """A spool in transactions; adapts `ISpool` where the package transaction is installed."""

    def put(name, data, **about):
        """Put a file into `new/` when the current transaction is committed, see `ISpool.put`.

        After an abort there is nothing of it; savepoints can be used.  Raises `NameRefused`, and
        `SpoolError`, also in the vote, and there `SpoolBusy`; nothing later.
        """

    def retract(content, reason, *, until, failed, delete=False, notice=None, unanswered=None):
        """Retract a content, see `ISpool.retract`, when the current transaction is committed.

        What was put of it in this transaction before does not come.  Returns False, and does
        nothing, if none was begun.  Raises nothing later, nor in the vote: what has failed then is
        given to `failed(error)`; and when it is done, what has kept an `IRetraction` from its
        answer: `unanswered`, an error.
        """


class IBatch(Interface):
    """Files that come into a spool together or not at all, even if the process is killed.

    Its methods raise `SpoolError` or `SpoolBusy`; after `commit` or `abort` it is of no further
    use.
    """

    names = Attribute('The names of the files')
    told = Attribute(
        'What the application has told of each, by name: see `zeit.cds.journal.kinds.told`'
    )

    def put(name, data, **about):
        """Add a file, replacing one of the same name; see `ISpool.put`."""

    def forget(content):
        """Take out the files of the content with this id; `rollback` brings them back."""

    def retract(content, reason, *, until, delete=False, notice=None):
        """Retract a content, see `ISpool.retract`, when they come."""

    def mark():
        """Return a mark to come back to."""

    def rollback(mark):
        """Forget what was put since the mark was set."""

    def prepare(*, description='', user='', asks=False):
        """Make everything durable: from here on the files are in doubt if this process dies.

        Each file gets its number here, see `IEntry`; raises `SpoolBusy` if it cannot.
        `description` and `user` say whose transaction it is.  With `asks` a run leaves them alone
        as long as it cannot ask an `ITransactionOutcome`.
        """

    moved = Attribute('The names of those that `commit` has moved into `new/`')

    def commit():
        """Move the files into `new/`; what was prepared gets there, if need be by the next run.

        One that cannot be moved does not keep the others.  One whose name has got a newer version
        since does not replace that.
        """

    def close():
        """Let go of them: what was prepared is in doubt, as if this process had died."""

    def abort():
        """Remove them; does nothing after `commit` or `close`.

        What cannot be removed at the moment is held back as long as this process lives, and
        removed as soon as that is possible.
        """


class IInDoubt(Interface):
    """Files of a process that died between the vote and the end of its transaction."""

    names = Attribute('The names of the files')
    retractions = Attribute(
        'What is retracted: (id, reason, number, whether to delete, notice), see `ISpool.retract`'
    )
    description = Attribute("The transaction's note")
    user = Attribute("The transaction's user")
    since = Attribute('When it voted: seconds since the epoch (float)')
    asks = Attribute('Whether the application wanted to be asked (bool)')
    committed = Attribute('True if it is known to be committed: the next run files them')


class ITransactionOutcome(Interface):
    """The application's word on its transactions: an adapter of `ISpool`, for whoever has one.

    Without one, files in doubt are delivered.
    """

    def committed(doubt):
        """Return whether the transaction of this `IInDoubt` was committed, None for not known yet.

        It is asked by each run until it knows.
        """
