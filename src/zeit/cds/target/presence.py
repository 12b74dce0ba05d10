"""What is in a directory, and what is not: as far as the server's answers prove it.

That something is there is proved by its size, its content, or a listing.  That it is *not* there is
proved by a listing alone, one that shows a file which is known to be there, such as our lock:
servers refuse SIZE, RETR and listings for many reasons, by any code, also of a file that somebody
has in use, list what they like, and cut long listings off.  All else is unknown, which is an error
of its own: `NotTold`.

Where nothing is deleted, overwritten, filed or locked because of it, less is enough: see
`ISession.sizes`.
"""

import logging

from zeit.cds.errors import NotTold, ServerError
from zeit.cds.ftp.listings import UNKNOWN
from zeit.cds.ftp.reply_errors import NO_FILE
from zeit.cds.text import printable


log = logging.getLogger(__name__)

_ADVICE = (
    'No listing shows a file which is known to be there: give the account the right to list '
    'the directory.'
)

#: What to do about a file that is listed, or has a size, and is refused.
_IN_USE = (
    'Perhaps somebody has it in use, or the server lists other names than it takes; the next run '
    'tries again.'
)
_MAY_READ = (
    'If it is never sent, give the account the right to read it, and see whether it is a '
    'regular file, or a link that leads nowhere.'
)


class Presence:
    """What is in the directory.

    `query(method, *args)` calls a `Connection` that has `capabilities`.  The methods are
    those of `ISession`.
    """

    def __init__(self, query, *, capabilities):
        self._query = query
        self._capabilities = capabilities

    def __repr__(self):
        return f'<Presence of {len(self._capabilities.known)} known files>'

    def size(self, name):
        """See `ISession`."""
        try:
            return self._query('size', name)
        except ServerError as error:
            return self.listed(name, error)[0]

    def sizes(self, *names, **options):
        """See `ISession`."""
        return self.found(self._query('sizes', *names, **options))

    def found(self, sizes):
        """Return the sizes, or errors, None for each that is said to be no file."""
        return [None if self._capabilities.sizes and _is_no_file(size) else size for size in sizes]

    def tells_sizes(self):
        """See `ISession`."""
        known = tuple(self._capabilities.known)
        if self._capabilities.sizes is None and known:
            try:
                self._query('size', min(known))
            except ServerError as error:
                log.debug('No size of a file that is there: %s', printable(error.message))
                self._capabilities.sizes = False  # until it tells one
        return bool(self._capabilities.sizes)

    def look(self, name, *, followed=False):
        """See `ISession`."""
        try:
            return self._query('look', name, followed=followed)
        except ServerError as error:
            return self.listed(name, error)

    def exists(self, name):
        """See `ISession`."""
        try:
            self._query('size', name)
            return True
        except ServerError as error:
            return name in self._listing(name, error)

    def listed(self, name, refusal):
        """Return (size, modified) of a file of which SIZE was refused, as a listing tells them.

        (None, None) if it is proven that there is none.  Raises `NotTold` if there may be one, or
        if SIZE tells the length of others: somebody has this one in use.  Where files are not
        transferred as they are, the listed size is another one.
        """
        if self._capabilities.sizes is None and refusal.code in UNKNOWN:
            self._capabilities.sizes = False  # until it tells one
        facts = self._listing(name, refusal)
        if name not in facts:
            self._capabilities.known.discard(name)
            return None, None
        size, modified = facts[name]
        if size is None or self._capabilities.image is False or self.tells_sizes():
            error = NotTold(
                f'The server lists {printable(name)}, and does not tell its size: '
                f'{refusal.message}',
                hint=_IN_USE,
            )
            error.listed = True
            raise error from refusal
        return size, modified

    def _listing(self, name, refusal):
        """Return the facts of what is there; raise `NotTold` if it does not decide on `name`."""
        facts = self._query('list_facts')
        if name not in facts and not self._capabilities.is_shown(facts):
            raise NotTold(
                f'The server does not tell whether there is {printable(name)}: {refusal.message}',
                hint=_ADVICE,
            ) from refusal
        return facts

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


def _is_no_file(size):
    return isinstance(size, ServerError) and size.code == NO_FILE
