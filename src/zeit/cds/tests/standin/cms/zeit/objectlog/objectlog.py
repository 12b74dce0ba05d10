"""The log is a list in memory; in vivi it is in the ZODB, and found inside of its site only."""

import zope.interface
import zope.security.management

from zeit.objectlog.interfaces import IObjectLog


@zope.interface.implementer(IObjectLog)
class ObjectLog:
    """See `IObjectLog`."""

    def __init__(self):
        self._lines = []

    def log(self, object, message):  # noqa: A002 as in zeit.objectlog
        """See `IObjectLog`.  Raises NoInteraction."""
        participations = zope.security.management.getInteraction().participations
        principal = participations[0].principal.id if participations else None
        self._lines.append((object.uniqueId, principal, message))

    def get_log(self, object):  # noqa: A002 as in zeit.objectlog
        """See `IObjectLog`."""
        return [line[1:] for line in self._lines if line[0] == object.uniqueId]
