"""A directory on an FTP server, as `ITarget` wants it."""

import ipaddress
import logging
from urllib.parse import quote

import zope.interface

from zeit.cds.errors import ConfigurationError, Error
from zeit.cds.ftp.server_options import Settings
from zeit.cds.ftp.tls import TLS
from zeit.cds.interfaces import ITarget, IUsable
from zeit.cds.option_types import options
from zeit.cds.target.base import Base
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.text import printable


__all__ = ['TLS', 'Delivery', 'FTPTarget', 'Settings']

log = logging.getLogger(__name__)

#: The fields of `TLS` by the names of the options.
TLS_OPTIONS = {option.name: field for field, option in options(TLS).items()}


def is_loopback(host):
    """Return whether `host` is this machine, as far as can be seen without asking a resolver."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip('.').lower() == 'localhost'


@zope.interface.implementer(ITarget, IUsable)
class FTPTarget(Base):
    """See `ITarget`.

    `settings` is a `zeit.cds.ftp.server_options.Settings`, `delivery` a `Delivery`.
    """

    @classmethod
    def from_options(cls, **given):
        """Return a target from the fields of `Settings` and `Delivery`, by name.

        Those of `TLS` are called as in `TLS_OPTIONS`.
        Raises `ConfigurationError` for an option that neither of them has.
        """
        delivery = {name: given.pop(name) for name in options(Delivery) if name in given}
        tls = {field: given.pop(name) for name, field in TLS_OPTIONS.items() if name in given}
        try:
            settings = Settings(tls=TLS(**tls), **given)
        except TypeError as error:
            raise ConfigurationError(f'An option of the target is not known: {error}') from None
        return cls(settings, delivery=Delivery(**delivery))

    def warn_of_clear_text(self, *, level=logging.WARNING):
        """Log, if it is so, that password and files can be read by others on the way."""
        if not self.settings.tls and not is_loopback(self.settings.host):
            log.log(
                level,
                'Without TLS the password and all files can be read on the way to %s: check '
                'whether the server supports tls="explicit" (--tls explicit)',
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
            from zeit.cds.network.sockets import require_address

            require_address(settings.bind_address)

    def open(self, *, within=None, learned=None, kept=None):
        """See `ITarget`."""
        # Who has nothing to send, needs no client.
        from zeit.cds.ftp.capabilities import Capabilities
        from zeit.cds.target.session import FTPSession

        session = FTPSession(
            self.settings,
            self.delivery,
            capabilities=Capabilities(learned or {}),
            kept=kept if self.settings.keep_connection else None,
            throttle=self.throttle,
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
