"""`parked/`: files of a spool that were put away, and why, until a person decides about them.

    NAME            the file; if that name is taken, one made of it and the time
    .NAME.parked    a JSON object: `name`, its true one, `sequence`, its number (see
                    `zeit.cds.spool.sequence`), the `reason`, what the application has told of it
                    (see `zeit.cds.journal.kinds`), and whether it is `given_up`

What a person has given up is no alarm, and is not brought back with all others.
"""

import contextlib
import io
import json
import os
import shlex
from typing import NamedTuple

from zeit.cds import names
from zeit.cds.errors import FileError, NotMoved
from zeit.cds.journal.kinds import told
from zeit.cds.spool import entries
from zeit.cds.system import files
from zeit.cds.text import printable


PARKED = 'parked'

#: Longest file beside a parked one that is read, in bytes.
LIMIT = 65536

#: What it is like if it is not there, or was damaged.
_UNKNOWN = FileNotFoundError, ValueError, KeyError, TypeError, AttributeError


class Parked(NamedTuple):
    """A parked file.

    `stored`: its name in `parked/`; `name`: the true one.  `number` is that of its version, 0 if it
    is not known.  `entry` is the `IEntry` in `parked/`, `told` what the application has told of it,
    `given_up` whether a person has given it up.
    """

    stored: str
    name: str
    number: int
    reason: str
    entry: object
    told: dict
    given_up: bool = False


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

    def add(self, path, name, reason, *, noted, number=0, told=None, given_up=False):
        """Move the file `path` here as `name`, or as a unique name, what is known of it beside it.

        `number` is the one of its version, `reason` a str, `told` and `given_up` as in `Parked`;
        `noted` is called before it is moved.  Returns its name here.  Raises `NotMoved`.
        """
        about = {'name': name, 'sequence': number, 'reason': reason, **(told or {})}
        about |= {'given_up': True} if given_up else {}
        try:
            return self._add(path, name, about, noted=noted)
        except OSError as error:
            where = os.path.relpath(error.filename2 or self._in(PARKED), self._path)
            raise NotMoved(
                f'It cannot be parked: {printable(where)}: {error.strerror}',
                hint=files.remedy(error) or 'The user of the runs needs rwx on that directory.',
            ) from error

    def _add(self, path, name, about, *, noted):
        files.make_directory(self._in(PARKED), like=self._path)
        for stored in files.candidates(name):
            if os.path.lexists(self._in(PARKED, stored)):
                continue
            # First of all: without it nobody knows the true name.
            self._know(stored, about)
            noted()
            try:
                files.rename_exclusively(path, self._in(PARKED, stored))
            except FileExistsError:
                continue
            files.sync_directories(self._in(PARKED), os.path.dirname(path))
            return stored

    def _know(self, stored, about):
        """Write down what is known of the file `stored`, a dictionary."""
        content = io.BytesIO(json.dumps(about).encode('ascii'))
        draft = files.draft(self._in(self._drafts), content)
        try:
            os.replace(draft, self._in(PARKED, _beside(stored)))
        finally:
            files.remove(draft)

    def give_up(self, parked, reason):
        """Let a `Parked` file be one that a person has given up, for a `reason`."""
        about = {'name': parked.name, 'sequence': parked.number, 'reason': reason, **parked.told}
        self._know(parked.stored, {**about, 'given_up': True})
        files.sync_directories(self._in(PARKED))

    def find(self, stored):
        """Return the `Parked` file that is called `stored` here.  Raises `FileError`."""
        entry = None if _is_elsewhere(stored) else entries.find(self._in(PARKED), stored)
        if entry is None:
            raise FileError(
                f'{printable(stored)} is not parked', hint='"zeit-cds status" shows what is.'
            )
        return self._parked(stored, entry)

    def require_name(self, parked):
        """Raise `FileError` if the true name of a `Parked` file was lost, and may be another."""
        known = parked.name != parked.stored or parked.number or parked.reason
        if known or not files.has_time(parked.stored):
            return
        here, there = (shlex.quote(self._in(PARKED, name)) for name in (parked.stored, 'NAME'))
        raise FileError(
            f'{printable(parked.stored)} stays parked: what is known of it, '
            f'{printable(_beside(parked.stored))}, is gone, and that may not be its true name',
            hint=f'Give it that, with mv -n {printable(here)} {printable(there)}, then bring NAME '
            'back.  If it is its name, move it into new/.',
        )

    def bring_back(self, parked):
        """Move a `Parked` file into `new/` under its true name.  Raises FileExistsError."""
        files.rename_exclusively(self._in(PARKED, parked.stored), self._in('new', parked.name))
        self.forget(parked)
        files.sync_directories(self._in('new'), self._in(PARKED))

    def forget(self, parked):
        """Forget what is known of a file that is here no more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._in(PARKED, _beside(parked.stored)))

    def of(self, content):
        """Return the `Parked` files of the content with this id, a list."""
        stored = [each for each in self._stored() if self._about(each).get('content') == content]
        found = [(each, entries.find(self._in(PARKED), each)) for each in stored]
        return [self._parked(each, entry) for each, entry in found if entry is not None]

    def content(self):
        """Return what is known of what is here: dictionaries, by the names here, sorted."""
        return {stored: self._about(stored) for stored in self._stored()}

    def versions(self, name):
        """Return the `Parked` files of which `name` is the true name, a list."""
        found = []
        # A name that leaves no room for the time is a hash here.
        prefixes = name, names.with_suffix(name, '', limit=0)
        for stored in self._stored():
            if stored.startswith(prefixes):
                entry = entries.find(self._in(PARKED), stored)
                parked = entry and self._parked(stored, entry)
                found += [parked] if parked and parked.name == name else []
        return found

    def _stored(self):
        try:
            present = sorted(os.listdir(self._in(PARKED)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in present if not names.is_hidden(name)]

    def _parked(self, stored, entry):
        about = self._about(stored)
        return Parked(
            stored=stored,
            name=about['name'],
            number=about['sequence'],
            reason=about['reason'],
            entry=entry,
            told=told(about),
            given_up=about['given_up'],
        )

    def _about(self, stored):
        """Return what is known of the file `stored`; only its name, if a person put it here."""
        try:
            with files.open_regular(self._in(PARKED, _beside(stored))) as file:
                about = json.loads(file.read(LIMIT))
            if _is_elsewhere(about['name']):
                raise ValueError(about['name'])
            return {
                'name': about['name'],
                'sequence': int(about['sequence']),
                'reason': str(about['reason']),
                'given_up': about.get('given_up') is True,
                **told(about),
            }
        except _UNKNOWN:
            return {'name': stored, 'sequence': 0, 'reason': '', 'given_up': False}


def _is_elsewhere(name):
    """Return whether `name` is none of a file that can be parked."""
    return not name or names.is_hidden(name) or os.path.basename(name) != name


def _beside(stored):
    """Return the name of what is known of `stored`: one that begins with a dot, however long."""
    found = names.with_suffix(f'.{stored}', '.parked')
    return found if names.is_hidden(found) else f'.{found}'
