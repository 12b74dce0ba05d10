"""Which server it is: its host key is known before anything is said about who we are."""

import logging
import os

from zeit.cds.errors import ConfigurationError, HostKeyRefused
from zeit.cds.sftp.library import asyncssh
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: RSA keys of fewer bits can be broken, or will be soon (NIST SP 800-131A).
RSA_BITS = 2048

_CERTIFICATES = '{}-cert-v01@openssh.com'


def rsa_bits(key):
    """Return the length of an RSA key in bits; None for a key of another kind."""
    return key.pyca_key.key_size if key.get_algorithm() == 'ssh-rsa' else None


class HostKeys:
    """The keys that the server `host` at `port` may have.

    `path` is a known_hosts file, or None; `fingerprints` are as `ssh-keygen -l` shows them, without
    padding.  `accept_new`: whatever key it has is added to the file if none is known.
    `way`: it is a host on the way to the server, of which fingerprints tell nothing.
    `refusal` is why its key was refused, when it was.
    Raises `ConfigurationError`.
    """

    def __init__(self, path, host, port, *, fingerprints=(), accept_new=False, way=False):
        self._path = path
        self._host, self._port = host, port
        self._fingerprints = fingerprints
        self._accept_new = accept_new
        self._way = way
        self.refusal = None
        self._known, self._authorities, self._revoked = self._read()

    def __repr__(self):
        return f'<HostKeys of {self._host}, {len(self._known)} known>'

    @property
    def trusted(self):
        """What asyncssh takes for its `known_hosts`."""
        return self._known, self._authorities, self._revoked

    def algorithms(self, allowed):
        """Return the signatures to ask for, out of `allowed`: those of keys that are known first.

        Those of others follow, so that a key that is not known can be shown.
        """
        known = {name.decode() for key in self._known for name in key.sig_algorithms}
        first = [name for name in allowed if name in known]
        found = first + [name for name in allowed if name not in known]
        if self._authorities:
            found = [_CERTIFICATES.format(name) for name in allowed] + found
        return found

    def accepts(self, key):
        """Return whether the server may have `key`, which is none of the `trusted` ones."""
        fingerprint = key.get_fingerprint()
        bits = rsa_bits(key)
        if bits is not None and bits < RSA_BITS:
            self.refusal = self.refused(f'its RSA key has {bits} bits only', fingerprint)
        elif fingerprint.rstrip('=') in self._fingerprints:
            return True
        elif self._known or self._fingerprints:
            self.refusal = self._changed(fingerprint)
        elif self._accept_new and self._path:
            return self._accept(key, fingerprint)
        else:
            self.refusal = self._unknown(key, fingerprint)
        return False

    def refused(self, why, fingerprint=''):
        """Return the error for a key that is refused."""
        shown = f' ({fingerprint})' if fingerprint else ''
        return HostKeyRefused(
            0,
            f'The host key of {printable(self._host)} is refused: {why}{shown}',
            hint='Nothing was sent. Ask the operator of the server.',
        )

    @property
    def _place(self):
        """The host as a known_hosts file has it."""
        return self._host if self._port == 22 else f'[{self._host}]:{self._port}'

    def _changed(self, fingerprint):
        known = [key.get_fingerprint() for key in self._known] or list(self._fingerprints)
        return HostKeyRefused(
            0,
            f'{printable(self._host)} shows another host key than it should: {fingerprint}; '
            f'known: {", ".join(known)}',
            hint='Nothing was sent. Perhaps somebody is in between. Ask the operator of the server '
            'whether the key was changed; if so, replace it in known_hosts (--known-hosts), or '
            'host_key (--host-key).',
        )

    def _unknown(self, key, fingerprint):
        hint = (
            'Nothing was sent. Compare it with what the operator of the server tells, and then '
            f'add it: ssh-keyscan -p {self._port} {printable(self._host)} >> known_hosts'
        )
        # For a host on the way that would say that the server has this key.
        hint += '.' if self._way else f'; or set host_key="{fingerprint}" (--host-key).'
        return HostKeyRefused(
            0,
            f'The host key of {printable(self._host)} is not known: {fingerprint} '
            f'({key.get_algorithm()})',
            hint=hint,
        )

    def _accept(self, key, fingerprint):
        log.warning(
            'The host key of %s was not known, and is trusted from now on, as '
            'accept_new_host_key is set: %s',
            printable(self._host),
            fingerprint,
        )
        line = f'{self._place} {key.export_public_key("openssh").decode().strip()}\n'
        try:
            with open(self._path, 'a+', encoding='utf-8') as file:
                file.seek(0)
                text = file.read()
                file.write(line if text.endswith('\n') or not text else f'\n{line}')
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.refusal = ConfigurationError(
                f'The host key cannot be written to {printable(self._path)}: {error.strerror}'
            )
            return False
        return True

    def _read(self):
        if self._path is None:
            return [], [], []
        try:
            with open(self._path, encoding='utf-8') as file:
                text = file.read()
        except FileNotFoundError:
            if self._accept_new:
                return [], [], []
            raise self._unreadable('No such file or directory') from None
        except OSError as error:
            raise self._unreadable(error.strerror) from error
        except UnicodeDecodeError:
            raise self._unreadable('it is not a text in UTF-8') from None
        try:
            found = asyncssh.import_known_hosts(text)
            port = None if self._port == 22 else self._port
            known, authorities, revoked, *_ = asyncssh.match_known_hosts(
                found, self._host, '', port
            )
        except (ValueError, asyncssh.Error) as error:
            raise self._unreadable(printable(str(error))) from error
        strong = [key for key in known if (rsa_bits(key) or RSA_BITS) >= RSA_BITS]
        return strong, list(authorities), list(revoked)

    def _unreadable(self, why):
        return ConfigurationError(
            f'The known_hosts file {printable(self._path)} cannot be used: {why}',
            hint='It has lines as ~/.ssh/known_hosts: host, type of the key, key.',
        )
