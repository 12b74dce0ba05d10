"""A file of JSON objects, one on each line, that is only appended to: durable, bounded, repairable.

The first line has a random id, and tells when the file and its directory were made.  A file that
was copied, or restored from a backup, was made at another time than it says, and is known as a copy
by that.  Where the system does not tell such a time, inodes are compared: other ones may be those
of a copy, or of a file system that was mounted again.
"""

import contextlib
import datetime
import itertools
import json
import logging
import os
import secrets

from zeit.cds import birth
from zeit.cds.errors import SpoolError
from zeit.cds.files import (
    end_of_lines,
    make_directory,
    open_regular,
    open_regular_descriptor,
    remedy,
    sync_directories,
)
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The version of what a line says.
VERSION = 2

NAME = 'state.jsonl'

#: So many bytes of lines are parsed at once.
BLOCK = 32 * 1024

#: A file with so many bytes more than twice what it began with is `full`: a run reads all of it.
LIMIT = 64 * 1024


class JSONLog:
    """The file `name` in `directory`, to be opened by one process at a time.

    One that has grown by more than `limit` bytes is full.

    Methods raise `SpoolError` when the file system refuses.
    """

    def __init__(self, directory, *, name=NAME, limit=LIMIT):
        self._directory = os.fspath(directory)
        self._path = os.path.join(self._directory, name)
        self._limit = limit
        self._descriptor = None
        self._length = 0
        self._carried = 0
        #: What is written `together`, and whether it must be synchronised; None outside of that.
        self._group = None
        self._due = False
        self._broken = None
        #: How many damaged lines were left out when it was read.
        self.damaged = 0
        self._id = secrets.token_hex(16)
        #: True for the very file that was written here, False for a copy, None where nothing tells.
        self.is_own = True

    def __repr__(self):
        return f'<JSONLog {self._path!r}, {self._length} bytes>'

    @property
    def is_full(self):
        """True when it is time to `compact` it."""
        return self._length > self._limit + 2 * self._carried

    def open(self):
        """Open the file, or begin a new one; return an iterable of its entries (dictionaries).

        They are read one by one, once: a run of many files leaves a long file.  Half a line at the
        end, from a write that was cut off, is removed.  One that is not our own, see `is_own`, must
        be replaced: `compact` does that.
        """
        try:
            return self._open()
        except OSError as error:
            self.close()
            raise self._unusable(error) from error
        except BaseException:
            self.close()
            raise

    def _open(self):
        make_directory(self._directory, like=os.path.dirname(self._directory))
        if not os.path.exists(self._path):
            self._begin([])
            return []
        self._descriptor = open_regular_descriptor(self._path, os.O_RDWR | os.O_APPEND)
        self._length = end_of_lines(self._descriptor.fileno())
        if self._length < os.fstat(self._descriptor.fileno()).st_size:
            log.warning('Half a line at the end of %s is cut off', printable(self._path))
            os.ftruncate(self._descriptor.fileno(), self._length)
        found = self._entries()
        first = next(found, None)
        self.is_own = is_own(first or {}, self._descriptor.fileno(), self._directory)
        if first is None:
            return []
        carried = first.get('carried')
        self._carried = carried if type(carried) is int else 0
        if self.is_own:
            self._id = first.get('id', self._id)
        return itertools.chain([first], found)

    def _entries(self):
        try:
            with open_regular(self._path) as file:
                for entry in _parse(file, self._path):
                    if entry is None:
                        self.damaged += 1
                    else:
                        yield entry
        except OSError as error:
            raise self._unusable(error) from error

    def close(self):
        """Close the file; may be called again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            descriptor.close()

    def compact(self, carried):
        """Let a new file that has the entries `carried` take the place of this one."""
        try:
            self._begin(carried)
        except OSError as error:
            raise self._unusable(error) from error

    def _begin(self, carried):
        """Make a new file, which gets its name when it is complete."""
        draft = f'{self._path}.draft'
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)  # that of a run that was killed, maybe as another user
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL
        data = b''.join(map(_line, carried))
        self.close()
        self._descriptor = open_regular_descriptor(draft, flags)
        os.fchmod(self._descriptor.fileno(), os.stat(self._directory).st_mode & 0o666)
        self._length, self._carried = 0, len(data)
        about = _identity(self._descriptor.fileno(), self._directory)
        first = {'kind': 'journal', 'version': VERSION, 'id': self._id, 'carried': len(data)}
        self._write(_line({**first, **about}) + data)
        os.rename(draft, self._path)
        sync_directories(self._directory)

    @contextlib.contextmanager
    def together(self):
        """What is added inside is durable on leaving: one write, and one fsync, for all of it."""
        if self._group is not None:
            yield
            return
        self._group = []
        try:
            yield
        finally:
            data, self._group = b''.join(self._group), None
            due, self._due = self._due, False
            if data:
                self._write(data, lazily=not due)

    def append(self, kind, *, lazily=False, **fields):
        """Add an entry, durable on return, except in `together`; return it.

        `lazily`: it survives a kill, and a loss of power when the next one does.
        """
        entry = {'kind': kind, 'at': now().isoformat(timespec='milliseconds'), **fields}
        if self._group is None:
            self._write(_line(entry), lazily=lazily)
        else:
            self._group.append(_line(entry))
            self._due = self._due or not lazily
        return entry

    def _write(self, data, *, lazily=False):
        """Add `data`, whole or not at all.  Raises `SpoolError`, from then on each time.

        What could not be synchronised is not on the disk, also if the next fsync says nothing.
        """
        if self._broken is not None:
            raise self._unusable(self._broken)
        length = self._length + len(data)
        try:
            while data:
                data = data[os.write(self._descriptor.fileno(), data) :]
            if not lazily:
                os.fsync(self._descriptor.fileno())
        except BaseException as error:
            # Also for a signal: what was interrupted was not added.
            with contextlib.suppress(OSError):  # else the next run cuts it off
                os.ftruncate(self._descriptor.fileno(), self._length)
            if not isinstance(error, OSError):
                raise
            self._broken = error
            raise self._unusable(error) from error
        self._length = length

    def _unusable(self, error):
        return SpoolError(
            f'The journal {printable(self._path)} cannot be used: {error.strerror}',
            hint=f'Without it nothing is sent. {remedy(error) or "Check owner and mode."}',
        )


def entries(directory, *, name=NAME):
    """Yield the entries of the file `name`, oldest first.

    It reads only, and needs no lock: half a last line is somebody writing at this moment.
    """
    path = os.path.join(os.fspath(directory), name)
    with contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        yield from filter(None, _parse(file, path))


def now():
    """Return the time of what is added now: an aware datetime, UTC."""
    return datetime.datetime.now(datetime.UTC)


def _require_version(first, path):
    version = first.get('version', VERSION)
    if version != VERSION:
        raise SpoolError(
            f'The journal {printable(path)} is of another build: its version is {version}, this '
            f'one writes {VERSION}',
            hint='Let that build do its work.',
        )


def is_own(first, *files):
    """Return whether the entry `first` was written into the first of `files`, in the second.

    These are the file, by its path or descriptor, and its directory.  Returns True or False, and
    None if nothing tells.  Raises OSError.
    """
    current, born = _identity(*files), first.get('born')
    if not isinstance(born, list) or len(born) != len(files):
        born = [None] * len(files)
    pairs = [*zip(born, current['born'], strict=True)]
    if None in pairs[0]:
        return True if first.get('inodes') == current['inodes'] else None
    return all(before == after for before, after in pairs if None not in (before, after))


def _identity(*files):
    return {
        'born': [*map(birth.born, files)],
        'inodes': [os.stat(file).st_ino for file in files],
    }


def _line(entry):
    return f'{json.dumps(entry)}\n'.encode('ascii')


def _parse(file, path):
    """Yield the entries, None for one that is damaged."""
    for number, entry in numbered(file):
        if entry is None:
            log.warning('Line %s of %s is damaged and left out', number, printable(path))
        elif entry.get('kind') == 'journal':
            _require_version(entry, path)
        yield entry


def numbered(file):
    """Yield (number, entry) of each whole line of a binary file; None for one that is damaged."""
    number = 0
    while lines := file.readlines(BLOCK):
        if not lines[-1].endswith(b'\n'):
            lines.pop()
        for entry in _loaded(lines):
            number += 1
            yield number, entry if isinstance(entry, dict) else None


def _loaded(lines):
    """Return what is in `lines` of JSON, None for one that is damaged: all at once if possible.

    That is faster, and the names of fields are in the memory once.
    """
    try:
        found = json.loads(b'[%s]' % b','.join(lines))
        if len(found) == len(lines):
            return found
    except ValueError:
        pass
    return [*map(_load, lines)]


def _load(line):
    try:
        return json.loads(line)
    except ValueError:
        return None
