"""Carrying files from a spool to a CDS server: the story, then the contracts.

zeit.cms publishes into a *spool*, a `gocept.filestore`: a file is written in `tmp/` and appears,
complete, in `new/`.  An *exporter* takes what is in `new/` to a *target*, one directory on one FTP
server, which a partner shares under a convention: whoever writes there creates the file `write`
first, whoever takes away creates `read`, and everybody else stops and comes back later.

One run, `IExporter.run_once()`, goes like this:

    spool.run()              one run per spool; directories checked before anything is sent
      spool.queue()          what is in `new/`; nothing there: no connection is made
      target.open()          -> session: connected and logged in
        the lock 'write'     look, create, look again
        upload_files(...)    for each job of the plan: send under a temporary name, wait for the
                             server's final word, compare the sizes, rename; -> outcome
        spool.done(...)      only now the file moves from `new/` to `cur/`
        the lock removed     on every way out, and never somebody else's
      session.close()
    -> report                what happened to every file; its exit code

The promise behind it: *at least once, never partial, nothing lost*.  A file is in `cur/` only after
the server's final 2xx for all of its bytes and a comparison of sizes.  Whatever happens in between,
it is still in the spool, unsent, or complete on the server; it is re-sent if that is uncertain.

The other way, an *importer* takes what a partner has left in the directory: under the lock `read`,
each file goes to `tmp/` of a spool, is compared in size, gets into `new/`, and only then is deleted
on the server.

Each part is a component: spools, targets, exporters and importers are named utilities; the latter
two adapt (`ISpool`, `ITarget`).  Another utility or adapter registered in place of one of them is
used instead.  `zeit.cds.testing` has a target in memory that passes the same tests as the real
thing.  Errors are those of `zeit.cds.errors`.
"""

from zeit.cds.interfaces.application import (
    IBatch,
    IContentFinder,
    IDeliverable,
    IFailure,
    IFilePut,
    IInDoubt,
    IOutbox,
    IProductConfiguration,
    IPublicationFailed,
    IPublisher,
    IRetraction,
    IScope,
    IStillWanted,
    ITimedDeliverable,
    ITransactionOutcome,
    IUnpublished,
    IVersionedDeliverable,
    IWorkingCopies,
)
from zeit.cds.interfaces.exchange import (
    IExchangeEvent,
    IExchangeFinished,
    IExporter,
    IFileExported,
    IFileImported,
    IImporter,
    ILateWakeUp,
    IProgress,
    IReport,
    IResult,
    IWakeUp,
)
from zeit.cds.interfaces.spool import (
    IEntry,
    IIncoming,
    IPartner,
    ISource,
    ISpool,
    ISpoolStatus,
)
from zeit.cds.interfaces.target import (
    ILedger,
    IOutcome,
    IPlan,
    ISession,
    ITarget,
    ITransfers,
    IUsable,
)
