"""What a spool remembers of the files that came from a target, and how they get into `new/`.

Before a complete file leaves `tmp/`, the journal has its name, its temporary name, its size and its
SHA-256; when it is in `new/` for good, and before it is deleted on the server, the journal has its
receipt.  After a kill in between, only the file itself is a proof: `tmp/` is where others clean up.
Without one it is fetched again: rather twice than never.  The entry stays open until the file is
gone from the server; only an open entry keeps a file from being imported: a partner may send the
same bytes once more.
"""

import contextlib
import dataclasses

from zeit.cds import files
from zeit.cds.errors import NameRefused
from zeit.cds.history import ago


#: What cannot be deleted is fetched so often to be compared, in each run, then after pauses: a
#: minute, two, four, up to about an hour.
TRIES = 8
PAUSE = 60
LONGEST = 6

@dataclasses.dataclass(eq=False, kw_only=True)
class Handover:
    """A complete file that is to get into `new/`, and what comes of it.

    `modified` is the server's time of the file in ISO 8601, '' if it says nothing.  `unique`: if
    there is something of its name, it gets another one.  `filed_as` is the name that it gets, '' if
    it does not get there; `same`: an earlier run has brought it there; `refused` is why it cannot
    have its name, or None.
    """

    name: str
    incoming: object
    modified: str
    unique: bool
    filed_as: str = ''
    same: bool = False
    refused: NameRefused | None = None

    def move(self):
        """Move it to `new/`; return whether it is there."""
        try:
            return self.incoming.move(self.filed_as)
        except NameRefused as error:  # of no concern to the others
            self.refused = error
            return False


class Arrivals:
    """The arrivals in `spool`, which is in a run, from the target with this `url`."""

    def __init__(self, spool, *, url):
        self._spool = spool
        self._journal = spool.journal
        self._view = spool.journal.at(url)
        self._settled = set()
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
            if view.had_receipt('imported', receipt, since=entry['at']):
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
        for filed_as in files.candidates(name) if handover.unique else [name]:
            if not self._spool.has(filed_as):
                self._note(handover, filed_as)
                self._batch.append(handover)
                return
        incoming.discard()

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
        if handover.unique and not handover.refused:
            for filed_as in files.candidates(handover.name):
                if not self._spool.has(filed_as):
                    self._note(handover, filed_as)
                    if handover.move():
                        self._received([handover])
                        return
                    if handover.refused:
                        break
        self._view.note('dropped', handover.name)
        handover.filed_as = ''
        handover.incoming.discard()

    def settle(self, name, *, removed, look=None):
        """This run is done with the file `name` on the server, which it has `removed`, or not.

        `removed` is false also where that is not known.  `look` is the last one at the file, if
        nobody has looked whether it is gone.
        """
        self._settled.add(name)
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

    def is_settled(self, name):
        """Return whether this run is done with the file `name` that is on the server."""
        return name in self._settled

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

        `look` is a `zeit.cds.fetching.Look`.  Only the content tells whether it is: a partner sets
        the times of files.
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
            self._settled.add(name)
        return rests

    def forget(self, name):
        """What was imported as `name` is not on the server any more."""
        self._view.note('removed', name)


def _receipt(entry):
    return {field: entry[field] for field in ('name', 'size', 'sha256', 'filed_as')}
