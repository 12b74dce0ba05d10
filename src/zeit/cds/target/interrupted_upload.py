"""Whether what an earlier run has uploaded is delivered."""

import contextlib
import logging

from zeit.cds import digests
from zeit.cds.errors import LOST, FileError, NotTold, ServerError, SizeMismatch
from zeit.cds.text import printable


log = logging.getLogger(__name__)


def was_delivered(upload, source, *, name, session, ledger):
    """Return whether the open `source` is on the server as `name` since an earlier `upload`.

    In doubt it is not, and is sent again: the journal must know the upload as complete, with this
    very content, and the server must have that under the real name.  Of what could not be filed
    there is no doubt, wherever it is by now.
    """
    if source.size != upload['size']:
        return False
    known = upload.get('version') == [*source.version]
    if not upload['sha256']:
        source.skip_digest()  # as when it was sent
        return known
    if source.digest() != upload['sha256']:
        return False
    if known:
        return True
    if not upload['temporary']:
        with contextlib.suppress(NotTold):
            return session.size(name) == upload['size']
    # Once only: a run whose time is used up by that must not be followed by another one.
    ledger.note('abandoned', name)
    if not holds(session, name, source):
        return False
    # Whoever is killed before the receipt is written has it filed, too.
    version = [*source.version]
    about = {'sequence': source.number, 'source': version, 'version': version, 'temporary': ''}
    known = {field: upload[field] for field in ('size', 'sha256', 'reply')}
    ledger.note('placed', name, **about, **known)
    return True


class _Content:
    """Digests the bytes that are written to it, `size` at most; `rate` is theirs from now on."""

    def __init__(self, size, *, rate=None):
        self._size = self._left = size
        self._digest = digests.sha256()
        self._rate = rate
        self._moved()

    def __repr__(self):
        return f'<Content, {self._left} bytes to come>'

    def write(self, data):
        """Digest these bytes, too."""
        self._left -= len(data)
        if self._left < 0:
            raise SizeMismatch('More comes than the server has said that there is')
        self._digest.update(data)
        self._moved()

    def _moved(self):
        if self._rate is not None:
            self._rate.moved(self._size - self._left)

    @property
    def sha256(self):
        return self._digest.hexdigest()


def holds(session, name, source):
    """Return whether the server has the content of the open `source` as `name`, which it reads.

    A size proves nothing where a reply is missing: an older version may have the very same.  What
    cannot be read is not known to be there.
    """
    content = _Content(source.size, rate=getattr(source, 'rate', None))
    try:
        with contextlib.suppress(NotTold):  # then the content alone tells
            if session.size(name) != source.size:
                return False
        return session.fetch(name, content) is not None and content.sha256 == source.digest()
    except (FileError, ServerError, *LOST) as error:
        log.debug('Not known to be there: %s: %s', printable(name), printable(error.message))
        return False
