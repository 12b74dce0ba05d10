"""The way of a delivered file from `new/` to `cur/`, and back for what is not to be filed."""

import contextlib
import errno
import io
import os
import pwd
import stat

from zeit.cds import names
from zeit.cds.errors import FileError, NotMoved
from zeit.cds.spool import entries
from zeit.cds.spool.source import Source, digest
from zeit.cds.system import files
from zeit.cds.text import printable


#: The directories of a `gocept.filestore`: its `FileStore.sub_dirs`.
SECTIONS = 'tmp', 'new', 'cur'

#: The directory of a spool for what a run needs itself.
PRIVATE = '.cds'

#: The directory in between, in the spool.
FILING = os.path.join(PRIVATE, 'filing')


class Filing:
    """Files what was delivered, in the spool at `path`.  All methods raise OSError.

    `keep(path, name)` moves a file into `cur/` as `name`, or as a unique name, and returns that.
    """

    def __init__(self, path, *, keep=None):
        self._path = os.fspath(path)
        self._new, self._private, self._cur = (
            os.path.join(self._path, section) for section in ('new', FILING, 'cur')
        )
        self._keep = keep or (lambda path, name: files.move(path, self._cur, name))

    def __repr__(self):
        return f'<Filing in {self._path!r}>'

    def take(self, name):
        """Take whichever version of `name` is in `new/` out of it; return its path.

        Raises `NotMoved` if another one is on that way, which could not be put back.
        """
        private = self._free(name)
        os.rename(f'{self._new}/{name}', private)
        return private

    def _free(self, name):
        private = f'{self._private}/{name}'
        if os.path.lexists(private):
            raise self.not_moved(private, OSError(errno.EEXIST, 'It was left by a killed run'))
        return private

    def give_back(self, name):
        """Return to `new/` what was taken out of it, and is not to be filed; it may be gone."""
        private = os.path.join(self._private, name)
        try:
            files.rename_exclusively(private, os.path.join(self._new, name))
        except FileNotFoundError:
            return
        except FileExistsError:
            os.unlink(private)  # an even newer version has replaced this one
        files.sync_directories(self._new, self._private)

    def file(self, name, source):
        """Put into `cur/` what was sent from the open `source`: see `ISpool.done`."""
        touched = source.was_touched()  # before it is renamed, which touches it
        try:
            # Taking the name away first, then looking which version it was, leaves no moment in
            # which a correction could slip in between and be filed unsent.
            private = self.take(name)
        except FileNotFoundError:
            return self._copy(source, name), None
        try:
            if source.is_file(private):
                source.require_same(touched=touched)
                return self._keep(private, name), None
            filed = self._copy(source, name)
        except BaseException:
            self.give_back(name)
            raise
        self.give_back(name)
        try:
            return filed, entries.entry(name, os.lstat(os.path.join(self._new, name)))
        except FileNotFoundError:
            return filed, None

    def sync(self):
        """Make what was filed survive a loss of power."""
        files.sync_directories(self._cur, self._private, self._new)

    def _copy(self, source, name):
        """Keep in `cur/` what was sent, read once more from the still open file.

        Returns its name there, '' if it was changed in place since.
        """
        if not source.unchanged():
            return ''
        source.require_same(touched=False)
        return self._keep(files.draft(self._private, source.rewound()), name)

    def require_movable(self, name):
        """Raise `NotMoved` if the system does not let `name` leave `new/`.

        It belongs to somebody else in a sticky directory, say, or is immutable.  What another
        computer or file system refuses may show only when it is moved.
        """
        self._free(name)
        path = f'{self._new}/{name}'
        try:
            # Rights come first; then it fails, as no file replaces a directory: rename(2).
            os.rename(path, os.path.dirname(self._private))
        except PermissionError:
            pass  # that may have been about the directory
        except OSError:
            return
        try:
            self.take(name)
        except FileNotFoundError:
            return
        except PermissionError as error:
            raise self.not_moved(path, error) from error
        self.give_back(name)

    def not_moved(self, path, error):
        """Return the `NotMoved` for the OSError that says that the file `path` stays."""
        directory = os.path.dirname(path)
        hint = f'Other files can be moved: see "ls -l" and "lsattr" of {printable(path)}.'
        with contextlib.suppress(OSError):
            found = os.lstat(path)
            if os.stat(directory).st_mode & stat.S_ISVTX and found.st_uid != os.geteuid():
                hint = (
                    f'It belongs to {_user(found.st_uid)}, and {printable(directory)} is sticky: '
                    f'chown {_user(os.geteuid())} the file, or chmod -t the directory.'
                )
        where = os.path.relpath(directory, self._path)
        what = f'The file cannot be moved out of {where}/: {error.strerror}'
        return NotMoved(what, hint=files.remedy(error) or hint)

    def try_out(self, name):
        """Let a file `name`, a dot file, go the way of what was delivered, and remove it."""
        try:
            with Source(files.draft(self._new, io.BytesIO(b'probe'), name=name)) as source:
                source.digest()
                self.file(name, source)
        finally:
            self.remove(name)

    def remove(self, name):
        """Remove what `try_out` of a killed run has left."""
        for directory in (self._new, self._private, self._cur):
            files.remove(os.path.join(directory, name))

    def content(self):
        """Return the entries of what is on its way, in the order in which it was taken."""
        return sorted(entries.scan(self._private)[0], key=entries.by_arrival)

    def put_back(self, *, digests, park, alone):
        """Return to `new/` what a killed run took out of it and did not file.

        Whether this version was sent is not known; in doubt it is sent again.  Where there is a
        newer one under its name, that one has replaced it, as it would have in `new/`: it is filed
        if its SHA-256 is in `digests(name)`, those of uploads whose end is not known, and put away
        by `park(path, name, reason)`, which returns its name there, otherwise.  Returns a list of
        (name, `FileError`, name in parked/) of what could not be read, or stays, the last being ''
        then; `alone(path)`, a context manager, raises `NotMoved` for an error of one file.
        """
        files.remove_drafts(self._private)  # unfinished copies of what is in new/
        failed = []
        for name in sorted(os.listdir(self._private)):
            private = os.path.join(self._private, name)
            if names.is_hidden(name):
                continue
            try:
                with alone(private):
                    failed += self._put_back(private, name, digests=digests, park=park)
            except NotMoved as error:
                failed.append((name, error, ''))
        return failed

    def _put_back(self, private, name, *, digests, park):
        failed = []
        try:
            files.rename_exclusively(private, os.path.join(self._new, name))
        except FileExistsError:
            try:
                if not self._file_delivered(private, name, digests=digests(name)):
                    park(private, name, 'Replaced by a newer version while a run was killed.')
            except FileError as error:
                # Nobody can tell any more whether it was delivered, and others wait.
                error = FileError(f'Left by a run that was killed. {error.message}')
                failed = [(name, error, park(private, name, error.message))]
        files.sync_directories(self._new, self._private)
        return failed

    def _file_delivered(self, private, name, *, digests):
        """File what was delivered; return whether it was."""
        # Only what has got its name on the server is taken out of new/ with its upload still noted.
        if not digests:
            return False
        with Source(private) as source:
            if source.digest() not in digests:
                return False
            source.sync()
            self._keep(private, name)
            self.sync()
        return True

    def find(self, name, *, sha256, version=None):
        """See `ISpool.filed`."""
        with os.scandir(self._cur) as scan:
            for item in scan:
                if item.name.startswith(name) and (there := entries.find(self._cur, item.name)):
                    found = there.version
                    # One that cannot be read proves nothing; other files wait for this to end.
                    if digest(item.path) == sha256 if sha256 else [*found] == version:
                        return item.name
        return ''


def _user(number):
    """Return the name of the user with this `number`, or the number if it has none."""
    try:
        return printable(pwd.getpwuid(number).pw_name)
    except KeyError:
        return str(number)
