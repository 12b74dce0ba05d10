"""What is in a directory, and what is not: as far as the server's answers prove it.

That something is there is proved by its size, its content, or a listing.  That it is *not* there is
harder: servers refuse SIZE, RETR and listings for many reasons, list what they like, and cut long
listings off.  So a refusal of SIZE counts only where SIZE has told the length of another file in
this session, and only if it is 550, the one for a file that is not available (RFC 959 section
4.2): a file that is busy is refused by others.  A listing counts only if it shows a file that is
known to be there, such as our lock.  Everything else is unknown, which is an error of its own:
`NotTold`.
"""

import logging

from zeit.cds.errors import NotTold, ServerError
from zeit.cds.ftp.listings import UNKNOWN
from zeit.cds.text import printable


log = logging.getLogger(__name__)

_NO_FILE = 550

_ADVICE = (
    'No size, and no listing that shows a file which is known to be there: let the account have '
    'the right to list the directory, or SIZE.'
)


#: What to do about a file that is listed, or has a size, and is refused.
_IN_USE = 'Perhaps somebody has it in use; the next run tries again.'
_MAY_READ = (
    'If it is never sent, let the account have the right to read it, and see whether it is a '
    'regular file, or a link that leads nowhere.'
)


class Presence:
    """What is in the directory; `ask(method, *args)` calls a `ListingConnection` that has `ways`.

    The methods are those of `ISession`.
    """

    def __init__(self, ask, *, ways):
        self._ask = ask
        self._ways = ways

    def __repr__(self):
        return f'<Presence of {len(self._ways.known)} known files>'

    # What this session has done

    def made(self, name):
        """There is a file `name` from now on."""
        self._ways.known.add(name)

    def gone(self, name):
        """There is perhaps none any more."""
        self._ways.known.discard(name)

    # What the server tells

    def names(self):
        """See `ISession`."""
        return self._ask('list_names')

    def size(self, name):
        """See `ISession`."""
        try:
            return self._ask('size', name)
        except ServerError as error:
            self.require_absent(name, error)
            return None

    def sizes(self, *names):
        """See `ISession`."""
        sizes = self._ask('sizes', *names)
        return [None if self._ways.sizes and is_no_file(size) else size for size in sizes]

    def look(self, name, *, more=False, listed=False):
        """See `ISession`."""
        try:
            return self._ask('look', name, more=more)
        except ServerError as error:
            if error.code in UNKNOWN:
                raise
            self.require_absent(name, error, listed=listed)
            return None, None

    def exists(self, name):
        """See `ISession`."""
        try:
            self._ask('size', name)
            return True
        except ServerError as error:
            present = self.names()
            if name in present:
                return True
            if not (self._says_absent(error) or self._ways.is_shown(present)):
                raise _not_told(name, error) from error
            return False

    def is_proven(self, present=()):
        """See `ISession`."""
        return self._ways.is_shown(present) or self._tells_sizes()

    def _tells_sizes(self):
        known = tuple(self._ways.known)
        if self._ways.sizes is None and known:
            try:
                self._ask('size', min(known))
            except ServerError as error:
                log.debug('No size of a file that is there: %s', printable(error.message))
                self._ways.sizes = False  # until it tells one
        return bool(self._ways.sizes)

    def require_absent(self, name, refusal, *, listed=False):
        """Return if there is no file `name`, of which the server has refused to tell the size.

        Raises `NotTold` if there may be one.  `listed`: a listing has shown it before.
        """
        absent = self._says_absent(refusal)
        if listed or not absent:
            present = self.names()
            if name in present:
                raise NotTold(
                    f'The server lists {printable(name)}, and does not tell its size: '
                    f'{refusal.message}',
                    hint=_IN_USE,
                ) from refusal
            if not (absent or self._ways.is_shown(present)):
                raise _not_told(name, refusal) from refusal
        self.gone(name)

    def _says_absent(self, refusal):
        return is_no_file(refusal) and self._tells_sizes()

    def require_unreadable(self, name, refusal):
        """Return if there is no file `name`, which the server has refused to send.

        Raises `ServerError` if there is one, `NotTold` if there may be.
        """
        if refusal.verb not in ('RETR', ''):
            raise refusal  # there was no data connection
        if self.exists(name):
            raise type(refusal)(
                refusal.code,
                f'The server shows it, but does not send it: {refusal}',
                hint=_IN_USE if refusal.transient else f'{_IN_USE} {_MAY_READ}',
            ) from refusal


def is_no_file(size):
    """Return whether `size`, an answer of `ISession.sizes`, may say that there is no such file."""
    return isinstance(size, ServerError) and size.code == _NO_FILE


def _not_told(name, refusal):
    return NotTold(
        f'The server does not tell whether there is {printable(name)}: {refusal.message}',
        hint=_ADVICE,
    )
