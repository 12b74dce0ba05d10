"""How an SFTP server is reached: the values that a connection is made from."""

import dataclasses
import re

from zeit.cds.errors import ConfigurationError
from zeit.cds.ftp.connection_options import Settings as FTPSettings
from zeit.cds.ftp.connection_options import require_host
from zeit.cds.option_types import (
    PATH,
    PORT,
    TEXT,
    YES_NO,
    Kind,
    Option,
    Values,
    described,
    options,
)


#: The usual port, registered with IANA for SSH.
SSH_PORT = 22

def _is_fingerprint(text):
    return re.fullmatch(r'SHA256:[A-Za-z0-9+/]{43}=?', text)


def _fingerprints(text):
    found = tuple(each.rstrip('=') for each in text.split())
    if not found or not all(map(_is_fingerprint, found)):
        raise ValueError(text)
    return found


def _hops(text):
    return tuple(Hop.read(each) for each in text.split(','))


class Hop(str):
    """A host on the way, `user@host:port`; user and port may be missing."""

    _PARTS = (
        r'(?:(?P<user>[^@\s,]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:@\[\],]+)'
        r'(?::(?P<port>[0-9]{1,5}))?'
    )

    @classmethod
    def read(cls, text):
        """Return the hop; raises ValueError."""
        made = cls(text.strip())
        match = re.fullmatch(cls._PARTS, made)
        if match is None or not 0 < int(match['port'] or SSH_PORT) < 65536:
            raise ValueError(text)
        made.user, made.host = match['user'], match['host'].strip('[]')
        made.port = int(match['port'] or SSH_PORT)
        return made


FINGERPRINTS = Kind(
    'a fingerprint as ssh-keygen -l shows it: SHA256:...',
    'FINGERPRINT',
    _fingerprints,
    lambda value: bool(value) and all(map(_is_fingerprint, value)),
)
HOPS = Kind(
    'a host, or several with commas between them: user@host:port',
    'HOSTS',
    _hops,
    lambda value: bool(value) and all(isinstance(each, Hop) for each in value),
)

#: A secret of its own, as the password is.
PASSPHRASE_FILE = Option(
    'passphrase_file', PATH, 'File with the passphrase of the key in its first line; mode 600.'
)


def _as_ftp(name):
    """Return the field of the FTP settings, which is described there."""
    (found,) = (each for each in dataclasses.fields(FTPSettings) if each.name == name)
    return dataclasses.field(default=found.default, metadata=found.metadata)


class Settings(Values):
    """How to reach a server.

    `password` and `passphrase` are each a `zeit.cds.credentials.Secret`, or None.

    Raises `ConfigurationError` for values that make no sense.
    """

    host: str = _as_ftp('host')
    port: int = described(SSH_PORT, PORT, 'Its port.', cli=False)
    user: str = described(dataclasses.MISSING, TEXT, 'The account.', cli=False, needed=True)
    password: object = dataclasses.field(default=None, repr=False)
    directory: str = described(
        '/',
        TEXT,
        'The directory on the server; / is its root, ~/in is below the home directory.',
        cli=False,
        needed=True,
    )
    encoding: str = described(
        'utf-8', options(FTPSettings)['encoding'].kind, 'Encoding of file names on the server.'
    )
    known_hosts: str | None = described(
        None,
        PATH,
        'File with the keys of servers, as ssh has them in ~/.ssh/known_hosts.  This or host_key '
        'is required: no other server gets a password, or a file.',
    )
    host_key: tuple | None = described(
        None,
        FINGERPRINTS,
        "Fingerprint of the server's key, SHA256:..., as its operator tells it; several are "
        'separated by blanks.',
    )
    accept_new_host_key: bool = described(
        False,
        YES_NO,
        'Trust whatever key a server shows that is not in known_hosts, and add it there.  Whoever '
        'is between us and the server at that moment can read and change everything.',
    )
    ssh_key: str | None = described(
        None, PATH, 'Private key to log in with: ed25519, ECDSA, or RSA of 2048 bits or more.'
    )
    passphrase: object = dataclasses.field(default=None, repr=False)
    ssh_certificate: str | None = described(
        None, PATH, 'Certificate for the key, as ssh-keygen -s makes it.'
    )
    ssh_agent: bool = described(
        False, YES_NO, 'Log in with the keys of the ssh-agent at $SSH_AUTH_SOCK.'
    )
    proxy_jump: tuple | None = described(
        None,
        HOPS,
        'Connect by way of this host, or of several: user@host:port, with commas between them.  '
        'Keys of these hosts must be in known_hosts; they get no password.',
    )
    connect_timeout: float = _as_ftp('connect_timeout')
    reply_timeout: float = _as_ftp('reply_timeout')
    data_timeout: float = _as_ftp('data_timeout')
    keepalive: float = _as_ftp('keepalive')
    keep_connection: float = _as_ftp('keep_connection')
    bind_address: str | None = _as_ftp('bind_address')

    def __post_init__(self):
        require_host(self.host)
        if '://' in str(self.directory):
            raise ConfigurationError(
                'The directory is a URL, not a path on the server',
                hint='Give the path alone; host, port and user are separate settings.',
            )
        super().__post_init__()
        for name in 'password', 'passphrase':
            if isinstance(getattr(self, name), (str, bytes)):
                raise ConfigurationError(
                    f'The {name} is plain text, which a traceback would show',
                    hint='Give a Secret or another class of zeit.cds.credentials.',
                )
        if self.accept_new_host_key and not self.known_hosts:
            raise ConfigurationError(
                'A new host key can be accepted only where it can be kept',
                hint='Name the file: known_hosts (--known-hosts).',
            )
        if not (self.known_hosts or self.host_key):
            raise ConfigurationError(
                'Nothing says which host key the server has',
                hint='Set known_hosts (--known-hosts) to a file such as ~/.ssh/known_hosts, or '
                "host_key (--host-key) to the fingerprint that the server's operator tells.",
            )
        if self.proxy_jump and not self.known_hosts:
            raise ConfigurationError(
                'Nothing says which host keys the hosts of proxy_jump have',
                hint='Set known_hosts (--known-hosts).',
            )
        if self.ssh_certificate and not self.ssh_key:
            raise ConfigurationError('A certificate is of no use without its key: set ssh_key')


#: Names of options that FTP does not have, and of those that SFTP does not have.
SFTP_ONLY = frozenset(options(Settings)) - frozenset(options(FTPSettings))
FTP_ONLY = frozenset(options(FTPSettings)) - frozenset(options(Settings))
