"""`.cds/unpublished/`: what should have been put into a spool and was not, until it works.

One file is one content of the application; its name is a hash of the id.
"""

import dataclasses
import datetime
import hashlib
import io
import json
import logging
import os

import zope.interface

from zeit.cds import files
from zeit.cds.interfaces import IFailure, IUnpublished
from zeit.cds.text import printable


log = logging.getLogger(__name__)


@zope.interface.implementer(IFailure)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """See `IFailure`."""

    unique_id: str
    reason: str
    attempts: int
    since: float


@zope.interface.implementer(IUnpublished)
class Unpublished:
    """See `IUnpublished`; `directory` is made when it is needed, with the permissions of `like`.

    All methods raise OSError.
    """

    def __init__(self, directory, *, like):
        self._directory = directory
        self._like = like

    def __repr__(self):
        return f'<Unpublished {str(self._directory)!r}>'

    def _path(self, unique_id):
        name = hashlib.sha256(unique_id.encode('utf-8', 'surrogateescape')).hexdigest()[:32]
        return os.path.join(self._directory, name)

    def add(self, unique_id, reason):
        """See `IUnpublished`."""
        for directory in (os.path.dirname(self._directory), self._directory):
            files.make_directory(directory, like=self._like)
        path = self._path(unique_id)
        known = _read(path)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec='milliseconds')
        entry = {
            'id': unique_id,
            'reason': reason,
            'attempts': known.attempts + 1 if known else 1,
            'since': _iso(known.since) if known else now,
        }
        content = io.BytesIO(json.dumps(entry).encode('utf-8'))
        os.replace(files.draft(self._directory, content), path)
        files.sync_directories(self._directory)
        return entry['attempts']

    def forget(self, unique_id):
        """See `IUnpublished`."""
        try:
            os.unlink(self._path(unique_id))
        except FileNotFoundError:
            return False
        files.sync_directories(self._directory)
        return True

    def content(self):
        """See `IUnpublished`."""
        try:
            present = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        found = [_read(os.path.join(self._directory, n)) for n in present if not n.startswith('.')]
        return sorted(filter(None, found), key=lambda failure: (failure.since, failure.unique_id))


def _iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec='milliseconds')


def _read(path):
    """Return what a file says, or None if there is no such file, or it is damaged."""
    try:
        with open(path, encoding='utf-8') as file:
            entry = json.load(file)
        return Failure(
            unique_id=str(entry['id']),
            reason=str(entry['reason']),
            attempts=int(entry['attempts']),
            since=datetime.datetime.fromisoformat(entry['since']).timestamp(),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        log.warning('%s is damaged and left out', printable(path))
        return None
