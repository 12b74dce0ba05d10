"""The part of a spool's journal that tells of imports; see `zeit.cds.journal`.

fetched     NAME of TARGET is complete in tmp/ as TEMPORARY, and gets the name FILED_AS in new/
dropped     it does not get there; its temporary is going to be deleted
received    it is there for good, which the history has before it is deleted on TARGET
compared    what is on TARGET as NAME is what was fetched; it is of MODIFIED
removed     what was fetched as NAME is not on TARGET any more
kept        it is there still, although the server has said that it is not
"""

class ImportLog:
    """What a `Journal` knows of the files that come in; it writes by `_note(kind, **fields)`."""

    #: The file that came in last: its name, and when that was (ISO 8601); None without one.
    newest = None

    def __init__(self):
        #: Open entries by (target, name).
        self._arrivals = {}

    def fetched(self, *, target, name, temporary, size, sha256, inode, modified, filed_as):
        """Remember that all of a file of `target` is in `tmp/`, and gets into `new/` next.

        `inode` is its number, which it keeps when it is renamed.
        `modified` is the time of the server's file in ISO 8601, '' if it is not known or would not
        tell this file from one that takes its place.
        """
        self._note(
            'fetched',
            target=target,
            name=name,
            temporary=temporary,
            size=size,
            sha256=sha256,
            inode=inode,
            modified=modified,
            filed_as=filed_as,
        )

    def _learn_fetched(self, entry):
        for key in ('temporary', 'size', 'sha256', 'modified', 'filed_as'):
            entry[key]
        self._arrivals[entry['target'], entry['name']] = entry

    def received(self, *names, target):
        """Write the receipts of what was `fetched` as `names`: it is in `new/` for good."""
        self.history.add(*(self._receipt(target, name) for name in names))
        for name in names:
            size = self._arrivals[target, name]['size']
            self._note('received', lazily=True, target=target, name=name, size=size)

    def _receipt(self, target, name):
        entry = self._arrivals[target, name]
        known = {key: entry[key] for key in ('size', 'sha256', 'filed_as')}
        return {'kind': 'imported', 'target': target, 'name': name, **known}

    def was_received(self, *, target, name):
        """Return whether what was `fetched` has its receipt; close it then."""
        since = self._arrivals[target, name].get('at', '')
        if not self._has_receipt(self._receipt(target, name), since=since):
            return False
        size = self._arrivals[target, name]['size']
        self._note('received', lazily=True, target=target, name=name, size=size)
        return True

    def _learn_received(self, entry):
        key = entry['target'], entry['name']
        self.newest = entry['name'], entry['at']
        if key in self._arrivals:
            self._arrivals[key] = {**self._arrivals[key], 'moved': True}

    def compared(self, *, target, name, modified):
        """Remember that `target` still has what was fetched; `modified` as in `fetched`."""
        self._note('compared', target=target, name=name, modified=modified)

    def _learn_compared(self, entry):
        key = entry['target'], entry['name']
        if key in self._arrivals:
            self._arrivals[key] = {**self._arrivals[key], 'modified': entry['modified']}

    def removed(self, *, target, name):
        """Remember that a file that was imported is not on `target` any more.

        Lazily: if it is forgotten, the next run looks for the file, and finds none.
        """
        self._note('removed', lazily=True, target=target, name=name)

    def kept(self, *, target, name, size, sha256, modified, filed_as):
        """Remember that a file that was imported is on `target`, and was not `removed`."""
        known = {'size': size, 'sha256': sha256, 'modified': modified, 'filed_as': filed_as}
        self._note('kept', target=target, name=name, temporary='', **known)

    def _learn_kept(self, entry):
        self._learn_fetched({**entry, 'kind': 'fetched', 'moved': True})

    def dropped(self, *, target, name):
        """Remember that a file that was fetched does not get into `new/`."""
        self._note('dropped', target=target, name=name)

    def _learn_removed(self, entry):
        self._arrivals.pop((entry['target'], entry['name']), None)

    _learn_dropped = _learn_removed

    def arrival(self, *, target, name):
        """Return the open entry of the file `name` of `target`, or None."""
        return self._arrivals.get((target, name))

    def arrivals(self):
        """Return the open entries of imports from all targets, a list.

        What was fetched may be in `tmp/` or in `new/`; it is in `new/` where 'moved' is in the
        entry.  In both cases it may still be on the server.
        """
        return list(self._arrivals.values())
