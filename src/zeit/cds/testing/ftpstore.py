"""A file tree in memory with the semantics of POSIX, for the fault server.

A file is a node of its own, as an inode is: an upload goes on into the same node while somebody
renames or removes the name. Errors are those of the operating system (OSError with its errno),
so that the server can word its replies from them.
"""

import dataclasses
import errno
import os
import posixpath
import threading
import time


NAME_MAX = 255  # bytes, limits.h of every file system that an FTP server is likely to run on


@dataclasses.dataclass(eq=False)
class Node:
    """A file (`content` is a bytearray) or a directory (`content` is None).

    `modified` is in seconds since the epoch.
    """

    content: bytearray | None
    modified: float

    @property
    def is_directory(self):
        return self.content is None


def resolve(directory, path):
    """Return the absolute, normalised form of `path` as seen from `directory`."""
    return '/' + posixpath.normpath(posixpath.join('/', directory, path)).strip('/')


def failure(code, path):
    return OSError(code, os.strerror(code), path)


class FileTree:
    """Files and directories by absolute path; safe to use from several threads.

    `merges`: a directory is renamed onto one that is not empty, as by rclone.
    """

    def __init__(self, files=(), *, directories=(), merges=False):
        self._merges = merges
        self._lock = threading.RLock()
        self._nodes = {'/': Node(None, time.time())}
        for path in directories:
            self.make_directories(path)
        for path, content in dict(files).items():
            self.put(path, content)

    # What a test uses

    def put(self, path, content, *, modified=None):
        """Create or replace a file, and the directories above it.

        modified: seconds since the epoch, default is now.
        """
        with self._lock:
            path = resolve('/', path)
            self.make_directories(posixpath.dirname(path))
            node = Node(bytearray(content), time.time() if modified is None else modified)
            self._nodes[path] = node

    def make_directories(self, path):
        """Create a directory and those above it, as far as they are missing."""
        with self._lock:
            path = resolve('/', path)
            if path not in self._nodes:
                self.make_directories(posixpath.dirname(path))
                self._nodes[path] = Node(None, time.time())
            self._directory(path)

    def files(self):
        """Return a copy of all files, as a dictionary of absolute path and bytes."""
        with self._lock:
            return {
                path: bytes(node.content)
                for path, node in sorted(self._nodes.items())
                if not node.is_directory
            }

    def directories(self):
        """Return the sorted absolute paths of all directories, the root excepted."""
        with self._lock:
            return sorted(p for p, node in self._nodes.items() if node.is_directory and p != '/')

    # What the server uses

    def alone(self):
        """Return a context manager: nothing else happens to the tree inside of it."""
        return self._lock

    def stat(self, path):
        """Return the `Node` at `path`. Raises FileNotFoundError, NotADirectoryError."""
        with self._lock:
            if path not in self._nodes:
                self._directory(posixpath.dirname(path))
                raise failure(errno.ENOENT, path)
            return self._nodes[path]

    def names(self, path):
        """Return the sorted names in a directory. Raises OSError."""
        with self._lock:
            self._directory(path)
            return [posixpath.basename(each) for each in sorted(self._children(path))]

    def read(self, path):
        """Return the content of a file. Raises OSError."""
        with self._lock:
            return bytes(self._file(path).content)

    def open(self, path, *, keep):
        """Return the node to write to: created if missing, emptied unless `keep` is true.

        Servers truncate before the data connection exists, and so does this. Raises OSError.
        """
        with self._lock:
            if path not in self._nodes:
                self._creatable(path)
                self._nodes[path] = Node(bytearray(), time.time())
            node = self._file(path)
            if not keep:
                node.content.clear()
            return node

    def write(self, node, data, *, at):
        """Write bytes at an offset of an open node."""
        with self._lock:
            node.content.extend(bytes(max(0, at - len(node.content))))
            node.content[at : at + len(data)] = data
            node.modified = time.time()

    def delete(self, path):
        """Remove a file. Raises OSError."""
        with self._lock:
            self._file(path)
            del self._nodes[path]

    def make_directory(self, path):
        """Create a directory. Raises OSError (FileExistsError)."""
        with self._lock:
            if path in self._nodes:
                raise failure(errno.EEXIST, path)
            self._creatable(path)
            self._nodes[path] = Node(None, time.time())

    def remove_directory(self, path):
        """Remove an empty directory. Raises OSError (errno ENOTEMPTY)."""
        with self._lock:
            self._directory(path)
            if path == '/':
                raise failure(errno.EBUSY, path)
            self._empty(path)
            del self._nodes[path]

    def rename(self, source, target):
        """Rename as rename(2) does: a file replaces a file, a directory an empty directory.

        Raises OSError, with ENOTEMPTY for a directory that has something in it.
        """
        with self._lock:
            node = self.stat(source)
            if '/' in (source, target):
                raise failure(errno.EBUSY, target)
            if source == target:
                return
            if target.startswith(source + '/'):
                raise failure(errno.EINVAL, target)
            if target not in self._nodes:
                self._creatable(target)
            elif node.is_directory:
                self._directory(target)
                if not self._merges:
                    self._empty(target)
            else:
                self._file(target)
            inside = [each for each in self._nodes if each.startswith(source + '/')]
            for each in [source, *inside]:
                self._nodes[target + each[len(source) :]] = self._nodes.pop(each)

    def _children(self, path):
        return [each for each in self._nodes if each != '/' and posixpath.dirname(each) == path]

    def _empty(self, path):
        if self._children(path):
            raise failure(errno.ENOTEMPTY, path)

    def _file(self, path):
        node = self.stat(path)
        if node.is_directory:
            raise failure(errno.EISDIR, path)
        return node

    def _directory(self, path):
        if not self.stat(path).is_directory:
            raise failure(errno.ENOTDIR, path)

    def _creatable(self, path):
        self._directory(posixpath.dirname(path))
        if len(os.fsencode(posixpath.basename(path))) > NAME_MAX:
            raise failure(errno.ENAMETOOLONG, path)
