"""A directory on an FTP server, as `ITarget` wants it."""

import ipaddress
import logging

import zope.interface

from zeit.cds.errors import ConfigurationError
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.ftp.tls import TLS
from zeit.cds.interfaces import ITarget, IUsable
from zeit.cds.option_types import options
from zeit.cds.target.base_target import BaseTarget
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
class FTPTarget(BaseTarget):
    """See `ITarget`.

    `settings` is a `zeit.cds.ftp.connection_options.Settings`, `delivery` a `Delivery`.
    """

    @staticmethod
    def _settings(given):
        """Return the `Settings`; the options of `TLS` are called as in `TLS_OPTIONS`."""
        tls = {field: given.pop(name) for name, field in TLS_OPTIONS.items() if name in given}
        return Settings(tls=TLS(**tls), **given)

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
        also after TLS was switched on.
        """
        return self._url('ftp')

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
        self._require_address()

    def _session(self, learned, **options):
        # Whoever has nothing to send needs no client.
        from zeit.cds.ftp.capabilities import Capabilities
        from zeit.cds.target.ftp_session import FTPSession

        capabilities = Capabilities(learned)
        return FTPSession(self.settings, self.delivery, capabilities=capabilities, **options)
