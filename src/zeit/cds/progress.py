"""How far a run is, for somebody who watches: see `IProgress`."""

import zope.interface

from zeit.cds.interfaces import IIncoming, IProgress, ISource


@zope.interface.implementer(IProgress)
class NoProgress:
    """Nobody watches: see `IProgress`."""

    def expected(self, *, files, size):
        """See `IProgress`."""

    def sent(self, name, position):
        """See `IProgress`."""

    def settled(self, name, *, size):
        """See `IProgress`."""


@zope.interface.implementer(ISource)
class WatchedSource:
    """An `ISource` that tells `progress`, and its `rate`, how much of the file `name` was read."""

    def __init__(self, source, *, name, progress, rate=None):
        self.rate = rate
        self._source = source
        self._name = name
        self._progress = progress
        self._position = 0

    def __enter__(self):
        self._source.__enter__()
        return self

    def __exit__(self, *exc_info):
        return self._source.__exit__(*exc_info)

    def __repr__(self):
        return f'<WatchedSource {self._source!r} at {self._position}>'

    def __getattr__(self, name):
        # What else a source can do is between the spool and its source.
        return getattr(self._source, name)

    def readinto(self, buffer):
        """See `ISource`."""
        return self._moved(self._source.readinto(buffer))

    def sendfile(self, descriptor, count):
        """See `ISource`."""
        return self._moved(self._source.sendfile(descriptor, count))

    def _moved(self, count):
        self._position += count
        if self.rate is not None:
            self.rate.moved(self._position)
        self._progress.sent(self._name, self._position)
        return count


@zope.interface.implementer(IIncoming)
class WatchedIncoming:
    """An `IIncoming` that tells `progress`, and its `rate`, how much of `name` has come in."""

    def __init__(self, incoming, *, name, progress, rate=None):
        self.rate = rate
        self._incoming = incoming
        self._name = name
        self._progress = progress

    def __enter__(self):
        self._incoming.__enter__()
        return self

    def __exit__(self, *exc_info):
        return self._incoming.__exit__(*exc_info)

    def __repr__(self):
        return f'<WatchedIncoming {self._incoming!r}>'

    def __getattr__(self, name):
        # What becomes of it in the spool is no progress of the run.
        return getattr(self._incoming, name)

    def require_room(self, size):
        """See `IIncoming`."""
        if self.rate is not None:
            self.rate.size = size or None
        self._incoming.require_room(size)

    def write(self, data):
        """See `IIncoming`."""
        self._incoming.write(data)
        if self.rate is not None:
            self.rate.moved(self._incoming.size)
        self._progress.sent(self._name, self._incoming.size)
