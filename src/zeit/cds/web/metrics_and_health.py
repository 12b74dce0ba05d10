"""What programs ask for: `/metrics`, and `/healthz`."""

import time

from zeit.cds.browser.shared_look import Looks
from zeit.cds.cli import snapshot
from zeit.cds.web.routes import Response, plain


#: What Prometheus wants to be told (its text format).
METRICS = 'text/plain; version=0.0.4; charset=utf-8'


class MetricsAndHealth:
    """What the spools of `select()`, a list of `SelectedSpool`, are like now.

    `max_age`: seconds after which something undelivered is not well, None for never.
    """

    def __init__(self, select, *, max_age=None, clock=time.monotonic):
        self._select = select
        self._max_age = max_age
        self._looks = Looks(self._take, clock=clock)

    def __repr__(self):
        return f'<{type(self).__name__} of {self._select!r}>'

    def _take(self):
        return [snapshot.take(each, remote=False, filed=False) for each in self._select()]

    def forget(self):
        """See `Looks`."""
        self._looks.forget()

    def metrics(self, request):
        """Answer with what `status --prometheus` prints."""
        text = snapshot.as_metrics(self._looks.get())
        return Response(body=text.encode('utf-8'), type=METRICS)

    def health(self, request):
        """Answer with 200 if all is well, else with 503: a spool is not readable, or has old files.

        It is for everybody, and so names nothing.
        """
        found = self._looks.get()
        if snapshot.failures(found):
            return plain(503, 'A spool cannot be read.')
        if self._max_age is not None and snapshot.overdue(found, limit=self._max_age):
            return plain(503, 'Something is not delivered for too long.')
        return plain(200, 'All is well.')

    @property
    def routes(self):
        """Those of `zeit.cds.web.routes.Application`."""
        return {'/metrics': {'GET': self.metrics}, '/healthz': {'GET': self.health}}
