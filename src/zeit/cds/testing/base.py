"""What all test servers have in common: an address, an account and a directory on disk."""

import contextlib
import os
import pathlib
import shutil
import tempfile

from zeit.cds.testing import ports
from zeit.cds.testing.process import ServerError


HOST = '127.0.0.1'


class Server:
    """An FTP server on a free loopback port, for one account and one directory.

    A context manager; all arguments are keyword-only:

    - root: the directory on disk that the account sees as `/`; it must exist.  Without it the
      server makes one when it starts and removes it when it stops;
    - user, password: the only account.  A wrong password is answered with 530;
    - port: 0 (the default) takes a free one.  Either is reserved while the server lives, see
      `zeit.cds.testing.ports`;
    - tls: a `zeit.cds.testing.tls.TLS`; None is plain FTP.

    Attributes: `host`, `port` (0 until started, then kept for good), `user`, `password`, `root` (a
    `pathlib.Path`; None before the first start if the server makes its own).

    Subclasses implement `_launch` and `_halt`.
    """

    name = None

    def __init__(self, *, root=None, user='test', password='testpw', port=0, tls=None):
        self.host = HOST
        self.port = port
        self.user = user
        self.password = password
        self.tls = tls
        self.root = None if root is None else pathlib.Path(root)
        self._given_root = self.root
        self._resources = None
        self._reservation = None
        self._temporary = []

    def __repr__(self):
        state = 'running' if self.running else 'stopped'
        return f'<{type(self).__name__} {self.host}:{self.port} {state}>'

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc_info):
        self.stop()

    @property
    def running(self):
        """Tell whether the server accepts connections."""
        raise NotImplementedError

    def start(self):
        """Start the server and return it; it has greeted a client when this returns.

        Raises `ServerUnavailable` if the program is not installed, `ServerError` if it does not
        start; nothing is left behind then.  Started already: nothing happens.
        """
        if self.running:
            return self
        with contextlib.ExitStack() as stack:
            if self._resources is None:
                self._resources = contextlib.ExitStack()
            stack.callback(self.stop)
            if self.root is None:
                self.root = pathlib.Path(self._temporary_directory()) / 'root'
                self.root.mkdir()
            if self._reservation is None:
                self._resources.callback(self._release_port)
                self._reserve_port()
            self._launch()
            self.port = self._reservation.port
            stack.pop_all()
        return self

    def stop(self):
        """Stop the server, close its sessions and remove what it made for itself.

        Returns when everything is gone, in bounded time.  Stopped already: nothing happens.
        """
        resources, self._resources = self._resources, None
        try:
            self._halt()
        finally:
            if resources is not None:
                resources.close()
            self.root = self._given_root

    def restart(self):
        """Stop and start again on the same port, with the same files: all sessions are cut."""
        self._halt()
        return self.start()

    def pause(self):
        """Stop as for a failure: nobody listens, the files stay.  `start` goes on."""
        self._halt()

    def clear(self):
        """Remove all files and directories below `root`."""
        for entry in os.scandir(self.root):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def own(self):
        """Let the server's account change everything below `root`.

        Only needed for what the test process wrote there itself; what lies directly in `/` can be
        read, renamed and deleted without it.
        """

    def held(self):
        """Return what the running server holds in this process: (threads, descriptors), sets."""
        return set(), self._reservation.descriptors if self._reservation else set()

    def _reserve_port(self):
        """Reserve the port, or another one in place of the one reserved before."""
        self._release_port()
        try:
            self._reservation = ports.Reservation(host=self.host, port=self.port)
        except ports.NoFreePort as error:
            raise ServerError(f'{self!r} did not start: {error}') from error

    def _release_port(self):
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            reservation.close()

    def _temporary_directory(self):
        """Return the path of a new directory that is removed by `stop`; others may traverse it."""
        path = tempfile.mkdtemp(prefix=f'zeit.cds-{self.name}-')
        self._temporary.append(path)
        self._resources.callback(self._temporary.remove, path)
        self._resources.callback(shutil.rmtree, path)
        # The session runs as another user, who must reach the directory but not list it.
        os.chmod(path, 0o711)
        return path

    def _launch(self):
        """Serve at the port of `self._reservation`."""
        raise NotImplementedError

    def _halt(self):
        raise NotImplementedError
