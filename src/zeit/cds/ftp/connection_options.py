"""How a server is reached: the values that a connection is made from."""

import dataclasses
import ipaddress

from zeit.cds.errors import ConfigurationError
from zeit.cds.ftp.tls import TLS
from zeit.cds.option_types import (
    ENCODING,
    PATH,
    PORT,
    SECONDS,
    SECONDS_OR_0,
    TEXT,
    YES_NO,
    Kind,
    Option,
    Values,
    described,
    one_of,
)
from zeit.cds.text import printable


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return isinstance(text, str)  # a number would be one, too


_ADDRESS = Kind('an IP address', 'ADDRESS', fits=_is_address)

#: The usual port where it is not 21; registered with IANA for FTP over TLS.
PORTS = {'implicit': 990}

PASSWORD_FILE = Option(
    'password_file', PATH, 'File with the password in its first line; mode 600 or 640.'
)


class Settings(Values):
    """How to reach a server.

    With the default of `data_timeout` slower than about 4 KiB/s is a stall.  `epsv` is about
    EPSV and EPRT (RFC 2428), or PASV and PORT (RFC 959).  What is announced by EPSV has no address
    that could be trusted.  `password` is a `zeit.cds.credentials.Secret`.

    Raises `ConfigurationError` for values that make no sense.
    """

    host: str = described(
        dataclasses.MISSING,
        TEXT,
        'Name or address of the server, alone: no URL, no port.',
        cli=False,
        needed=True,
    )
    port: int | None = described(
        None, PORT, 'Its port.', unset='21; 990 with tls="implicit"', cli=False
    )
    user: str = described('anonymous', TEXT, 'The account; required with a password.', cli=False)
    password: object = dataclasses.field(default=None, repr=False)
    directory: str = described(
        '/', TEXT, 'The directory on the server; / is its root.', cli=False, needed=True
    )
    encoding: str = described(
        'utf-8',
        ENCODING,
        'Encoding of file names on the server; utf-8 is switched on by OPTS UTF8 before the first '
        'name that needs it.',
    )
    connect_timeout: float = described(30, SECONDS, 'Time to make a connection.')
    reply_timeout: float = described(60, SECONDS, 'Time for a reply of the server.')
    data_timeout: float = described(60, SECONDS, 'Time for each 256 KiB of a file.')
    keepalive: float = described(
        60,
        SECONDS_OR_0,
        'Probe a connection that is idle for this time, so that no NAT forgets it; 0: never.',
    )
    keep_connection: float = described(
        240,
        SECONDS_OR_0,
        'Between two runs a thread driver and "zeit-cds watch" keep a connection for this time, '
        'which saves the login; 0: never.  Other runs keep none.',
    )
    passive: bool = described(
        True,
        YES_NO,
        'Connect to the server for data.  If this is switched off, the server connects to us '
        '(active mode), which firewalls and NATs often prevent.',
    )
    epsv: str = described(
        'auto',
        one_of('auto', 'yes', 'no'),
        'Use EPSV rather than PASV, or EPRT rather than PORT in active mode; auto: where that '
        'works.',
    )
    trust_pasv_address: bool = described(
        False,
        YES_NO,
        'Connect to the address that PASV announces, for servers behind a load balancer; otherwise '
        'to that of the control connection, as the other is often wrong, and may lead elsewhere.',
    )
    bind_address: str | None = described(
        None,
        _ADDRESS,
        'Connect from this address of the machine.',
        unset='chosen by the system',
    )
    tls: TLS = TLS()

    def __post_init__(self):
        require_host(self.host)
        if '://' in str(self.directory):
            raise ConfigurationError(
                'The directory is a URL, not a path on the server',
                hint='Give the path alone; host, port and user are separate settings.',
            )
        super().__post_init__()
        if isinstance(self.password, (str, bytes)):
            raise ConfigurationError(
                'The password is plain text, which a traceback would show',
                hint='Give a Secret or another class of zeit.cds.credentials.',
            )
        if self.trust_pasv_address and self.epsv == 'yes':
            raise ConfigurationError('EPSV announces no address that could be trusted')
        if self.port is None:
            object.__setattr__(self, 'port', PORTS.get(self.tls.mode, 21))


def require_host(host):
    """Raise `ConfigurationError` for what no resolver could be asked for: a URL, a port with it."""
    if isinstance(host, str) and ('/' in host or '@' in host):
        # Not repeated: a password may be in it.
        raise ConfigurationError(
            'The host is a URL, or a part of one, not the name of a server',
            hint='Give the name or address alone; port, user and directory are separate '
            'settings, ftpes:// is tls="explicit" and ftps:// tls="implicit".',
        )
    if isinstance(host, str) and (_is_address(host) if ':' in host else _is_name(host)):
        return
    raise ConfigurationError(
        f'The host {printable(repr(host))} cannot be the name of a server',
        hint='The port is a separate setting; an IPv6 address has no brackets.'
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
