"""Where settings come from: passwords that nobody sees, and URLs."""

import codecs
import dataclasses
import logging
import netrc
import os
import re
import shlex
import stat
import urllib.parse

from zeit.cds.errors import ConfigurationError, UsageError
from zeit.cds.files import first_line, require_regular
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: What encodings that include ASCII leave as it is: others have a meaning for ESC or a backslash.
_ASCII = ''.join(map(chr, range(128))) + '\x1b$B!!\\u0041'

#: So long a pipe is waited for, in seconds: somebody may have to say a passphrase.
PATIENCE = 60


def sendable(value, *, what):
    """Return `value`, a text that is to be sent in a command.

    Raises `ConfigurationError`, which does not repeat it, if it is none or more than one line.
    """
    if not isinstance(value, str):
        kind = 'None' if value is None else f'of the type {type(value).__name__}'
        raise ConfigurationError(f'{what} is {kind}, and no text')
    if any(c in value for c in '\r\n\0'):
        raise ConfigurationError(
            f'{what} has a line end or NUL in it, which no command can have',
            hint='What is read from a file may have a line end behind it: strip it.',
        )
    return value


def encoding(value):
    """Return `value`, the name of a character encoding in which ASCII is ASCII: commands are.

    Raises `ConfigurationError`.
    """
    data = _ASCII.encode('ascii')
    try:
        fits = codecs.encode(_ASCII, value) == data and codecs.decode(data, value) == _ASCII
    except (LookupError, ValueError, TypeError):
        fits = False
    if not fits:
        raise ConfigurationError(
            f"'{printable(value)}' is no encoding that includes ASCII",
            hint='Usual are utf-8 and latin-1.',
        )
    return value


class Secret:
    """A password that was given as such; no repr or str shows it."""

    def __init__(self, value):
        self.__value = value

    def __repr__(self):
        return f'<{type(self).__name__}>'

    def reveal(self):
        """Return the password (str).  Raises `ConfigurationError` if it cannot be had, or sent."""
        return sendable(self.__value, what='The password')

    def require_usable(self):
        """Raise what `reveal` raises; warn if others can read the password."""
        self.reveal()


class SecretFile(Secret):
    """The first line of a file, read each time that it is needed; of a pipe it is read once."""

    def __init__(self, path):
        super().__init__(None)
        self._path = os.fspath(path)
        self._kept = None

    def reveal(self):
        """See `Secret`."""
        return self._read()[0]

    def require_usable(self):
        """See `Secret`; owner and group may read the file."""
        if self._read()[1] & stat.S_IROTH:
            path = printable(self._path)
            command = printable(f'chmod o-r {shlex.quote(self._path)}')
            log.warning('The password file %s can be read by everybody: %s', path, command)

    def _read(self):
        """Return the password and the permissions of the file, 0 for a pipe."""
        if self._kept is not None:
            return self._kept.reveal(), 0
        try:
            line, mode = first_line(self._path, within=PATIENCE)
            password = line.decode('utf-8')
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, 'strerror', None) or 'it is not UTF-8'
            raise ConfigurationError(
                f'The password file {printable(self._path)} cannot be read: {reason}',
                hint='It holds the password in its first line; chmod 600 or 640.',
            ) from None
        if not password:
            raise ConfigurationError(
                f'The first line of the password file {printable(self._path)} is empty',
                hint='Put the password there.',
            )
        sendable(password, what=f'The password file {printable(self._path)}')
        if not stat.S_ISREG(mode):
            self._kept, mode = Secret(password), 0
        return password, mode


class SecretVariable(Secret):
    """The value of an environment variable."""

    def __init__(self, name):
        super().__init__(None)
        self._name = name

    def reveal(self):
        """See `Secret`."""
        try:
            password = os.environ[self._name]
        except KeyError:
            raise ConfigurationError(
                f'The environment variable {self._name} for the password is not set'
            ) from None
        if not password:
            raise ConfigurationError(
                f'The environment variable {self._name} for the password is empty',
                hint='Set it to the password, or unset it.',
            )
        return sendable(password, what=f'The environment variable {self._name} for the password')


class SecretNetrc(Secret):
    """The password of a host and user in a netrc file; `path` is None for ~/.netrc.

    `hint`: where else it may be had from.
    """

    def __init__(self, host, user, *, path=None, hint=''):
        super().__init__(None)
        self._hint = hint or 'Name a password file, or an environment variable.'
        self._host, self._user, self._path = host, user, path

    def reveal(self):
        """See `Secret`."""
        where = self._path or '~/.netrc'
        try:
            require_regular(self._path or os.path.expanduser('~/.netrc'))
            entry = netrc.netrc(self._path).authenticators(self._host)
        except OSError as error:
            raise ConfigurationError(
                f'No password: {where} cannot be read: {error.strerror}',
                hint=self._hint,
            ) from None
        except netrc.NetrcParseError as error:
            raise ConfigurationError(f'No password: {where} {_why(error)}') from None
        except UnicodeDecodeError:
            raise ConfigurationError(f'No password: {where} is not a text in UTF-8') from None
        if entry is None or entry[0] not in ('', None, self._user):
            raise ConfigurationError(
                f'No password for {printable(self._user)} on {printable(self._host)} in {where}',
                hint=self._hint,
            )
        return entry[2]


def _why(error):
    """Return what is wrong with a netrc file.  The error's own text may quote the file."""
    if error.lineno is not None:
        return f'cannot be understood, line {error.lineno}'
    # Only the check of owner and mode has no line.
    if 'owner' in error.msg and 'permissive' not in error.msg:
        return 'belongs to somebody else: chown it'
    return 'is too permissive, others may read the password: chmod 600'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Location:
    """What a URL says; `port` and `tls` are None if it does not say it."""

    host: str
    port: int | None
    user: str
    directory: str
    tls: str | None = None


#: What the scheme of a URL says about TLS.  `ftp` says nothing: an option may.
SCHEMES = {'ftp': None, 'ftpes': 'explicit', 'ftps': 'implicit'}


#: What a URL begins with, or what was meant as one.
_SCHEME = re.compile(r'\A(?:[a-z0-9]+:/+|ftp(?:e?s)?:)', re.IGNORECASE)


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


def location(url):
    """Return the `Location` that a URL `ftp://user@host:port/directory` names.

    `ftpes://` is FTP with explicit TLS, `ftps://` with implicit TLS.
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
        host, port = parts.hostname, _port(parts)
    except ValueError:
        host = port = parts = None
    usable = host and '\\' not in parts.netloc and not parts.netloc.endswith(':')
    if not usable or parts.scheme not in SCHEMES or parts.query or parts.fragment:
        raise UsageError(
            'This is not the URL of a directory on an FTP server',
            hint='Write ftp://user@host:port/directory, or ftpes:// or ftps:// with TLS',
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
        raise UsageError(
            'The URL has no user',
            hint='Write ftp://user@host/directory; without an account the user is anonymous.',
        )
    if directory in ('', '/'):
        raise UsageError(
            'The URL has no directory',
            hint='Write ftp://user@host/directory; // is the root of the server.',
        )
    return Location(
        host=host,
        port=port,
        user=user,
        directory=f'/{directory.lstrip("/")}',
        tls=SCHEMES[parts.scheme],
    )
