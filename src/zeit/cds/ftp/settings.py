"""How a server is reached: the values that a connection is made from."""

import dataclasses
import ipaddress

from zeit.cds.errors import ConfigurationError
from zeit.cds.ftp.tls import TLS
from zeit.cds.text import printable


#: The usual port where it is not 21; registered with IANA for FTP over TLS.
PORTS = {'implicit': 990}

#: Whether EPSV (RFC 2428) or PASV asks for a port, EPRT or PORT announces one.  `auto`: the older
#: where the server, or a firewall in between, does not stand the newer.
EPSV = ('auto', 'yes', 'no')


#: The longest time-out, in seconds.
LONGEST = 86400


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How to reach a server.  Time-outs in seconds.

    `port` is 21, or 990 for implicit TLS, unless it is given.
    `connect_timeout` is for a TCP connection, `reply_timeout` for a whole reply, `data_timeout`
    for each piece of a transfer (256 KiB): with the default of 60 s slower than about 4 KiB/s is
    a stall.  The system probes a control connection that was idle for `keepalive` seconds, 0 for
    never: a NAT forgets it during a long transfer.

    `passive` is False where the server is to connect to us for data.  `epsv` is one of `EPSV`.
    With `trust_pasv_address` data connections go to the address that the server announces, not to
    the one that the control connection goes to; it is in PASV only.  `bind_address` is the address
    of this machine that all connections come from.

    Raises `ConfigurationError` for values that make no sense.
    """

    host: str
    port: int | None = None
    user: str = 'anonymous'
    password: object = dataclasses.field(default=None, repr=False)
    directory: str = '/'
    encoding: str = 'utf-8'
    connect_timeout: float = 30
    reply_timeout: float = 60
    data_timeout: float = 60
    keepalive: float = 60
    passive: bool = True
    epsv: str = 'auto'
    trust_pasv_address: bool = False
    bind_address: str | None = None
    tls: TLS = TLS()

    def __post_init__(self):
        _require_host(self.host)
        if not str(self.user).strip():
            raise ConfigurationError('user must not be empty')
        if '://' in str(self.directory):
            raise ConfigurationError(
                'The directory is a URL, and not a path on the server',
                hint='Say the path alone; host, port and user are settings of their own.',
            )
        for name in 'connect_timeout', 'reply_timeout', 'data_timeout':
            if not 0 < getattr(self, name) <= LONGEST:
                raise ConfigurationError(
                    f'{name} is a number of seconds, at most {LONGEST}, not {getattr(self, name)}'
                )
        if not 0 <= self.keepalive <= LONGEST:
            raise ConfigurationError(
                f'keepalive is a number of seconds, at most {LONGEST}, not {self.keepalive}'
            )
        if self.epsv not in EPSV:
            raise ConfigurationError(f'EPSV is one of {", ".join(EPSV)}, not {self.epsv!r}')
        if self.trust_pasv_address and self.epsv == 'yes':
            raise ConfigurationError('EPSV announces no address that could be trusted')
        if self.bind_address is not None and not _is_address(self.bind_address):
            raise ConfigurationError(f'{self.bind_address!r} is no address of this machine')
        if self.port is None:
            object.__setattr__(self, 'port', PORTS.get(self.tls.mode, 21))


def _require_host(host):
    """Raise `ConfigurationError` for what no resolver could be asked for: a URL, a port with it."""
    if isinstance(host, str) and ('/' in host or '@' in host):
        # Not repeated: a password may be in it.
        raise ConfigurationError(
            'The host is a URL, or a part of one, and not the name of a server',
            hint='Say the name or the address alone; port, user and directory are settings of '
            'their own, ftpes:// is tls="explicit" and ftps:// tls="implicit".',
        )
    if isinstance(host, str) and (_is_address(host) if ':' in host else _is_name(host)):
        return
    raise ConfigurationError(
        f'The host {printable(repr(host))} cannot be the name of a server',
        hint='The port is a setting of its own; an IPv6 address has no brackets.'
        if isinstance(host, str) and ':' in host
        else '',
    )


def _is_name(text):
    if not text.isprintable() or ' ' in text or '\\' in text:
        return False
    try:
        labels = text if text.isascii() else text.encode('idna').decode('ascii')
    except UnicodeError:
        return False
    return all(0 < len(label) < 64 for label in labels.removesuffix('.').split('.'))


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
