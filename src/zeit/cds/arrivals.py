"""What a spool remembers of the files that came from a target, and how they get into `new/`.

Before a complete file leaves `tmp/`, the journal has its name, its temporary name, its size and its
SHA-256.  So a temporary that is gone means that the file has got into `new/`, even if somebody has
taken it from there since.  The entry stays open until the file is gone from the server; only an
open entry keeps a file from being imported: a partner may send the same bytes once more.
"""

from zeit.cds import files


#: What an open entry says about a file that is on the server.
SAME, OTHER, UNSURE = 'same', 'other', 'unsure'


class Arrivals:
    """The arrivals in `spool`, which is in a run, from the target with this `url`."""

    def __init__(self, spool, *, url):
        self._spool = spool
        self._journal = spool.journal
        self._url = url
        self._settled = set()

    def __repr__(self):
        return f'<Arrivals from {self._url}>'

    def _open(self):
        return {e['name']: e for e in self._journal.arrivals() if e['target'] == self._url}

    def recover(self):
        """Bring to its end what killed runs have fetched, from whichever target.

        Yields the entries of what is in `new/` by then.  What is of no use is deleted.
        """
        for entry in self._journal.arrivals():
            if entry.get('moved'):
                continue
            target, name = entry['target'], entry['name']
            wanted = {key: entry[key] for key in ('temporary', 'size', 'sha256')}
            if self._spool.recover(entry['filed_as'], **wanted):
                self._journal.received(target=target, name=name, removed=False)
                yield entry
            else:
                self._journal.dropped(target=target, name=name)
        self._spool.sweep()

    def hand_over(self, name, incoming, *, modified, unique):
        """Move a complete `incoming` into `new/`; return the name that it got there.

        `modified` is the server's time of the file, '' if it says nothing.  If there is something
        called `name`, it gets another name where `unique` is true; otherwise it is deleted, and ''
        returned.
        """
        for filed_as in files.candidates(name) if unique else [name]:
            if self._spool.has(filed_as):
                continue
            self._journal.fetched(
                target=self._url,
                name=name,
                temporary=incoming.temporary,
                size=incoming.size,
                sha256=incoming.sha256,
                modified=modified,
                filed_as=filed_as,
            )
            if incoming.move(filed_as):
                return filed_as
        # Noted before it is deleted: what is gone from tmp/ counts as moved.
        self._journal.dropped(target=self._url, name=name)
        incoming.discard()
        return ''

    def settle(self, name, *, removed):
        """Write the receipt of what is in `new/`, or that it is gone from the server, too."""
        self._settled.add(name)
        entry = self._open()[name]
        if not entry.get('moved'):
            self._journal.received(target=self._url, name=name, removed=removed)
        elif removed:
            self._journal.removed(target=self._url, name=name)

    def is_settled(self, name):
        """Return whether this run is done with the file `name` that is on the server."""
        return name in self._settled

    def pending(self):
        """Return the names of what is in `new/`, but may be on the server still."""
        return list(self._open())

    def compare(self, name, look):
        """Return whether the file `name` on the server is what was imported: SAME, OTHER, UNSURE.

        `look` is a `zeit.cds.fetching.Look`.  Without an open entry it is another one.
        """
        entry = self._open().get(name)
        if entry is None or not look.exists or look.size not in (None, entry['size']):
            return OTHER
        if not (look.modified and entry['modified']) or look.size is None:
            return UNSURE
        return SAME if look.modified == entry['modified'] else OTHER

    def confirm(self, name, *, modified):
        """What is on the server is what was imported; `modified` as for `hand_over`."""
        if modified:
            self._journal.compared(target=self._url, name=name, modified=modified)

    def forget(self, name):
        """What was imported as `name` is not on the server any more."""
        self._journal.removed(target=self._url, name=name)

    def has(self, name, *, sha256):
        """Return whether the open entry of `name` is of a file with this SHA-256."""
        entry = self._open().get(name)
        return entry is not None and entry['sha256'] == sha256
