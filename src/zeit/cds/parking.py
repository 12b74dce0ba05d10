"""`parked/`: files of a spool that were put away, and why, until a person decides about them."""

import contextlib
import io
import os

from zeit.cds import files, names
from zeit.cds.errors import FileError
from zeit.cds.text import printable


PARKED = 'parked'

#: Longest reason that is read, in characters.
LIMIT = 4096


class Parking:
    """`parked/` of the spool at `path`; `drafts` is where its unfinished files are, in the spool.

    The directory is made when something is put into it.  All methods raise OSError.
    """

    def __init__(self, path, *, drafts):
        self._path = path
        self._drafts = drafts

    def __repr__(self):
        return f'<Parking of {str(self._path)!r}>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    def add(self, path, name, reason):
        """Move the file `path` here as `name`, or as a unique name, the reason (str) beside it."""
        files.make_directory(self._in(PARKED), like=self._path)
        filed = files.move(path, self._in(PARKED), name)
        draft = files.draft(self._in(self._drafts), io.BytesIO(reason.encode('utf-8', 'replace')))
        os.replace(draft, self._in(PARKED, _reason_name(filed)))
        files.sync_directories(self._in(PARKED))

    def bring_back(self, name):
        """Move a file back into `new/`.  Raises `FileError` if that is not possible."""
        try:
            files.rename_exclusively(self._in(PARKED, name), self._in('new', name))
        except FileNotFoundError:
            raise FileError(
                f'{printable(name)} is not parked', hint='"zeit-cds status" shows what is.'
            ) from None
        except FileExistsError:
            raise FileError(
                f'A newer {printable(name)} waits in new/ already',
                hint='Let it be delivered, then decide which one is right.',
            ) from None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._in(PARKED, _reason_name(name)))
        files.sync_directories(self._in('new'), self._in(PARKED))

    def content(self):
        """Return what is here, a list of (name, reason), sorted."""
        try:
            present = sorted(os.listdir(self._in(PARKED)))
        except FileNotFoundError:
            return []
        return [(name, self._reason(name)) for name in present if not name.startswith('.')]

    def _reason(self, name):
        try:
            with open(self._in(PARKED, _reason_name(name)), encoding='utf-8') as file:
                return file.read(LIMIT)
        except FileNotFoundError:
            return ''


def _reason_name(name):
    return '.' + names.with_suffix(name, '.reason', limit=names.SHORT - 1)
