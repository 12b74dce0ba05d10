"""A target in memory: the smallest thing that is an `ITarget`, for tests without a network.

It passes the same contract tests as `zeit.cds.target.target.FTPTarget` against real servers.
"""

import contextlib
import datetime
import re

import zope.interface

from zeit.cds import names
from zeit.cds.errors import Error, PermanentError, ServerError, SizeMismatch
from zeit.cds.interfaces import ILedger, ISession, ITarget
from zeit.cds.target import terms
from zeit.cds.target.delivery_options import Delivery


CHUNK = 64 * 1024

_NO_FILE = 'No such file or directory.'

#: The methods of a session for the commands of `perform`.
_METHODS = {
    'MKD': 'make_directory',
    'RMD': 'remove_directory',
    'DELE': 'delete',
    'RNTO': 'rename',
    'SIZE': 'sizes',
}

#: What the name of a file ends with as long as it is a part.
_PART = re.compile(r'\.cds[0-9a-f]{16}-\d+\.part\Z')


@zope.interface.implementer(ILedger)
class NoLedger:
    """A ledger that remembers nothing: see `ILedger`."""

    def together(self):
        """See `ILedger`."""
        return contextlib.nullcontext()

    def note(self, kind, name, **fields):
        """See `ILedger`."""


@zope.interface.implementer(ITarget)
class MemoryTarget:
    """See `ITarget`.

    `files` maps names to bytes, `directories` maps names to the set of names inside; a test may
    change both at any time.  `exists` is 'replace' or 'park'.  `hook(operation, name)` is called
    before each step with the name of the session's method, and the file's real name for an upload;
    the rename of that is 'publish'.  It may change files, or raise an `Error` in the server's
    place.  `opened` and `closed` count sessions.
    """

    url = 'memory:'
    size_check = True
    temporary = True

    def __init__(self, *, title='a directory in memory', exists='replace', hook=None):
        self.title = title
        self.exists = exists
        self.hook = hook or (lambda operation, name: None)
        self.files = {}
        self.directories = {}
        self.modified = {}
        self.opened = self.closed = 0

    def __repr__(self):
        return f'<MemoryTarget {len(self.files)} files>'

    def check(self, name):
        """See `ITarget`."""
        names.check(name)

    def open(self, *, within=None, learned=None, kept=None):
        """See `ITarget`."""
        try:
            self.hook('open', '')
        except Error as error:
            error.while_connecting = True
            raise
        self.opened += 1
        return MemorySession(self)

    def write(self, name, content, *, age=0):
        """Make the file `name`, `age` seconds ago."""
        passed = datetime.timedelta(seconds=age)
        self.modified[name] = datetime.datetime.now(datetime.UTC) - passed
        self.files[name] = content  # last: who sees the file asks for its time


@zope.interface.implementer(ISession)
class MemorySession:
    """See `ISession`."""

    def __init__(self, target):
        self._target = target
        self.delivery = Delivery(connections=1, exists=target.exists)
        self.connections = 1
        self.orderly = False
        self.terms = terms.FTP
        self.shares = False
        self.learned = {}
        self.free = True
        self.renames = False
        self.known = set()
        self.garbage = []
        self.unconfirmed = set()

    def __repr__(self):
        return f'<MemorySession of {self._target!r}>'

    def _find(self, operation, name, *, places=('files',)):
        self._target.hook(operation, name)
        for place in places:
            if name in getattr(self._target, place):
                return getattr(self._target, place)
        raise PermanentError(550, f'550 {_NO_FILE}')

    def names(self, *, inside=''):
        """See `ISession`."""
        if inside:
            return set(self._find('names', inside, places=('directories',))[inside])
        self._target.hook('names', '')
        return {*self._target.files, *self._target.directories}

    def exists(self, name):
        """See `ISession`."""
        self._target.hook('size', name)
        return name in self._target.files or name in self._target.directories

    def is_shown(self, present):
        """See `ISession`."""
        return True

    def tells_sizes(self):
        """See `ISession`."""
        return True

    def is_directory(self, name):
        """See `ISession`."""
        return name in self._target.directories

    def sizes_directories(self):
        """See `ISession`."""
        return False

    def require_sizes(self):
        """See `ISession`."""

    def files(self, *, wanted=None, most=None):
        """See `ISession`."""
        self._target.hook('files', '')
        return {name: fact for name, fact in self.facts().items() if name in self._target.files}

    def facts(self):
        """See `ISession`."""
        self._target.hook('facts', '')
        files = self._target.files.items()
        found = {name: (len(data), self._target.modified.get(name)) for name, data in files}
        return {**dict.fromkeys(self._target.directories, (None, None)), **found}

    def size(self, name):
        """See `ISession`."""
        self._target.hook('size', name)
        content = self._target.files.get(name)
        return None if content is None else len(content)

    def sizes(self, *names, followed=False, rename_follows=''):
        """See `ISession`."""
        sizes = []
        for name in names:
            try:
                sizes.append(self.size(name))
            except ServerError as error:
                sizes.append(error)
        return sizes

    def modified(self, name):
        """See `ISession`."""
        self._target.hook('modified', name)
        return self._target.modified.get(name) if name in self._target.files else None

    def resting(self, name):
        """See `ISession`."""
        self._target.hook('resting', name)
        return {}

    def look(self, name):
        """See `ISession`."""
        return self.size(name), self.modified(name)

    def read(self, name, *, limit=4096):
        """See `ISession`."""
        self._target.hook('read', name)
        content = self._target.files.get(name)
        return None if content is None else content[:limit]

    def store(self, name, data, *, rename_follows=''):
        """See `ISession`."""
        self._target.hook('store', name)
        self._target.write(name, data)

    def fetch(self, name, file, *, within=None):
        """See `ISession`."""
        self._target.hook('fetch', name)
        content = self._target.files.get(name)
        if content is None:
            return None
        file.write(content)
        return len(content)

    def rename(self, old, new):
        """See `ISession`: a file replaces a file, a directory an empty directory."""
        if names.is_temporary(old):
            self._target.hook('publish', new)
            if new in self._target.files and self._target.exists == 'park':
                raise PermanentError(550, '550 File exists.')
        place = self._find('rename', old, places=('files', 'directories'))
        other = self._target.directories if place is self._target.files else self._target.files
        if new in other or (place is self._target.directories and place.get(new)):
            raise PermanentError(550, '550 Directory not empty.')
        place[new] = place.pop(old)
        self.renames = True
        if old in self._target.modified:
            self._target.modified[new] = self._target.modified.pop(old)

    def delete(self, name):
        """See `ISession`."""
        del self._find('delete', name)[name]

    def misspelt(self, names, *, token):
        """See `ISession`."""
        return {}

    def make_directory(self, name):
        """See `ISession`."""
        self._target.hook('make_directory', name)
        parent, _, child = name.rpartition('/')
        if name in self._target.directories or name in self._target.files:
            raise PermanentError(550, '550 File exists.')
        if parent:
            self._find('make_directory', parent, places=('directories',))[parent].add(child)
        else:
            self._target.directories[name] = set()

    def remove_directory(self, name):
        """See `ISession`."""
        parent, _, child = name.rpartition('/')
        if parent:
            inside = self._find('remove_directory', parent, places=('directories',))[parent]
            if child not in inside:
                raise PermanentError(550, f'550 {_NO_FILE}')
            inside.discard(child)
            return
        if self._find('remove_directory', name, places=('directories',))[name]:
            raise PermanentError(550, '550 Directory not empty.')
        del self._target.directories[name]

    def perform(self, *commands, followed=True, rename_follows='', trial=False):
        """See `ISession`: one by one."""
        found = []
        for verb, *arguments in commands:
            try:
                made = getattr(self, _METHODS[verb])(*arguments)
                found.append(made if verb == 'SIZE' else None)
            except ServerError as error:
                found.append(error)
                break
        return found

    # Uploads and downloads

    @contextlib.contextmanager
    def at_work(self):
        """See `ITransfers`."""
        try:
            yield
        finally:
            for name in list(self.garbage):
                self.dispose_of(name)

    def during(self, transfer, *, followed=False):
        """See `ITransfers`."""
        return contextlib.nullcontext()

    def upload(self, name, source, *, began=lambda name: None, rename_follows=False):
        """See `ITransfers`."""
        self._target.hook('upload', _PART.sub('', name))
        began(name)
        content = bytearray()
        buffer = bytearray(CHUNK)
        while count := source.readinto(buffer):
            content += buffer[:count]
        if len(content) != source.size:
            raise SizeMismatch(f'{len(content)} bytes instead of {source.size}')
        self._target.write(name, bytes(content))
        return '226 Stored.'

    def dispose_of(self, name):
        """See `ITransfers`."""
        self._target.files.pop(name, None)
        self.garbage = [other for other in self.garbage if other != name]
        return True

    def sibling(self):
        """See `ITransfers`."""
        return MemorySession(self._target)

    def connect(self):
        """See `ITransfers`."""

    def enter(self):
        """See `ITransfers`."""

    def leave(self):
        """See `ITransfers`."""

    def bound(self, seconds, *, ends=False):
        """See `ISession`."""

    def hurry(self):
        """See `ISession`."""

    def reconnect(self):
        """See `ISession`."""
        self.connections += 1

    def close(self):
        """See `ISession`."""
        self._target.closed += 1
