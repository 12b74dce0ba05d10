"""What was delivered is deleted from `cur/`, if it is not to be kept: nothing else deletes there.

A receipt tells when a file was delivered, and as what it is in `cur/`.  What has no receipt stays,
whatever its age, and so does what is not what its receipt says.  First the history has that it is
deleted: after a kill in between the next call deletes it, and says so once more.
"""

import contextlib
import logging
import os
from typing import NamedTuple

from zeit.cds.journal import journal, kinds
from zeit.cds.journal.append_log import number_of
from zeit.cds.journal.history import ago
from zeit.cds.spool import entries
from zeit.cds.spool.source import digest
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many files are deleted at once.
TOGETHER = 100

#: The tables of the journal whose files a run may look for in `cur/`, or delete on a server.
_OPEN = 'uploads', 'exposed', 'asides', 'removals'


class Pruned(NamedTuple):
    """A file of `cur/`, as its `receipt` has it; its `version` is that of `IEntry`."""

    name: str
    size: int
    at: str
    receipt: dict
    version: tuple


def prune(cur, keep, *, history, visited=None, others=()):
    """Delete from the directory `cur` what `keep` (a `Keep`) does not; see `ISpool.prune`.

    `visited()` is a context manager: the `Journal`, locked; without it nothing is deleted.
    `others` are the own directories of those whose files are here, too.
    """
    found = _too_much(cur, keep, history=history)
    if visited is None:
        return found
    done = []
    while found:
        several, found = found[:TOGETHER], found[TOGETHER:]
        # It may take long, and others wait for the lock of the journal.
        ours = [each for each in several if _is_what_was_delivered(cur, each)]
        if ours:
            with visited() as remembered:
                done += _delete(cur, ours, remembered, others)
    return done


def _too_much(cur, keep, *, history):
    """Return what is not kept, a list of `Pruned`, the oldest first."""
    if keep.all:
        return []
    try:
        present = {entry.name: entry for entry in entries.scan(cur)[0]}
    except FileNotFoundError:
        return []  # no run has been here yet
    before = '' if keep.keep is None else ago(keep.keep)
    found, size = [], 0
    for receipt in history.find(kind='delivered'):
        # The newest receipt counts: the name may have been that of another file before.
        entry = present.pop(receipt.get('filed_as'), None)
        if entry is None:
            continue
        at, size = str(receipt.get('at')), size + entry.size
        if at < before or (keep.keep_bytes is not None and size > keep.keep_bytes):
            found.append(Pruned(entry.name, entry.size, at, receipt, entry.version))
        if not present:
            break
    return found[::-1]


def _is_what_was_delivered(cur, pruned):
    expected = pruned.receipt.get('sha256')
    path = os.path.join(cur, pruned.name)
    same = pruned.size == pruned.receipt.get('size')
    if same and expected:
        same = digest(path) == expected
    if not same and os.path.lexists(path):
        log.warning('It stays, as it is not what was delivered: cur/%s', printable(pruned.name))
    return same


def _delete(cur, several, remembered, others):
    """Delete them, but for what is needed; return those."""
    journals = [remembered, *(journal.read(each, tables=(*_OPEN, 'erasures')) for each in others)]
    names = {row['name'] for each in journals for table in _OPEN for row in each.find(table)}
    contents = {row['id'] for each in journals for row in each.find('erasures')}
    several = [
        each
        for each in several
        if each.receipt.get('name') not in names
        and each.receipt.get('content') not in contents
        and (there := entries.find(cur, each.name)) is not None
        and there.version == each.version
    ]
    receipts = [
        {
            'name': each.receipt.get('name'),
            'sequence': number_of(each.receipt),
            'size': each.size,
            'filed_as': each.name,
            **kinds.told(each.receipt),
        }
        for each in several
    ]
    if receipts:
        remembered.record('pruned', *receipts)
    for each in several:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(cur, each.name))
        log.info('Deleted: cur/%s', printable(each.name))
    files.sync_directories(cur)
    return several
