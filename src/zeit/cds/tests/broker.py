"""Redis, the broker of the tests of celery: on a Unix socket, nothing on disk."""

import contextlib
import os
import pathlib
import socket
import tempfile

from zeit.cds.testing.daemon import find_program
from zeit.cds.testing.process import Daemon


#: Seconds for its start.
START_TIMEOUT = 20


class Broker:
    """A Redis server of its own; a context manager.  `url` is what celery calls it."""

    def __init__(self):
        self._resources = contextlib.ExitStack()

    def __repr__(self):
        return '<Broker>'

    def __enter__(self):
        with self._resources as resources:
            program = find_program('redis', 'usr', 'bin', 'redis-server')
            folder = resources.enter_context(tempfile.TemporaryDirectory(prefix='zeit.cds-redis-'))
            path = os.path.join(folder, 'socket')
            self.url = f'redis+socket://{path}'
            command = [
                str(program),
                '--port',
                '0',
                '--unixsocket',
                path,
                '--save',
                '',
                '--dir',
                folder,
            ]
            self._daemon = Daemon(command, log=pathlib.Path(folder, 'log'), directories=[folder])
            resources.callback(self._daemon.stop)
            self._path = path
            self._start()
            self._resources = resources.pop_all()
        return self

    def _start(self):
        self._daemon.start()
        self._daemon.wait_until(lambda: _answers(self._path), timeout=START_TIMEOUT)

    def restart(self):
        """Stop it and start it again: what it has is lost."""
        self._daemon.stop()
        self._start()

    def __exit__(self, *exc_info):
        self._resources.close()


def _answers(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(START_TIMEOUT)
        client.connect(path)
        client.sendall(b'PING\r\n')
        return client.recv(100).startswith(b'+PONG')


def require(test):
    """Return a `Broker` that runs during `test`; without Redis skip it."""
    return test.enterContext(Broker())
