"""What a spool remembers of the files that came from a target, and how they get into `new/`.

Before a complete file leaves `tmp/`, the journal has its name, its temporary name, its size and its
SHA-256; when it is in `new/` for good, and before it is deleted on the server, the journal has its
receipt.  After a kill in between, only the file itself is a proof: `tmp/` is where others clean up.
Without one it is fetched again: rather twice than never.  The entry stays open until the file is
gone from the server; only an open entry keeps a file from being imported: a partner may send the
same bytes once more.
"""

import contextlib

from zeit.cds.journal.history import ago
from zeit.cds.system import files


#: What cannot be deleted is fetched to be compared, in each of `TRIES` runs, then after pauses: of
#: `PAUSE` seconds, twice that, and so on; they double `LONGEST` times, up to about an hour.
TRIES = 8
PAUSE = 60
LONGEST = 6


class Arrivals:
    """The arrivals in `spool`, which is in a run, from the target with this `url`."""

    def __init__(self, spool, *, url):
        self._spool = spool
        self._journal = spool.journal
        self._view = spool.journal.at(url)
        #: The names of the files on the server that this run is done with.
        self.settled = set()
        self._deleted = {}
        #: The names of the files that got into `new/`.
        self.moved = set()
        self._batch = None

    def __repr__(self):
        return f'<Arrivals from {self._view.url}>'

    def recover(self):
        """Bring to its end what killed runs have fetched, from whichever target.

        Yields the entries of what is in `new/` by then.  What is of no use is deleted.
        """
        for entry in self._journal.find('arrivals'):
            if entry.get('moved'):
                continue
            view, receipt = self._journal.at(entry['target']), _receipt(entry)
            wanted = {key: entry[key] for key in ('temporary', 'size', 'sha256')}
            if view.close('imported', receipt, since=entry['at']):
                continue
            if self._spool.recover(entry['filed_as'], inode=entry.get('inode'), **wanted):
                view.receipt('imported', receipt)
                yield entry
            else:
                view.note('dropped', entry['name'])
        self._spool.sweep()

    @contextlib.contextmanager
    def together(self):
        """What is handed over inside gets into `new/` on leaving, when the journal knows it."""
        self._batch = batch = []
        with self._view.together():
            yield
            if batch:
                self._spool.sync_arrivals()
        moved = [each for each in batch if each.move()]
        self.moved.update(each.name for each in moved)
        if moved:
            self._received(moved)
        for each in batch:
            if each not in moved:
                self._hand_over_again(each)

    def _received(self, moved):
        """What was moved is in `new/` for good: from now on it may be deleted on the server."""
        self._spool.sync_arrivals()
        entries = (self._view.row('arrivals', each.name) for each in moved)
        self._view.receipt('imported', *map(_receipt, entries))

    def hand_over(self, handover):
        """Let a complete file get into `new/`, when `together` is left."""
        name, incoming = handover.name, handover.incoming
        known = self._view.row('arrivals', name)
        if known is not None and known.get('moved') and known['sha256'] == incoming.sha256:
            handover.same = True
            incoming.discard()
            if handover.modified:
                self._view.note('compared', name, modified=handover.modified)
            return
        if self._choose_name(handover):
            self._batch.append(handover)
        else:
            incoming.discard()

    def _choose_name(self, handover):
        """Write down which name it is going to get; return whether there is one."""
        names = files.candidates(handover.name) if handover.unique else [handover.name]
        filed_as = next((name for name in names if not self._spool.has(name)), '')
        if filed_as:
            self._note(handover, filed_as)
        return bool(filed_as)

    def _note(self, handover, filed_as):
        incoming = handover.incoming
        handover.filed_as = filed_as
        incoming.keep()
        self._view.note(
            'fetched',
            handover.name,
            temporary=incoming.temporary,
            size=incoming.size,
            sha256=incoming.sha256,
            inode=incoming.inode,
            modified=handover.modified,
            filed_as=filed_as,
        )

    def _hand_over_again(self, handover):
        """Its name was taken since we have looked, or cannot be had."""
        while handover.unique and not handover.refused and self._choose_name(handover):
            if handover.move():
                self._received([handover])
                return
        self._view.note('dropped', handover.name)
        handover.filed_as = ''
        handover.incoming.discard()

    def settle(self, name, *, removed, look=None):
        """This run is done with the file `name` on the server, which it has `removed`, or not.

        `removed` is false also where that is not known.  `look` is the last one at the file, if
        nobody has looked whether it is gone.
        """
        self.settled.add(name)
        entry = self._view.row('arrivals', name)
        if removed and look is not None:
            self._deleted[name] = look, entry
        if removed:
            self.forget(name)
        elif entry is not None:
            self._note_kept(name, entry)  # behind the others: a bound may end the next run here

    def deleted(self):
        """Return the last `Look` at each file that the server says it has deleted, by name."""
        return {name: look for name, (look, _) in self._deleted.items()}

    def keep(self, name):
        """The server has not deleted the file `name`: it is not to be imported again."""
        self._note_kept(name, self._deleted.pop(name)[1])

    def _note_kept(self, name, entry):
        known = {key: entry[key] for key in ('size', 'sha256', 'modified', 'filed_as')}
        known['tried'] = entry.get('tried', 0) + 1
        self._view.note('kept', name, temporary='', moved=True, **known)

    def pending(self):
        """Return the names of what is in `new/`, but may be on the server still.

        What has waited longest for another attempt is the first.
        """
        return [*self._view.rows('arrivals')]

    def is_pending(self, name):
        """Return whether `name` is one of them."""
        return self._view.row('arrivals', name) is not None

    def may_be(self, name, look):
        """Return whether the file `name` on the server may be what was imported.

        `look` is a `zeit.cds.target.being_written.Look`.  Only the content tells whether it is: a
        partner sets the times of files.
        """
        entry = self._view.row('arrivals', name)
        if entry is None or not look.exists or look.size not in (None, entry['size']):
            return False
        return not (look.modified and entry['modified']) or look.modified == entry['modified']

    def rests(self, name, look):
        """Return whether the file that `may_be` what was imported is left alone in this run.

        Each attempt to delete it takes a download.  It has the time of what was imported.
        """
        entry = self._view.row('arrivals', name)
        tried = entry.get('tried', 0) - TRIES
        if tried < 0 or not (look.modified and entry['modified']):
            return False
        rests = ago(PAUSE * 2 ** min(tried, LONGEST)) <= entry['at'] <= ago(0)
        if rests:
            self.settled.add(name)
        return rests

    def forget(self, name):
        """What was imported as `name` is not on the server any more."""
        self._view.note('removed', name)


def _receipt(entry):
    fields = 'name', 'size', 'sha256', 'filed_as', 'temporary'
    return {field: entry[field] for field in fields}
