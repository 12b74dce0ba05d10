"""Redis, the broker of the tests of celery: on a Unix socket, nothing on disk."""

import contextlib
import os
import pathlib
import socket
import tempfile
import time

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
            self._daemon.start()
            self._wait(path)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._resources.close()

    def _wait(self, path):
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._daemon.alive:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.settimeout(START_TIMEOUT)
                client.connect(path)
                client.sendall(b'PING\r\n')
                if client.recv(100).startswith(b'+PONG'):
                    return
        raise TimeoutError(f'redis-server does not answer: {self._daemon.output}')


def require(test):
    """Return a `Broker` that runs during `test`; without Redis skip it."""
    return test.enterContext(Broker())
