"""What becomes of delivered content that is retracted, in the application's words."""

import zope.component

from zeit.cds.interfaces import IDeliverable, IExporter, IImporter, IRetraction, ISpool
from zeit.cds.publish.rendering import notice


#: Why something is withdrawn.
RETRACTED = 'It was retracted.'

#: What is kept of an answer that could not be carried out.
DELETE, NOTHING, NOTICE = 'delete', 'nothing', 'notice'


def answer(content, name):
    """Return what the adapter to `IRetraction` for the spool `name` says, and its notice.

    The one is DELETE, NOTHING or NOTICE; the other None, or (name, content, version) of a file.
    Raises whatever the adapter does, and TypeError for another answer.
    """
    retraction = zope.component.queryAdapter(content, IRetraction, name=name)
    found = None if retraction is None else retraction.answer
    if IDeliverable.providedBy(found):
        return NOTICE, notice(found)
    if found not in (None, DELETE):
        raise TypeError(
            f'IRetraction.answer has to be None, {DELETE!r} or an IDeliverable, and is {found!r}'
        )
    return found or NOTHING, None


def spools():
    """Return (name, `ISpool`) of all spools but those that files only come into: a list."""
    filled, emptied = _spools_of(IImporter), _spools_of(IExporter)
    return [
        (name, spool)
        for name, spool in zope.component.getUtilitiesFor(ISpool)
        if id(spool) not in filled - emptied
    ]


def _spools_of(interface):
    found = set()
    for _, exchange in zope.component.getUtilitiesFor(interface):
        try:
            found.add(id(exchange.spool))
        except Exception:  # noqa: BLE001, S112 one of somebody else may raise anything
            continue  # its own runs say so
    return found
