"""What all targets are, whichever protocol they speak."""

from urllib.parse import quote

from zeit.cds import names
from zeit.cds.errors import ConfigurationError, Error
from zeit.cds.option_types import options
from zeit.cds.system.throttle import UNLIMITED, Throttle
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.values.bandwidth import Bandwidth


class BaseTarget:
    """An `ITarget` but for its protocol: `settings` of the server, and a `Delivery`.

    Of a protocol are `title`, `url`, `require_usable`, and two private methods: `_settings` makes
    the settings of options, `_session` an `ISession` that is not connected.
    """

    def __init__(self, settings, *, delivery=None):
        self.settings = settings
        self.delivery = delivery or Delivery()
        #: What all sessions share, also those of several runs: a `Throttle`, or `UNLIMITED`.
        self.throttle = UNLIMITED
        if self.delivery.bandwidth is not None:
            self.throttle = Throttle(Bandwidth(self.delivery.bandwidth))

    @classmethod
    def from_options(cls, **given):
        """Return a target from the fields of its settings and of `Delivery`, by name.

        Raises `ConfigurationError` for an option that neither of them has.
        """
        delivery = {name: given.pop(name) for name in options(Delivery) if name in given}
        try:
            settings = cls._settings(given)
        except TypeError as error:
            raise ConfigurationError(f'An option of the target is not known: {error}') from None
        return cls(settings, delivery=Delivery(**delivery))

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

    def _url(self, scheme, *, safe='/'):
        """Return the `url` of `ITarget`; spellings of one host or path are the same."""
        settings = self.settings
        segments = [each for each in settings.directory.split('/') if each not in ('', '.')]
        user, path = quote(settings.user, safe=''), quote('/'.join(segments), safe=safe)
        host = settings.host.lower().rstrip('.')
        host = f'[{host}]' if ':' in host else host
        return f'{scheme}://{user}@{host}:{settings.port}/{path}'

    def _require_address(self):
        """Raise `ConfigurationError` if this machine has not the address to connect from."""
        if self.settings.bind_address is not None:
            from zeit.cds.network.sockets import require_address

            require_address(self.settings.bind_address)

    def open(self, *, within=None, learned=None, kept=None):
        """See `ITarget`."""
        session = self._session(
            learned or {},
            throttle=self.throttle,
            kept=kept if self.settings.keep_connection else None,
        )
        if within is not None:
            session.bound(within)
        try:
            session.connect()
        except ConfigurationError:
            raise  # found before there was a connection, or beside it
        except Error as error:
            error.server = self.title
            raise
        return session
