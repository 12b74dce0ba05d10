"""What `zeit-cds retry` does: parked files brought back, failed publications made again."""

import zope.component

from zeit.cds.errors import FileError
from zeit.cds.interfaces import IPublisher
from zeit.cds.publish.finding import finder
from zeit.cds.run import retract_delivered
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.sequence import Sequence
from zeit.cds.text import printable


def bring_back(names, selected_spools, *, older=False):
    """Yield (name, spool's path, error) for each of `names` in each spool where it is parked.

    A name may also be the id of content that the application failed to put into a spool; that is
    tried again.  `error` is None if it waits in `new/`, and the name then the one that it has
    there.  A name that is known nowhere has the path None.  `older` as in `ISpool.retry`.  Raises
    `SpoolError`, `SpoolBusy`.
    """
    names = [*dict.fromkeys(names)]
    found = [(selected.spool, selected.spool.status()) for selected in selected_spools]
    known = set()
    for spool, status in found:
        parked = {name for name, _ in status.parked}.intersection(names)
        known |= parked
        if parked:
            with spool.run():
                done = [_retry(spool, name, older) for name in names if name in parked]
            for name, error in done:
                yield name, spool.path, error
    helpless = []
    for name in names:
        failed = [
            spool.path
            for spool, status in found
            if name in [failure.unique_id for failure in status.unpublished]
        ]
        if name not in known and not failed:
            yield name, None, _not_parked(name)
        if failed and finder() is None:
            helpless.append(name)
        elif failed:
            yield name, failed[0], _publish_again(name)
    if helpless:
        yield helpless[0], None, _without_application(helpless)


def everything(selected_spools):
    """Return what `bring_back` can do something about: names and ids, a list."""
    found = [selected.spool.status() for selected in selected_spools]
    names = [name for each in found for name, _ in each.parked if name not in each.given_up]
    names += [failure.unique_id for status in found for failure in status.unpublished]
    return [*dict.fromkeys(names)]


def _retry(spool, name, older):
    """Return (name, error): the true name, if it was brought back."""
    try:
        return spool.retry(name, older=older), None
    except FileError as error:
        return name, error


def forget(names, selected_spools):
    """Yield (name, error) for each id of content that the application failed to put into a spool.

    Nobody tries again to put it there, nor to delete on a server what was delivered of it.  Raises
    `SpoolError`, `SpoolBusy`.
    """
    for name in dict.fromkeys(names):
        known = [_forget(selected.spool, name) for selected in selected_spools]
        unknown = FileError(
            f'{printable(name)} is not a failed publication',
            hint='"zeit-cds status" lists those.',
        )
        yield name, None if any(known) else unknown


def _forget(spool, name):
    known = spool.unpublished.forget(name)
    if (spool.path / PRIVATE).exists():
        with Sequence(spool.path).visited({}) as visited:
            known = retract_delivered.forget(visited, name) or known
    return known


def _publish_again(unique_id):
    done = zope.component.getUtility(IPublisher).retry(unique_id)
    error = next((error for _, _, error in done if error is not None), None)
    if error is None:
        return None
    return FileError(
        f'{printable(unique_id)} could not be put into new/: {printable(str(error), limit=500)}',
        hint=getattr(error, 'hint', '') or 'It is kept, and will be retried.',
    )


def _without_application(ids):
    more = f', and {len(ids) - 1} more,' if len(ids) > 1 else ''
    them = 'them' if more else 'it'
    return FileError(
        f'{printable(ids[0])}{more} cannot be put into new/ here: the application that knows '
        f'{them} is not configured',
        hint='Give a ZCML file that includes the application, or let the application retry.',
    )


def _not_parked(name):
    return FileError(f'{printable(name)} is not parked', hint='"zeit-cds status" lists what is.')
