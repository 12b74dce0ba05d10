"""The URL of a directory on a server."""

import re
import urllib.parse
from typing import NamedTuple

from zeit.cds.errors import UsageError


class Location(NamedTuple):
    """What a URL says; `port` and `tls` are None if it does not say it.

    `sftp` tells that it is one of SFTP.
    """

    host: str
    port: int | None
    user: str
    directory: str
    tls: str | None = None
    sftp: bool = False


#: What the scheme of a URL says about TLS.  `ftp` says nothing: an option may.
SCHEMES = {'ftp': None, 'ftpes': 'explicit', 'ftps': 'implicit', 'sftp': None}


#: What a URL begins with, or what was meant as one.
_SCHEME = re.compile(r'\A(?:[a-z0-9]+:/+|s?ftp(?:e?s)?:)', re.IGNORECASE)


def _password_in_url():
    return UsageError(
        'A password does not belong in a URL, where everybody can see it',
        hint='Use --password-file, an environment variable or ~/.netrc; @ in a path is %40.',
    )


def _port(parts):
    try:
        if parts.port != 0:
            return parts.port
    except ValueError:
        pass
    raise UsageError('The port in the URL is not a number from 1 to 65535')


def _host(parts):
    """Return the host; in that of a link-local address % may be written as %25 (RFC 6874)."""
    host = parts.hostname
    return re.sub(r'%25(?=.)', '%', host, count=1) if host and ':' in host else host


def location(url):
    """Return the `Location` that a URL `ftp://user@host:port/directory` names.

    `ftpes://` is FTP with explicit TLS, `ftps://` with implicit TLS, `sftp://` is SFTP, where `/~/`
    at the beginning of the path is the home directory.
    The path is absolute, and percent-encoded as in RFC 1738 section 3.2.2; `//` (or `/%2F`) is the
    root of the server.  User and directory are never left to chance: a URL without one of them is
    refused.
    Raises `UsageError`, which never repeats the URL: there may be a password in it.
    """
    url = url.strip(' ')
    # Wherever it is in what may not even be a URL, nothing of it is repeated.
    if ':' in _SCHEME.sub('', url).rpartition('@')[0]:
        raise _password_in_url()
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = _host(parts), _port(parts)
    except ValueError:
        host = port = parts = None
    usable = host and '\\' not in parts.netloc and not parts.netloc.endswith(':')
    if not usable or parts.scheme not in SCHEMES or parts.query or parts.fragment:
        raise UsageError(
            'This is not the URL of a directory on an FTP or SFTP server',
            hint='Write ftp://user@host:port/directory; with TLS ftpes:// or ftps://, over SSH sftp://',
        )
    user = urllib.parse.unquote(parts.username or '')
    directory = urllib.parse.unquote(parts.path)
    if ':' in user:
        raise _password_in_url()
    for what, text in (('user', user), ('path', directory)):
        if any(c < ' ' or c == '\x7f' for c in text):
            raise UsageError(
                f'The {what} in the URL has a control character, which no command can have',
                hint='%0d and %0a are ends of lines.',
            )
    if not user.strip():
        hint = f'Write {parts.scheme}://user@host/directory'
        if parts.scheme != 'sftp':
            hint += '; without an account the user is anonymous.'
        raise UsageError('The URL has no user', hint=hint)
    if directory in ('', '/'):
        raise UsageError(
            'The URL has no directory',
            hint=f'Write {parts.scheme}://user@host/directory; // is the root of the server.',
        )
    return Location(
        host=host,
        port=port,
        user=user,
        directory=f'/{directory.lstrip("/")}',
        tls=SCHEMES[parts.scheme],
        sftp=parts.scheme == 'sftp',
    )
