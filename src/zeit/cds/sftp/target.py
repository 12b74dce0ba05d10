"""A directory on an SFTP server, as `ITarget` wants it."""

import os

import zope.interface

from zeit.cds.errors import ConfigurationError
from zeit.cds.interfaces import ITarget, IUsable
from zeit.cds.sftp.connection_options import Settings
from zeit.cds.target.base_target import BaseTarget
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.text import printable


__all__ = ['Delivery', 'SFTPTarget', 'Settings']


@zope.interface.implementer(ITarget, IUsable)
class SFTPTarget(BaseTarget):
    """See `ITarget`.

    `settings` is a `zeit.cds.sftp.connection_options.Settings`, `delivery` a `Delivery`.
    """

    @staticmethod
    def _settings(given):
        return Settings(**given)

    @property
    def title(self):
        """See `ITarget`."""
        settings = self.settings
        return printable(
            f'host {settings.host}, port {settings.port}, user {settings.user}, by SFTP'
        )

    @property
    def url(self):
        """See `ITarget`."""
        return self._url('sftp', safe='/~')

    def require_usable(self):
        """See `IUsable`: who we are, and the files for that."""
        settings = self.settings
        if not (settings.ssh_key or settings.ssh_agent or settings.password is not None):
            raise ConfigurationError(
                f'Nothing says how {printable(settings.user)} logs in on '
                f'{printable(settings.host)}',
                hint='Set ssh_key (--ssh-key), ssh_agent (--ssh-agent), or a password.',
            )
        for secret in settings.password, settings.passphrase:
            if secret is not None:
                secret.require_usable()
        for path in settings.ssh_key, settings.ssh_certificate:
            if path is not None and not os.access(path, os.R_OK):
                raise ConfigurationError(
                    f'{printable(path)} cannot be read', hint='Check its name, owner and mode.'
                )
        self._require_address()

    def _session(self, learned, **options):
        # Whoever has nothing to send needs no client, nor does anybody who has targets by FTP only.
        from zeit.cds.sftp.capabilities import Capabilities
        from zeit.cds.sftp.session import SFTPSession

        capabilities = Capabilities(learned)
        return SFTPSession(self.settings, self.delivery, capabilities=capabilities, **options)
