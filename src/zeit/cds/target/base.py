"""What all targets are, whichever protocol they speak."""

from zeit.cds import names
from zeit.cds.system.throttle import UNLIMITED, Throttle
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.values.bandwidth import Bandwidth


class Base:
    """What an `ITarget` has of its options: `settings` of the server, and a `Delivery`."""

    def __init__(self, settings, *, delivery=None):
        self.settings = settings
        self.delivery = delivery or Delivery()
        #: What all sessions share, also those of several runs: a `Throttle`, or `UNLIMITED`.
        self.throttle = UNLIMITED
        if self.delivery.bandwidth is not None:
            self.throttle = Throttle(Bandwidth(self.delivery.bandwidth))

    def __repr__(self):
        return f'<{type(self).__name__} {self.title}>'

    @property
    def temporary(self):
        """See `ITarget`."""
        return self.delivery.temporary

    @property
    def size_check(self):
        """See `ITarget`."""
        return self.delivery.size_check

    def check(self, name):
        """See `ITarget`."""
        names.check(name, encoding=self.settings.encoding)
