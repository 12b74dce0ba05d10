"""A directory on an FTP server, as `ITarget` wants it."""

import dataclasses
import ipaddress
import logging
from urllib.parse import quote

import zope.interface

from zeit.cds import names
from zeit.cds.delivery import Delivery
from zeit.cds.effort import Effort
from zeit.cds.errors import ConfigurationError, Error
from zeit.cds.ftp.settings import Settings
from zeit.cds.ftp.sockets import require_address
from zeit.cds.ftp.tls import TLS
from zeit.cds.ftp.ways import Ways
from zeit.cds.interfaces import ITarget, IUsable
from zeit.cds.session import FTPSession
from zeit.cds.text import printable


__all__ = ['TLS', 'Delivery', 'FTPTarget', 'Settings']

log = logging.getLogger(__name__)

#: The fields of `TLS` by the names that they have beside those of `Settings`.
TLS_OPTIONS = {
    'tls': 'mode',
    'tls_verify': 'verify',
    'tls_minimum': 'minimum',
    'tls_maximum': 'maximum',
    'tls_curve': 'curve',
    'ca_file': 'ca_file',
    'certificate': 'certificate',
    'key': 'key',
}


def is_loopback(host):
    """Return whether `host` is this machine, as far as can be seen without asking a resolver."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip('.').lower() == 'localhost'


@zope.interface.implementer(ITarget, IUsable)
class FTPTarget:
    """See `ITarget`.

    `settings` is a `zeit.cds.ftp.settings.Settings`, `delivery` a `Delivery`.  `new_effort` makes
    an `Effort`; it is for tests.
    """

    def __init__(self, settings, *, delivery=None, new_effort=Effort):
        self.settings = settings
        self.delivery = delivery or Delivery()
        self._new_effort = new_effort

    def __repr__(self):
        return f'<FTPTarget {self.title}>'

    @classmethod
    def from_options(cls, *, new_effort=Effort, **options):
        """Return a target from the fields of `Settings` and `Delivery`, by name.

        Those of `TLS` are called as in `TLS_OPTIONS`; `new_effort` is for tests.
        Raises `ConfigurationError` for an option that neither of them has.
        """
        fields = {field.name for field in dataclasses.fields(Delivery)}
        delivery = Delivery(**{k: v for k, v in options.items() if k in fields})
        tls = TLS(**{TLS_OPTIONS[k]: v for k, v in options.items() if k in TLS_OPTIONS})
        fields.update(TLS_OPTIONS)
        try:
            settings = Settings(tls=tls, **{k: v for k, v in options.items() if k not in fields})
        except TypeError as error:
            raise ConfigurationError(f'An option of the target is not known: {error}') from None
        return cls(settings, delivery=delivery, new_effort=new_effort)

    def warn_of_clear_text(self, *, level=logging.WARNING):
        """Log, if it is so, that password and files can be read by others on the way."""
        if not self.settings.tls and not is_loopback(self.settings.host):
            log.log(
                level,
                'Without TLS the password and all files can be read on the way to %s: see whether '
                'the server can do tls="explicit" (--tls explicit)',
                printable(self.settings.host),
            )

    @property
    def title(self):
        settings = self.settings
        host, user = printable(settings.host), printable(settings.user)
        tls = f', {settings.tls.mode} TLS' if settings.tls else ''
        return f'host {host}, port {settings.port}, user {user}{tls}'

    @property
    def url(self):
        """See `ITarget`.

        It begins with `ftp://` also where TLS is used: what a run left in a directory is its own
        also after TLS was switched on.  Spellings of one host or path are the same.
        """
        settings = self.settings
        segments = [each for each in settings.directory.split('/') if each not in ('', '.')]
        user, path = quote(settings.user, safe=''), quote('/'.join(segments))
        host = settings.host.lower().rstrip('.')
        host = f'[{host}]' if ':' in host else host
        return f'ftp://{user}@{host}:{settings.port}/{path}'

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

    def require_usable(self):
        """See `IUsable`: the password, the files of TLS, the address to connect from."""
        settings = self.settings
        if settings.password is not None:
            settings.password.require_usable()
        elif settings.user != 'anonymous':
            raise ConfigurationError(
                f'No password is configured for {printable(settings.user)} on '
                f'{printable(settings.host)}',
                hint='Set password_file, password_env or netrc; password="" where there is none.',
            )
        if settings.tls:
            settings.tls.require_usable()
        if settings.bind_address is not None:
            require_address(settings.bind_address)

    def open(self, *, within=None, learned=None):
        """See `ITarget`."""
        session = FTPSession(
            self.settings,
            self.delivery,
            new_effort=self._new_effort,
            ways=Ways(learned or {}),
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
