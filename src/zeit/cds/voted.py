"""What a transaction that has voted leaves on the disk: which files it has, and their numbers.

prepared, committed     in the directory of its `zeit.cds.batch.Batch`, which says what they are
"""

import contextlib
import dataclasses
import json
import os

import zope.interface

from zeit.cds.files import open_regular
from zeit.cds.interfaces import IInDoubt
from zeit.cds.kinds import told


PREPARED, COMMITTED = 'prepared', 'committed'


@zope.interface.implementer(IInDoubt)
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """See `IInDoubt`; `numbers` of its files, and what the application has `told`, are by name."""

    names: tuple
    description: str
    user: str
    since: float
    asks: bool
    committed: bool
    numbers: dict
    told: dict
    retractions: tuple = ()


def read(path):
    """Return what was prepared in the directory `path`: (`InDoubt` or None, content by name).

    Only what is there still.  Raises OSError, and ValueError for what was damaged.
    """
    for name in (COMMITTED, PREPARED):
        with contextlib.suppress(FileNotFoundError), open_regular(os.path.join(path, name)) as file:
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
                    numbers={name: int(entry['numbers'][name]) for name in contents},
                    told={name: told(entry.get('told', {}).get(name, {})) for name in contents},
                    retractions=tuple(
                        (str(content), str(reason), int(until))
                        for content, reason, until in entry.get('retractions', ())
                    ),
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f'{error!r} in {name}') from error
            return doubt, contents
    return None, {}
