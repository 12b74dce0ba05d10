"""What a transaction that has voted leaves on the disk: which files it has, and what came before.

prepared, committed     in the directory of its `zeit.cds.batch.Batch`, which says what they are
"""

import contextlib
import dataclasses
import json
import os
import stat

import zope.interface

from zeit.cds import entries
from zeit.cds.interfaces import IInDoubt


PREPARED, COMMITTED = 'prepared', 'committed'


@zope.interface.implementer(IInDoubt)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """See `IInDoubt`; `before` has by name the versions of what waited when it voted."""

    names: tuple
    description: str
    user: str
    since: float
    asks: bool
    committed: bool
    before: dict


def read(path):
    """Return what was prepared in the directory `path`: (`InDoubt` or None, content by name).

    Only what is there still.  Raises OSError, and ValueError for what was damaged.
    """
    for name in (COMMITTED, PREPARED):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(path, name), 'rb') as file:
            try:
                entry = json.load(file)
                contents = {
                    str(name): str(draft)
                    for name, draft in entry['files'].items()
                    if os.path.lexists(os.path.join(path, draft))
                }
                doubt = InDoubt(
                    names=tuple(contents),
                    description=str(entry['description']),
                    user=str(entry['user']),
                    since=os.fstat(file.fileno()).st_mtime,
                    asks=bool(entry['asks']),
                    committed=name == COMMITTED,
                    before={
                        str(name): [tuple(found) for found in versions]
                        for name, versions in entry.get('before', {}).items()
                    },
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f'{error!r} in {name}') from error
            return doubt, contents
    return None, {}


def version(path):
    """Return what tells the file at `path` from every other one, None if there is no file.

    It survives a rename, and a change of owner or mode.  Raises OSError.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return entries.entry('', found).version if stat.S_ISREG(found.st_mode) else None
