"""The spool that several partners share: what one of them does there for all of them.

It looks there for what waits, gives numbers, and makes what another user wrote one's own.  As the
journal may be that of a process which was stopped, it is taken over from that.
"""

import array
import contextlib
import dataclasses
import errno
import logging
import os

from zeit.cds.errors import NotMoved, SpoolBusy, Withdrawn
from zeit.cds.journal import journal
from zeit.cds.spool import entries, queue, sharing, short_lock
from zeit.cds.spool.entries import Entry
from zeit.cds.spool.filing import FILING, PRIVATE
from zeit.cds.spool.sequence import OUTBOX, Numbers, numbered
from zeit.cds.spool.shared_looks import Found
from zeit.cds.spool.sharing import Sharing
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)

_FIELDS = [field.name for field in dataclasses.fields(Entry)]


@dataclasses.dataclass(frozen=True, slots=True)
class Offered(Entry):
    """An `IEntry` of what waits in the spool, to be taken; `is_durable`: it was put so."""

    is_durable: bool = dataclasses.field(default=False, compare=False)


class CommonSpool(Spool):
    """The `spool` that the partners share; a run of it is waited for `patience` seconds.

    By default for a moment.
    """

    def __init__(self, spool, *, patience=None):
        super().__init__(spool.path, history=spool.history, clock=spool.clock)
        self._patience = short_lock.BRIEFLY if patience is None else patience
        self.sharing = Sharing(spool.path)

    @contextlib.contextmanager
    def visited(self, about=None):
        """Return a context manager: the locked `Journal`, which knows what is `about` something.

        Whoever is stopped, and holds it, does not keep the others.
        """
        with contextlib.ExitStack() as stack:
            try:
                visited = stack.enter_context(self._visited(about))
            except SpoolBusy:
                with self.run():
                    pass  # which takes the journal over
                visited = stack.enter_context(self._visited(about))
            yield visited

    def remembered(self, names):
        """Return a `Journal` that knows the versions with these names."""
        return journal.read(self._in(PRIVATE), tables=['versions'], name=names)

    # Numbers

    def new_number(self):
        """Return a new number, which survives a loss of power."""
        with self.visited() as visited:
            number = visited.note('raised', sequence=None)['sequence']
            visited.log.sync()
            return number

    def offered(self, found, *, anew=False):
        """Return the entries `found` in `new/` as `Offered`, with the numbers that they have.

        `anew`: each gets one that has none.
        """
        names = [each.name for each in found]
        offered = _offered(found, self.remembered(names)) if found else []
        if anew and not all(each.number for each in offered):
            with self.visited({'name': names}) as visited:
                # What was there may have been replaced until it is locked.
                Numbers(visited).see(entries.present(self._new, names))
                offered = _offered(found, visited)
        return offered

    def opened(self, found):
        """Return the entry `found`, of what a partner has a link to, as `Offered`."""
        with self.visited({'name': [found.name]}) as visited:
            Numbers(visited).see([found])
            return _offered([found], visited)[0]

    def leave(self, inodes, sent):
        """Let what has these inodes get another number if somebody moves it back to `new/`.

        `sent` has number and name of some by inode; they are taken from there.
        """
        about = {each: sent.pop(each) for each in inodes if each in sent}
        searched = inodes - about.keys()
        for number, name, version in journal.versions(self._in(PRIVATE)) if searched else ():
            if version[0] in searched:
                about.setdefault(version[0], (number, name))
        rows = [{'sequence': number, 'name': name} for number, name in about.values()]
        with self.visited() as visited:
            visited.note_all('left', rows)

    def recalled(self, name, number=None):
        """Return the `Withdrawn` of what was withdrawn for all, or None."""
        rows = self.remembered([name]).find('versions', name=name, recalled=True)
        rows = [row for row in rows if number in (None, row['sequence'])]
        return Withdrawn(rows[-1]['reason']) if rows else None

    # Files

    def look(self, demands):
        """Return the `Found` of what is in `new/` for the partners of these `Demand` objects."""
        if not os.path.lexists(self._new):  # nobody has put anything there
            return Found([], array.array('Q'), array.array('Q'), [], [])
        unwanted = []

        def wanted(name, inode):
            new = [each for each in demands if inode not in each.had]
            if any(each.wants is None or each.wants(name) for each in new):
                return True
            if len(new) == len(demands):
                unwanted.append(name)
            return False

        is_all = any(not each.had and each.wants is None for each in demands)
        found = queue.Files(self._new, wanted=None if is_all else wanted)
        names, numbers = found.in_sequence(journal.versions(self._in(PRIVATE)))
        return Found(names, numbers, found.inodes, found.ignored, unwanted)

    def scan(self):
        """Return the entries of what is in `new/`, and what never goes."""
        try:
            return entries.scan(self._new)[:2]
        except FileNotFoundError:
            return [], []

    def settle_doubts(self):
        """Put in order what transactions and killed processes have left, before anybody looks."""
        if not any(any(sharing.scan(self._in(each))) for each in (OUTBOX, FILING)):
            return
        try:
            with self.run():
                pass  # what is in doubt may remain so
        except SpoolBusy as error:
            log.warning('What is in doubt remains so until a later run: %s', error.message)

    def link(self, name, path):
        """Give what waits as `name` a second name, `path`.

        Raises FileNotFoundError, `NotMoved`.
        """
        try:
            sharing.link(self._in('new', name), path)
        except NotMoved:
            self._adopt(name)
            sharing.link(self._in('new', name), path)

    def skip(self, folder, name, inode):
        """Let the partner in `folder` not get a file that waits; return whether that is so."""
        try:
            return self.sharing.skip(folder, name, inode)
        except NotMoved:
            return self.sharing.skip(folder, name, self._adopt(name))

    def skip_all(self, folder):
        """Let the partner in `folder` get nothing of what waits."""
        for name, inode in sharing.scan(self._new):
            self.skip(folder, name, inode)

    def _adopt(self, name):
        """Let a file that waits be ours: a copy takes its place; return its inode.

        For one that Linux lets nobody else link who may not write it (fs.protected_hardlinks).  It
        is the same version, with the same number and times.  Raises FileNotFoundError, `NotMoved`.
        """
        new = self._in('new', name)
        with self.visited({'name': [name]}) as visited, files.open_regular(new) as file:
            before = entries.entry(name, os.fstat(file.fileno()))
            number = Numbers(visited).see([before])[name, before.version]
            mode = os.fstat(file.fileno()).st_mode & 0o777
            draft = files.draft(self._in('tmp'), file, mode=mode)
            try:
                os.utime(draft, ns=(before.version[2],) * 2)
                copied = entries.entry(name, os.lstat(draft))
                row = visited.row('versions', number)
                visited.note_all(row['kind'], [{**row, 'version': copied.version}])
                visited.log.sync()
                if not files.exchange(draft, new):
                    raise NotMoved(
                        f'{printable(name)} may not be linked, and not be replaced by a copy here',
                        hint='Let the CMS have the umask 007, or run both as one user.',
                    )
                if os.lstat(draft).st_ino != before.version[0]:
                    # Somebody has put another one there at this very moment.
                    files.exchange(draft, new)
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), new)
            finally:
                os.unlink(draft)
            files.sync_directories(self._in('new'), self._in('tmp'))
            return copied.version[0]


def _offered(found, remembered):
    return [
        Offered(
            *(getattr(each, field) for field in _FIELDS),
            is_durable=(remembered.row('versions', each.number) or {}).get('kind') == 'put',
        )
        for each in numbered(found, remembered, timed=True)
    ]
