"""In-place uploads: what the directory held before, and is a file a part or not?

With `temporary="no"` a file is a part under its real name until all of it is there, and nothing
but the lock keeps the partner away.  If the exporter is killed, the part must go before the lock
does.  But under the same name an older file may stand, complete: the server had not come to STOR,
or not even got it.  So what is under a name is written down before STOR is sent; whoever finds
something there later can tell whether it is still that.

Size and time are compared for equality only: no clock is read, and none compared with another.
They come from one listing in each run, which costs nothing for each file.
"""

import logging

from zeit.cds.errors import NotTold, ServerError
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class Existing:
    """What the directory of `session`, an `ISession`, holds; looked at when first asked."""

    def __init__(self, session):
        self._session = session
        self._facts = None
        self._partial = set()

    def beside(self, session):
        """Return the same for another session in the same directory; what is known is shared."""
        other = Existing(session)
        if self._facts is None:
            self._facts = self._session.facts()
        other._facts = self._facts
        other._partial = self._partial
        return other

    def look(self, name):
        """Return what is under `name`: [size, time], or None for nothing of any use.

        Size in bytes, time in ISO 8601; each is None if the server does not tell.
        """
        if self._facts is None:
            self._facts = self._session.facts()
        if name in self._partial:
            return None
        if name not in self._facts and self._session.is_shown(self._facts):
            return None  # it shows what is there, our lock above all
        size, modified = self._facts.get(name, (None, None))
        if size is None:
            try:
                size = self._session.size(name)
            except (ServerError, NotTold) as error:
                _not_told('SIZE', name, error)
            else:
                if size is None and name not in self._facts:
                    return None
        if modified is None:
            try:
                modified = self._session.modified(name)
            except ServerError as error:
                _not_told('MDTM', name, error)
        return [size, None if modified is None else modified.isoformat()]

    def mark_complete(self, name, *, size):
        """Take note that `name` is complete now, with `size` bytes."""
        self._partial.discard(name)
        self._facts[name] = (size, None)

    def mark_partial(self, name):
        """Take note that what is under `name` is a part, at best."""
        self._partial.add(name)

    def is_part(self, name, *, size, before, waits):
        """Return whether what is under `name` came with a file of `size` bytes, and may go.

        `before` is what `look` told before that was sent.  What cannot be told from an older,
        complete file stays: in a server without MDTM any of the same length.  If the file still
        waits in the spool (`waits`), it will be sent again anyway; if not, it also stays if all
        its bytes are there.
        """
        now = self.look(name)
        if now is None:
            return False
        if before is None:
            if name not in self._facts:
                return False  # listings do not show it, and did not before
        elif all(old in (None, new) or new is None for old, new in zip(before, now, strict=True)):
            return False
        length = now[0]
        return length is None or length < size or (length == size and waits)


def _not_told(verb, name, error):
    log.debug('%s tells nothing about %s: %s', verb, printable(name), printable(error.message))
