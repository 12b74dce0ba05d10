"""Passwords, where they come from, and who does not see them."""

import logging
import os
import shlex
import stat

from zeit.cds.errors import ConfigurationError
from zeit.cds.system import netrcfile
from zeit.cds.system.files import first_line, open_regular
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: So long a pipe is waited for, in seconds: somebody may have to say a passphrase.
PIPE_SECONDS = 60


def sendable(value, *, what):
    """Return `value`, a text that is to be sent in a command.

    Raises `ConfigurationError`, which does not repeat it, if it is none or more than one line.
    """
    problem, hint = _unsendable(value)
    if problem:
        del value  # a traceback may be shown with the variables of its frames
        raise ConfigurationError(f'{what} {problem}', hint=hint)
    return value


def _unsendable(value):
    """Return why a value cannot be sent and what to do about it; two empty texts if it can."""
    if not isinstance(value, str):
        kind = 'None' if value is None else f'of the type {type(value).__name__}'
        return f'is {kind}, and no text', ''
    if any(c in value for c in '\r\n\0'):
        return (
            'has a line end or NUL in it, which no command can have',
            'Text that is read from a file may end with a newline: strip it.',
        )
    return '', ''


class Secret:
    """A password that was given as such; no repr or str shows it.

    Nor do the frames of what is raised here: none has it in a variable.
    """

    def __init__(self, value):
        self.__value = value

    def __repr__(self):
        return f'<{type(self).__name__}>'

    def reveal(self):
        """Return the password (str).  Raises `ConfigurationError` if it cannot be had, or sent."""
        return self.checked(what='The password')

    def checked(self, *, what, unless_empty='', hint='Put the password there.'):
        """Return it; `what` it is begins an error, or `unless_empty`: then it must not be empty."""
        if unless_empty and not self.__value:
            raise ConfigurationError(f'{unless_empty} is empty', hint=hint)
        return sendable(self.__value, what=what)

    def require_usable(self):
        """Raise what `reveal` raises; warn if others can read the password."""
        self.reveal()


class _Stored(Secret):
    """A secret that is read from where it is kept each time that it is needed.

    `_read` returns a `Secret` and the permissions of the file, 0 for what is none.
    """

    def __init__(self, path, *, what, unless_empty, about):
        super().__init__(None)
        self._path = path
        self._words = {'what': what, 'unless_empty': unless_empty}
        self._about = about

    def reveal(self):
        """See `Secret`."""
        return self._read()[0].checked(**self._words)

    def require_usable(self):
        """See `Secret`; owner and group may read the file."""
        self.reveal()
        if self._read()[1] & stat.S_IROTH:
            command = printable(f'chmod o-r {shlex.quote(self._path)}')
            log.warning('%s can be read by everybody: %s', self._about, command)


class SecretFile(_Stored):
    """The first line of a file, read each time that it is needed; of a pipe it is read once."""

    def __init__(self, path):
        about = f'password file {printable(os.fspath(path))}'
        words = {'what': f'The {about}', 'unless_empty': f'The first line of the {about}'}
        super().__init__(os.fspath(path), about=f'The {about}', **words)
        self._kept = None

    def _read(self):
        if self._kept is not None:
            return self._kept, 0
        try:
            secret, mode = _first_line(self._path)
        except OSError as error:
            raise self._unreadable(error.strerror) from None
        if secret is None:
            raise self._unreadable('it is not UTF-8')
        if not stat.S_ISREG(mode):
            self._kept, mode = secret, 0
        return secret, mode

    def _unreadable(self, reason):
        return ConfigurationError(
            f'{self._about} cannot be read: {reason}',
            hint='It holds the password in its first line; chmod 600 or 640.',
        )


class SecretNetrc(_Stored):
    """The password of a host and user in a netrc file; `path` is None for ~/.netrc.

    `hint`: where else it may be had from.
    """

    def __init__(self, host, user, *, path=None, hint=''):
        where = printable(path or '~/.netrc')
        about = f'The password for {printable(user)} in {where}'
        path = os.path.expanduser(path or '~/.netrc')
        super().__init__(path, what=about, unless_empty=about, about=where)
        self._hint = hint or 'Name a password file, or an environment variable.'
        self._host, self._user = host, user

    def _read(self):
        where = self._about
        try:
            found, wrong, mode = _login(self._path, self._host, self._user)
        except OSError as error:
            raise ConfigurationError(
                f'No password: {where} cannot be read: {error.strerror}',
                hint=self._hint,
            ) from None
        if wrong:
            raise ConfigurationError(f'No password: {where} {wrong}')
        if found is None:
            raise ConfigurationError(
                f'No password for {printable(self._user)} on {printable(self._host)} in {where}',
                hint=self._hint,
            )
        return found, mode


def _first_line(path):
    """Return a `Secret`, or None if it is no UTF-8, and the permissions of the file."""
    line, mode = first_line(path, within=PIPE_SECONDS)
    line = _decoded(line)
    return None if line is None else Secret(line), mode


def _login(path, host, user):
    """Return a `Secret` or None, what is wrong with a netrc file or '', and its permissions."""
    with open_regular(path) as file:
        text, mode = _decoded(file.read()), os.fstat(file.fileno()).st_mode
    if text is None:
        return None, 'is not a text in UTF-8', mode
    found, line = netrcfile.find(text, host=host, user=user)
    wrong = f'cannot be understood, line {line}' if line else ''
    return None if found is None else Secret(found), wrong, mode


def _decoded(data):
    """Return bytes as text, None if they are no UTF-8; a byte order mark is no part of it."""
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError:
        return None


class SecretVariable(Secret):
    """The value of an environment variable."""

    def __init__(self, name):
        super().__init__(None)
        self._name = name

    def reveal(self):
        """See `Secret`."""
        about = f'The environment variable {self._name} for the password'
        if self._name not in os.environ:
            raise ConfigurationError(f'{about} is not set')
        return Secret(os.environ[self._name].removeprefix('\ufeff')).checked(
            what=about, unless_empty=about, hint='Set it to the password, or unset it.'
        )
