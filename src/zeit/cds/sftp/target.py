"""A directory on an SFTP server, as `ITarget` wants it."""

import os
from urllib.parse import quote

import zope.interface

from zeit.cds.errors import ConfigurationError, Error
from zeit.cds.interfaces import ITarget, IUsable
from zeit.cds.option_types import options
from zeit.cds.sftp.server_options import Settings
from zeit.cds.target.base import Base
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.text import printable


__all__ = ['Delivery', 'SFTPTarget', 'Settings']


@zope.interface.implementer(ITarget, IUsable)
class SFTPTarget(Base):
    """See `ITarget`.

    `settings` is a `zeit.cds.sftp.server_options.Settings`, `delivery` a `Delivery`.
    """

    @classmethod
    def from_options(cls, **given):
        """Return a target from the fields of `Settings` and `Delivery`, by name.

        Raises `ConfigurationError` for an option that neither of them has.
        """
        delivery = {name: given.pop(name) for name in options(Delivery) if name in given}
        try:
            settings = Settings(**given)
        except TypeError as error:
            raise ConfigurationError(f'An option of the target is not known: {error}') from None
        return cls(settings, delivery=Delivery(**delivery))

    @property
    def title(self):
        """See `ITarget`."""
        settings = self.settings
        return printable(
            f'host {settings.host}, port {settings.port}, user {settings.user}, by SFTP'
        )

    @property
    def url(self):
        """See `ITarget`; spellings of one host or path are the same."""
        settings = self.settings
        segments = [each for each in settings.directory.split('/') if each not in ('', '.')]
        user, path = quote(settings.user, safe=''), quote('/'.join(segments), safe='/~')
        host = settings.host.lower().rstrip('.')
        host = f'[{host}]' if ':' in host else host
        return f'sftp://{user}@{host}:{settings.port}/{path}'

    def require_usable(self):
        """See `IUsable`: who we are, and the files for that."""
        settings = self.settings
        if not (settings.ssh_key or settings.ssh_agent or settings.password is not None):
            raise ConfigurationError(
                f'Nothing says how {printable(settings.user)} logs in on '
                f'{printable(settings.host)}',
                hint='Set ssh_key (--ssh-key), agent (--ssh-agent), or a password.',
            )
        for secret in settings.password, settings.passphrase:
            if secret is not None:
                secret.require_usable()
        for path in settings.ssh_key, settings.ssh_certificate:
            if path is not None and not os.access(path, os.R_OK):
                raise ConfigurationError(
                    f'{printable(path)} cannot be read', hint='Check its name, owner and mode.'
                )
        if settings.bind_address is not None:
            from zeit.cds.network.sockets import require_address

            require_address(settings.bind_address)

    def open(self, *, within=None, learned=None, kept=None):
        """See `ITarget`."""
        # Who has nothing to send, needs no client; nor does anybody who has only targets by FTP.
        try:
            from zeit.cds.sftp.session import Known, SFTPSession
        except ModuleNotFoundError as error:
            if error.name != 'asyncssh':
                raise
            raise ConfigurationError(
                'SFTP needs asyncssh, which is not installed',
                hint="pip install 'zeit.cds[sftp]', or bin/buildout with the extra sftp.",
            ) from None
        session = SFTPSession(
            self.settings,
            self.delivery,
            known=Known(learned or {}),
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
