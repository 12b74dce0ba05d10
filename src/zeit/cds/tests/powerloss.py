"""A disk that loses power: what was not synchronised is there, or not, or in part.

Durable is what fsync(2) says: of a file its content, of a directory the names in it.  Of all else
any part may survive, in any order, but for what holds on each file system: a renaming happens whole
or not at all, and what builds upon another change of the same name or file is not there without
that.
"""

import contextlib
import os
import pathlib
import unittest.mock

from zeit.cds.system import files


class PowerOff(BaseException):
    """There is no power any more."""


class Disk:
    """The files below `top`; a context manager, inside of which it is known what is durable.

    `shadow` is an empty directory on the same file system.  `off` is the step at which the power
    goes, None for never; `steps` counts them.
    """

    def __init__(self, top, *, shadow, off=None):
        self._top = pathlib.Path(top)
        self._shadow = pathlib.Path(shadow)
        self._off = off
        self.steps = 0
        #: What is durable: inodes by path, and contents by inode.
        self._names = self._scan()
        self._content = {number: path.read_bytes() for path, number in self._names.items()}
        #: What is not, in the order of time: {path: inode, or None where it was removed}.
        self._pending = []
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        for module, name, change in (
            (os, 'fsync', self._synchronised),
            (os, 'write', None),
            (os, 'ftruncate', None),
            (os, 'rename', self._renamed),
            (os, 'replace', self._renamed),
            (os, 'unlink', self._removed),
            (files, '_renameat2', self._renamed),
        ):
            self._watch(module, name, change)
        return self

    def __exit__(self, *exc_info):
        self._stack.close()

    def _watch(self, module, name, change):
        real = getattr(module, name)

        def watched(*args):
            self.step()
            then = change and change(*args)
            result = real(*args)
            if then:
                then()
            return result

        self._stack.enter_context(unittest.mock.patch.object(module, name, watched))

    def step(self):
        """Something happens, on the disk or elsewhere; raise `PowerOff` if it does not any more."""
        if self._off is not None and self.steps >= self._off:
            raise PowerOff
        self.steps += 1

    # What is not durable

    def _scan(self):
        walk = ((pathlib.Path(where), names) for where, _, names in os.walk(self._top))
        found = [path / name for path, names in walk for name in names]
        return {path: path.stat().st_ino for path in found}

    def _discover(self):
        """Take note of the files that were made meanwhile."""
        known = _after(self._names, self._pending)
        made = [(path, number) for path, number in self._scan().items() if path not in known]
        self._pending += [{path: number} for path, number in made]

    def _concerns(self, path):
        return self._top in path.parents and path.is_file() and not path.is_symlink()

    def _renamed(self, old, new, *_):
        old, new = pathlib.Path(old), pathlib.Path(new)
        if not self._concerns(old) or new.is_dir():
            return None
        self._discover()
        if new.exists():
            self._keep(new)
        number = old.stat().st_ino
        return lambda: self._pending.append({old: None, new: number})

    def _removed(self, path):
        path = pathlib.Path(path)
        if not self._concerns(path):
            return None
        self._discover()
        self._keep(path)
        return lambda: self._pending.append({path: None})

    def _keep(self, path):
        """Let a file be there when it has no name any more."""
        with contextlib.suppress(FileExistsError):
            os.link(path, self._kept(path.stat().st_ino))

    def _kept(self, number):
        return self._shadow / str(number)

    def _synchronised(self, descriptor):
        opened = pathlib.Path(f'/proc/self/fd/{descriptor}')
        path = opened.readlink()
        if path != self._top and self._top not in path.parents:
            return None
        if path.is_dir():
            return lambda: self._settle(path)
        number = os.fstat(descriptor).st_ino
        return lambda: self._content.update({number: opened.read_bytes()})

    def _settle(self, directory):
        """What has happened in a directory is durable now."""
        self._discover()
        there = {n for n, each in enumerate(self._pending) if directory in {p.parent for p in each}}
        self._names, self._pending = self._split(there)

    def _split(self, chosen):
        """Return the durable names if the pending changes `chosen` were, and what is left then."""
        chosen = self._with_causes(chosen)
        done = [each for n, each in enumerate(self._pending) if n in chosen]
        left = [each for n, each in enumerate(self._pending) if n not in chosen]
        return _after(self._names, done), left

    def _with_causes(self, chosen):
        """Add the changes without which one of these cannot be: of the same name, or file."""
        chosen, about = set(chosen), set()
        for n in reversed(range(len(self._pending))):
            touched = {*self._pending[n], *self._pending[n].values()} - {None}
            if n in chosen or touched & about:
                chosen.add(n)
                about |= touched
        return chosen

    # Afterwards

    def lose(self, choice):
        """Let the disk be as it may be when the power is back.

        `choice` is a `random.Random`, or None: then nothing survives that is not durable.
        """
        self._discover()
        chosen = {n for n in range(len(self._pending)) if choice and choice.random() < 0.5}
        names, _ = self._split(chosen)
        there = sorted(self._scan(), key=lambda path: path.stat().st_ctime_ns)
        for path in there:
            self._keep(path)
            path.unlink()
        times = {}
        for number in names.values():
            kept = self._kept(number)
            times[kept] = kept.stat().st_mtime_ns
            self._cut(kept, self._content.get(number, b''), choice)
        order = {path: n for n, path in enumerate(there)}
        for path, number in sorted(names.items(), key=lambda each: order.get(each[0], -1)):
            kept = self._kept(number)
            os.utime(kept, ns=(times[kept], times[kept]))
            os.link(kept, path)
        for kept in self._shadow.iterdir():
            kept.unlink()

    def _cut(self, path, durable, choice):
        """Let a file have what is `durable`, and perhaps some of what was written since."""
        now = path.read_bytes()
        possible = [durable, now]
        if now.startswith(durable):
            some = choice.randint(len(durable), len(now)) if choice else 0
            # Its length may be on the disk, and what belongs there not.
            possible += [now[:some], now[:some].ljust(len(now), b'\0')]
        content = choice.choice(possible) if choice else durable
        if content != now:
            path.write_bytes(content)


def _after(names, changes):
    """Return the inodes by path after some changes."""
    found = dict(names)
    for change in changes:
        for path, number in change.items():
            found.pop(path, None)
            if number is not None:
                found[path] = number
    return found
