"""One run: who makes it, what it reports, which events it sends."""

from zope.interface import Attribute, Interface


class IExporter(Interface):
    """Carries what waits in a spool to a target; adapts (`ISpool`, `ITarget`)."""

    spool = Attribute('The `ISpool`')
    target = Attribute('The `ITarget`')

    def run_once(options=None):
        """Export what waits now; return an `IReport`.

        `options` is an `Options` of `zeit.cds.values.run_options`.  Never raises for what the
        report can say.
        """


class IImporter(Interface):
    """Carries what lies in a target's directory into a spool; adapts (`ISpool`, `ITarget`)."""

    spool = Attribute('The `ISpool`')
    target = Attribute('The `ITarget`')

    def run_once(options=None):
        """Import what is there now; return an `IReport`.

        A file is deleted on the server when it is complete in `new/`, and a crash in between
        changes nothing of that: it is not delivered twice, and not lost.

        `options` is an `ImportOptions` of `zeit.cds.values.run_options`.  Never raises for what the
        report can say.
        """


class IProgress(Interface):
    """Who watches a run.  `sent` is called from any thread, the rest from that of the run."""

    def expected(*, files, size):
        """There are `files` more to be sent or fetched, of `size` bytes together.

        `size` is None where the server does not tell.
        """

    def sent(name, position):
        """`position` bytes of the file are through; fewer than before: it has begun anew."""

    def settled(name, *, size):
        """The run is done with the file, which has `size` bytes, for good or not."""


class IWakeUp(Interface):
    """Lets exporters run soon: a utility with the name of an exporter, or without one for all.

    It is asked for each file that is put into an exporter's spool.
    """

    def wake(name):
        """Let the exporter `name` run; return at once, without waiting for it.

        To wake it twice is as good as once.  What it raises is logged.
        """


class ILateWakeUp(IWakeUp):
    """One that can also do it later; asked where a publication failed, and will be tried again."""

    def wake_later(name, *, seconds):
        """Let the exporter `name` run in so many seconds; return at once."""


class IReport(Interface):
    """What happened to every file of one run."""

    done = Attribute("What is done to files that all is well with: 'delivered' or 'imported'")
    results = Attribute('A list of `IResult`, one for each file that was touched')
    errors = Attribute('What ended the run before its time, or spoilt its end: a list of `Error`')
    error = Attribute('The one of them that decides the exit code, or None')
    exit_code = Attribute('The exit code for a command that made this run')
    delivered = Attribute('The names that were delivered')
    failed = Attribute('The names that were not, as (name, reason)')
    limited = Attribute('True if `max_files` or `max_bytes` ended the run, and more waits')
    due = Attribute('When the next embargo ends: seconds since the epoch, None without one')


class IResult(Interface):
    """What happened to one file."""

    name = Attribute('Its name')
    size = Attribute('Its length in bytes')
    status = Attribute(
        "'delivered', 'failed', 'parked', 'skipped', 'gone', 'withdrawn', 'held', 'planned'; "
        "'kept': "
        "imported, but the server does not let it be deleted there; 'retracted': it was to be "
        'deleted there, the reason says what has become of it'
    )
    reason = Attribute('Why, if it was not delivered; one line')
    filed_as = Attribute('Its name in `cur/` if delivered, in `new/` if imported')
    content = Attribute("The id that the application has told of its content; '' without one")
    content_version = Attribute("Which version of the content it is, as that has told; '' without")
    seconds = Attribute('How long it took, from its beginning; None if it has not begun')


class IExchangeEvent(Interface):
    """Something happened in a run.  A subscriber that raises is logged and changes nothing."""

    spool = Attribute('The `ISpool`')
    target = Attribute('The `ITarget`')


class IFileExported(IExchangeEvent):
    """A file is complete on the server and filed in `cur/`."""

    result = Attribute('The `IResult`')


class IFileImported(IExchangeEvent):
    """A file is complete in `new/`.  After a crash this may be said once more."""

    result = Attribute('The `IResult`')


class IExchangeFinished(IExchangeEvent):
    """A run has ended, the lock is released."""

    report = Attribute('The `IReport`')
