"""What programs ask for: `/metrics`, and `/healthz`."""

import math
import threading
import time

from zeit.cds.cli import snapshot
from zeit.cds.web.site import Response, plain, refuse


#: All who ask within so many seconds get the same.
FRESH = 1

#: While somebody looks, others get what is no older than so many seconds; where there is nothing,
#: they wait.
OLD = 20
PATIENCE = 5

#: What Prometheus wants to be told (its text format).
METRICS = 'text/plain; version=0.0.4; charset=utf-8'


class Facts:
    """What the spools of `select()`, a list of `SelectedSpool`, are like now.

    `max_age`: seconds after which something undelivered is ill, None for never.
    """

    def __init__(self, select, *, max_age=None, clock=time.monotonic):
        self._select = select
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self._known = None

    def __repr__(self):
        return f'<{type(self).__name__} of {self._select!r}>'

    def _snapshots(self):
        known = self._known
        age = math.inf if known is None else self._clock() - known[0]
        if age < FRESH:
            return known[1]
        if not self._lock.acquire(timeout=0 if age < OLD else PATIENCE):
            if age < OLD:
                return known[1]
            refuse(503, 'The spools are slow.')
        try:
            if self._known is known:
                taken = [snapshot.take(e, remote=False, filed=False) for e in self._select()]
                self._known = self._clock(), taken
            return self._known[1]
        finally:
            self._lock.release()

    def metrics(self, request):
        """Answer with what `status --prometheus` prints."""
        text = snapshot.as_metrics(self._snapshots())
        return Response(body=text.encode('utf-8'), type=METRICS)

    def health(self, request):
        """Answer with 200 if all is well, else with 503: a spool is not readable, or has old files.

        It is for everybody, and so names nothing.
        """
        found = self._snapshots()
        if snapshot.failures(found):
            return plain(503, 'A spool cannot be read.')
        if self._max_age is not None and snapshot.overdue(found, limit=self._max_age):
            return plain(503, 'Something is not delivered for too long.')
        return plain(200, 'All is well.')

    @property
    def routes(self):
        """Those of `zeit.cds.web.site.Site`."""
        return {'/metrics': {'GET': self.metrics}, '/healthz': {'GET': self.health}}
