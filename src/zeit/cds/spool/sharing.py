"""Several partners of one spool: who they are, and when a file has gone to all of them.

    .cds/partners.json      a JSON object: what each partner wants, by its name
    .cds/partners/NAME/     a spool of its own, see `zeit.cds.spool.partner`, and in there
        cur/                what it was given, until that is in `cur/` of the spool
        skipped/            what it does not get
        resent              empty, made anew when something is brought back for it alone

Files are there by hard links, so that their bytes are kept whatever is renamed in `new/`, and no
journal of another partner is read: a version is settled for a partner if one of these two has it,
or if its name is none that the partner wants.

One lock, held for a moment, is around all that concerns more than one partner.  Nobody holds it
while talking to a server.  A process may be stopped all the same while it has that: so runs of the
others go on without it, and what is to be filed waits for a later one.
"""

import contextlib
import errno
import fnmatch
import io
import json
import logging
import os
import urllib.parse
from typing import NamedTuple

from zeit.cds.errors import NotMoved, SpoolError
from zeit.cds.interfaces import IPartner
from zeit.cds.journal import journal
from zeit.cds.spool import entries
from zeit.cds.spool.filing import FILING, PRIVATE, Filing
from zeit.cds.spool.runlock import RunLock
from zeit.cds.spool.short_lock import ShortLock
from zeit.cds.system import files
from zeit.cds.text import plural, printable


log = logging.getLogger(__name__)

#: Who the partners are, and where each of them has its own, in the spool.
REGISTRY = os.path.join(PRIVATE, 'partners.json')
PARTNERS = os.path.join(PRIVATE, 'partners')

#: In the directory of a partner: what it does not get, and what it had taken, and does not get.
SKIPPED, WITHDRAWN = 'skipped', 'withdrawn'

#: There, too: whoever watches sees it appear.
RESENT = 'resent'


class Terms(NamedTuple):
    """What a partner wants: the `name` of its exporter, and the `url` of its target.

    `wanted`: patterns of a shell for names of files, separated by spaces.  `give_up_after`: how
    many seconds a file waits for it at most, None for no end.
    """

    name: str
    url: str
    wanted: str = '*'
    give_up_after: float | None = None

    def wants(self, name):
        """Return whether a file of this `name` is for the partner."""
        test = self.test()
        return test is None or test(name)

    def test(self):
        """Return the function that does that, for many names; None if all are for it."""
        patterns = self.wanted.split()
        if '*' in patterns:
            return None
        return lambda name: any(fnmatch.fnmatchcase(name, each) for each in patterns)


def is_shared(path):
    """Return whether the spool at `path` has several partners, or had."""
    return os.path.lexists(os.path.join(path, REGISTRY))


def known(path, *, left=False):
    """Return the `Terms` of the partners of the spool at `path` by name, empty without any.

    Or of those who have `left`.  Raises OSError, `SpoolError`.
    """
    where = os.path.join(path, REGISTRY)
    try:
        with files.open_regular(where) as file:
            found = json.load(file)
        return {
            name: Terms(name, each['url'], each['wanted'], each.get('give_up_after'))
            for name, each in found.items()
            if each.get('left', False) == left
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SpoolError(
            f'{printable(where)} is damaged: it does not tell who gets the files',
            hint='Bring it back from a backup; or delete it, and each partner gets all that waits.',
        ) from None


def require_alone(spool):
    """Raise `SpoolError` if an `ISpool` has several partners, and is none of them."""
    if not IPartner.providedBy(spool) and is_shared(spool.path):
        found = ', '.join(map(printable, known(spool.path)))
        raise SpoolError(
            f'{printable(str(spool.path))} has several partners, each with a run of its own: '
            f'{found}',
            hint='Run the exporters that ZCML has for it, with --zcml and their names.',
        )


def numbers(path):
    """Return the largest number that each partner of the spool at `path` has a receipt of."""
    found = [journal.history(os.path.join(folder, PRIVATE)) for folder in folders(path)]
    return [each.sequence() for each in found]


def folders(path):
    """Return the paths of the directories of all partners of the spool at `path`, left or not."""
    shared = Sharing(path)
    return [shared.folder(name) for name in (*known(path), *known(path, left=True))]


class Sharing:
    """How the partners share the spool at `path`.  All methods raise OSError, `SpoolError`."""

    def __init__(self, path):
        self._path = os.fspath(path)
        self._new, self._cur = self._in('new'), self._in('cur')
        self._filing = Filing(path)
        #: Inside of it nobody else files, or takes a name in `cur/`.
        self.lock = ShortLock(self._in(PARTNERS))

    def __repr__(self):
        return f'<Sharing of {self._path!r}>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    def folder(self, name):
        """Return the path of the directory of the partner `name`."""
        quoted = urllib.parse.quote(name, safe=' ')
        return self._in(PARTNERS, f'%2E{quoted[1:]}' if quoted.startswith('.') else quoted)

    def partners(self):
        """Return the `Terms` of all partners by name."""
        return known(self._path)

    def former(self):
        """Return the `Terms` of those who have left, by name."""
        return known(self._path, left=True)

    def register(self, partners, *, left=()):
        """Let these be the partners, `Terms` by name; those with a name in `left` leave."""
        before = {name: each for name, each in self.former().items() if name not in partners}
        told = {
            name: {**each._asdict(), 'left': name in left or name in before}
            for name, each in {**before, **partners}.items()
        }
        content = io.BytesIO(json.dumps(told, indent=1).encode('ascii'))
        mode = os.stat(self._path).st_mode & 0o666
        draft = files.draft(self._in(PRIVATE), content, mode=mode)
        os.replace(draft, self._in(REGISTRY))
        files.sync_directories(self._in(PRIVATE))

    def leave(self, name):
        """Let the partner `name` leave; nothing waits for it any more.

        Raises `SpoolBusy` if a run of it is active.
        """
        folder = self.folder(name)
        with RunLock(os.path.join(folder, PRIVATE, 'lock'), like=folder), self.lock.held():
            self.register(self.partners(), left=[name])

    # What a partner is given

    def keep(self, path, folder, name):
        """Move the file `path` into `cur/` of the partner in `folder`; return its name there.

        That is the name which it is going to have in `cur/` of the spool: no other version has it
        there, nor with another partner.
        """
        found = os.lstat(path)
        inode = found.st_ino
        with self.lock.held_if_possible():
            places = [self._cur, *(f'{each}/cur' for each in folders(self._path))]
            # By the time of the file each partner comes to the same name.
            for stored in files.candidates(name, at=found.st_mtime):
                if all(_inode(place, stored) in (None, inode) for place in places):
                    with contextlib.suppress(FileExistsError):
                        files.rename_exclusively(path, f'{folder}/cur/{stored}')
                        return stored

    def skip(self, folder, name, inode):
        """Let the partner in `folder` not get what has this `name` in `new/`, if it has this inode.

        Returns whether that is so.
        """
        try:
            self._skip(folder, name, f'{self._new}/{name}')
        except FileNotFoundError:
            return False
        if _inode(f'{folder}/{SKIPPED}', name) != inode:
            files.remove(f'{folder}/{SKIPPED}/{name}')
            return False
        return True

    def _skip(self, folder, name, path):
        files.make_directory(f'{folder}/{SKIPPED}', like=folder)
        # One of an older version, whose inode matters no more.
        files.remove(skipped := f'{folder}/{SKIPPED}/{name}')
        link(path, skipped)
        files.sync_directories(f'{folder}/{SKIPPED}')

    def unskip(self, folder, name, inode):
        """Let the partner in `folder` get what has this `name` and inode after all."""
        if _inode(f'{folder}/{SKIPPED}', name) == inode:
            files.remove(f'{folder}/{SKIPPED}/{name}')

    def skip_given(self, path, name, number):
        """Let nobody get the version with this `number` twice; `path` is it.

        It is to wait in `new/` once more, as `name`; with the `lock`.
        """
        for folder in folders(self._path):
            found = journal.history(os.path.join(folder, PRIVATE))
            found = found.find(name=name, kind='delivered', above=number - 1)
            if any(each.get('sequence') == number for each in found):
                self._skip(folder, name, path)

    # When all have it

    def settle(self, folder, given=None, *, leaving=lambda inodes: None):
        """Let what all partners have leave `new/`: as far as the one in `folder` was given it.

        `given` is (name, name in `cur/`) of what it was given just now, or None: then all that is
        in its `cur/` is looked at.  What was replaced in `new/` before all had it goes to `cur/`,
        too, and nobody else gets it.  Before that `leaving` is called with the inodes, a set.
        Returns whether something was moved.
        """
        searched = given is None
        if searched:
            given = self._given(folder)
            if not given:
                return False
        with self.lock.held_briefly():
            others = self._others(folder, self.partners(), searched=searched)
            due = {each: self._due(folder, *each, others) for each in given}
            due = {each: inode for each, inode in due.items() if inode is not None}
            if due:
                leaving({*due.values()})
            moved = [each for each in due if self._settle(folder, *each, due[each], others)]
            if moved:
                files.sync_directories(self._cur, self._new)
                # What it has of its own is of no use any more.
                for _, stored in moved:
                    files.remove(f'{folder}/cur/{stored}')
        return bool(moved)

    def waiting_alone(self, folder, found, partners):
        """Return those of the entries `found` that wait for the partner in `folder` alone.

        That is what all others of the `partners`, `Terms` by name, have, or do not get.
        """
        others = self._others(folder, partners, searched=True)
        return [
            each
            for each in found
            if all(other.has(each.name, '', each.version[0]) for other in others)
        ]

    def _given(self, folder):
        """Return (name in `new/`, '' if it is not there any more; name in `cur/`) of each file."""
        given = _inodes(f'{folder}/cur')
        if not given:
            return []
        waiting = {inode: name for name, inode in scan(self._new) if inode in given}
        return [(waiting.get(inode, ''), stored) for stored, inode in scan(f'{folder}/cur')]

    def _others(self, folder, partners, *, searched):
        """Return a `_Settled` of each of the `partners` but the one in `folder`."""
        folders = [(self.folder(name), each) for name, each in partners.items()]
        return [
            _Settled(each, at, searched=searched) for at, each in folders if at != folder
        ]

    def _due(self, folder, name, stored, others):
        """Return the inode of a file that is to be moved, None if it is not."""
        inode = _inode(f'{folder}/cur', stored)
        if inode is not None and name and _inode(self._new, name) == inode:
            return inode if all(each.has(name, stored, inode) for each in others) else None
        return inode

    def _settle(self, folder, name, stored, inode, others):
        """Move one file; return whether it is in `cur/` of the spool then."""
        with contextlib.suppress(FileExistsError):
            link(f'{folder}/cur/{stored}', f'{self._cur}/{stored}')
        # It is, unless two took one name at the same time, of whom one was stopped meanwhile.  Then
        # it remains where it is, as its receipt says.
        is_filed = _inode(self._cur, stored) == inode
        if name and _inode(self._new, name) == inode:
            self._take_out(name, inode)
        for each in others if is_filed else ():
            each.forget(stored, inode)
        return is_filed

    def _take_out(self, name, inode):
        """Remove what is in `cur/` now from `new/`, unless it was replaced at this very moment."""
        try:
            private = self._filing.take(name)
        except FileNotFoundError:
            return
        if os.lstat(private).st_ino == inode:
            os.unlink(private)
        else:
            self._filing.give_back(name)

    def settle_unwanted(self, names):
        """Move to `cur/` what nobody wants of what is in `new/` by these `names`, and say so."""
        partners = self.partners().values()
        names = sorted(name for name in names if not any(each.wants(name) for each in partners))
        if not names:
            return
        moved = []
        with self.lock.held_briefly():
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    files.move(self._filing.take(name), self._cur, name)
                    moved.append(name)
            files.sync_directories(self._cur, self._new)
        if moved:
            # Nothing else tells it: a pattern that is wrong would look like deliveries.
            log.warning(
                "Not sent, as no exporter wants it, but moved to 'cur': %s%s",
                printable(moved[0]),
                f' and {plural(len(moved) - 1, "more file")}' * (len(moved) > 1),
            )
            for name in moved[1:]:
                log.info("Not sent, but moved to 'cur': %s", printable(name))

    def settle_skipped(self, *, leaving=lambda inodes: None):
        """Move to `withdrawn/` what is in `new/`, and no partner gets any more, nor has got.

        `leaving` as in `settle`.
        """
        everybody = folders(self._path)
        skipped = inodes(*(f'{at}/{each}' for at in everybody for each in (SKIPPED, WITHDRAWN)))
        found = [each for each in scan(self._new) if each[1] in skipped] if skipped else []
        if not found:
            return
        with self.lock.held_briefly():
            partners = self._others('', self.partners(), searched=True)
            given = inodes(*(f'{each}/cur' for each in everybody))
            due = [
                (name, inode)
                for name, inode in found
                if inode not in given and all(each.has(name, '', inode) for each in partners)
            ]
            if due:
                leaving({inode for _, inode in due})
            for name, inode in due:
                self._withdraw(name, inode, everybody)
            files.sync_directories(self._new)
        self.forget_withdrawn()

    def _withdraw(self, name, inode, everybody):
        try:
            private = self._filing.take(name)
        except FileNotFoundError:
            return
        if os.lstat(private).st_ino != inode:
            self._filing.give_back(name)
            return
        files.make_directory(self._in(WITHDRAWN), like=self._path)
        files.move(private, self._in(WITHDRAWN), name)
        files.sync_directories(self._in(WITHDRAWN))
        # Moved back to `new/`, it is for all again.
        for folder in everybody:
            self.unskip(folder, name, inode)

    def forget_filed(self):
        """Remove what a killed process has left on its way out of `new/`, and is in `cur/`."""
        left = [*scan(self._in(FILING))]
        if left:
            filed = _inodes(self._cur)
            for name, inode in left:
                if inode in filed:
                    os.unlink(self._in(FILING, name))

    def forget_withdrawn(self):
        """Let what is withdrawn for all have one name: it is for all if it is moved back."""
        for folder in folders(self._path):
            places = f'{folder}/{WITHDRAWN}', f'{folder}/{SKIPPED}'
            own = [(f'{place}/{name}', inode) for place in places for name, inode in scan(place)]
            common = _inodes(self._in(WITHDRAWN)) if own else set()
            for path, inode in own:
                if inode in common:
                    files.remove(path)

    def tidy(self, folder):
        """Forget what the partner in `folder` does not get, and does not wait any more."""
        self.forget_withdrawn()
        if any(True for _ in scan(f'{folder}/{SKIPPED}')):
            with self.lock.held_briefly():  # somebody may be about to bring it back
                skipped = dict(scan(f'{folder}/{SKIPPED}'))
                known = {*skipped.values()}
                # What a killed process has left on its way out comes back.
                places = map(scan, (self._new, self._in(FILING), self._new))
                waiting = {inode for place in places for _, inode in place if inode in known}
                for name, inode in skipped.items():
                    if inode not in waiting:
                        files.remove(f'{folder}/{SKIPPED}/{name}')


class _Settled:
    """What is settled for the partner with these `terms`, whose directory is `folder`.

    `searched`: it is asked about many files, so that each directory is read once.  Otherwise one
    that has another name there is not seen: a later run searches.
    """

    def __init__(self, terms, folder, *, searched):
        self._terms = terms
        self._folder = folder
        self._found = None
        if searched:
            self._found = inodes(*(f'{folder}/{each}' for each in ('cur', SKIPPED, WITHDRAWN)))

    def has(self, name, stored, inode):
        """Return whether the file `name`, `stored` in `cur/`, is settled for it."""
        if not self._terms.wants(name):
            return True
        if self._found is not None:
            return inode in self._found
        return inode in (
            _inode(f'{self._folder}/cur', stored),
            _inode(f'{self._folder}/{SKIPPED}', name),
            _inode(f'{self._folder}/{WITHDRAWN}', name),
        )

    def forget(self, stored, inode):
        """Remove what it has of its own: the file is in `cur/` of the spool by the same name."""
        if _inode(f'{self._folder}/cur', stored) == inode:
            files.remove(f'{self._folder}/cur/{stored}')


def link(old, new):
    """Link the file `old` as `new`, which may not exist; a link that is symbolic is not followed.

    Raises OSError, `NotMoved`.
    """
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        raise NotMoved(
            f'{printable(old)} cannot have a second name: {error.strerror}',
            hint='Several partners need hard links. Linux refuses them for files that the user of '
            'the runs may not write (fs.protected_hardlinks): let the CMS write them with the '
            'umask 007, or run both as one user.',
        ) from error


def inodes(*directories):
    """Return the numbers of all inodes in these directories, a set; those need not exist."""
    return {inode for directory in directories for inode in _inodes(directory)}


def _inodes(directory):
    return {inode for _, inode in scan(directory)}


def scan(directory):
    """Yield name and inode of what is in `directory`, if that exists, but for dot files."""
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as items:
        for item in items:
            if not item.name.startswith('.'):
                yield item.name, item.inode()


def _inode(directory, name):
    found = entries.find(directory, name)
    return None if found is None else found.version[0]
