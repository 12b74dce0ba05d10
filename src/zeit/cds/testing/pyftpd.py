"""An FTP server in a thread of this process: pyftpdlib, of the extras `test` and `demo`.

The quickest way to something that speaks FTP: `zeit-cds demo` uses it, and it starts in
milliseconds.  It replaces existing files by STOR and by RNTO.  pyftpdlib is imported when a server
starts, not with this module.
"""

import contextlib
import logging
import socket
import threading
import traceback

from zeit.cds.testing import ports
from zeit.cds.testing.base import Server
from zeit.cds.testing.process import ServerError


# Seconds for the thread to end: it only closes sockets.
STOP_TIMEOUT = 10


class PyFTPServer(Server):
    """A `zeit.cds.testing.base.Server` made of pyftpdlib, with an event loop of its own.

    Further argument:

    - settings: a mapping of pyftpdlib's FTPHandler attributes, e.g. `{'timeout': 5}` for the
      seconds until an idle session is closed, or `{'proto_cmds': ...}`.

    With `tls` it needs PyOpenSSL, of the extra `test`.

    Further attribute: `errors`, the tracebacks of exceptions inside the server; anything in there
    is a bug of the server or of its settings.  Nothing goes to the console: without this class's
    precautions pyftpdlib configures logging to standard error by itself.
    """

    name = 'pyftpdlib'

    def __init__(self, *, settings=(), **arguments):
        super().__init__(**arguments)
        self.settings = dict(settings)
        self.errors = []
        self._thread = None
        self._loop = None
        self._data_ports = None
        self._idle = threading.Condition()
        self._sessions = 0

    @property
    def running(self):
        """See `Server`."""
        return self._thread is not None and self._thread.is_alive()

    def wait_idle(self, *, timeout):
        """Wait until the server has closed its side of all sessions; tell whether it has.

        timeout: seconds.  For tests that count what is open: clients close first, and the thread
        of the server learns about it a little later.
        """
        with self._idle:
            return self._idle.wait_for(lambda: not self._sessions or not self.running, timeout)

    def held(self):
        """See `Server`."""
        threads, descriptors = super().held()
        if self.running:
            ours = self._loop.descriptors() | self._data_ports.descriptors
            return threads | {self._thread}, descriptors | ours
        return threads, descriptors

    def _launch(self):
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler
        from pyftpdlib.servers import FTPServer

        base, settings = FTPHandler, {}
        if self.tls:
            from zeit.cds.testing import pyftptls

            base, settings = pyftptls.handler(self.tls)
        with contextlib.ExitStack() as stack:
            listener = socket.create_server((self.host, self._reservation.port), backlog=100)
            stack.callback(listener.close)
            data_ports = stack.enter_context(contextlib.closing(ports.DataPorts()))
            loop = _Loop()
            stack.callback(loop.close)
            authorizer = DummyAuthorizer()
            authorizer.add_user(self.user, self.password, str(self.root), perm='elradfmwMT')
            handler = type(
                'Handler',
                (_quiet_handler(base, self.errors),),
                {
                    'authorizer': authorizer,
                    'auth_failed_timeout': 0,
                    'passive_ports': data_ports.numbers,
                    **settings,
                    **self.settings,
                },
            )
            FTPServer(listener, handler, ioloop=loop.ioloop)
            stack.pop_all()
        loop.adopt()
        self._loop = loop
        self._data_ports = data_ports
        self._thread = threading.Thread(target=self._serve, args=(loop,), name=repr(self))
        self._thread.start()

    def _halt(self):
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._loop.end()
        thread.join(STOP_TIMEOUT)
        if thread.is_alive():
            raise ServerError(f'{self!r} could not be stopped')
        self._loop = None
        self._data_ports.close()

    def _serve(self, loop):
        # What pyftpdlib logs past the handler's methods goes to whatever the application has
        # configured; with nothing configured, logging's last resort would print it.
        null = logging.NullHandler()
        logger = logging.getLogger('pyftpdlib')
        logger.addHandler(null)
        try:
            loop.run(self._count)
        finally:
            loop.close()
            logger.removeHandler(null)
            self._count(0)

    def _count(self, sessions):
        with self._idle:
            self._sessions = sessions
            self._idle.notify_all()


class _Loop:
    """pyftpdlib's event loop, and a way to end it from another thread.

    Its own `loop()` is not used, as that configures logging.
    """

    def __init__(self):
        from pyftpdlib.ioloop import IOLoop

        self.ioloop = IOLoop()
        self._ears, self._mouth = socket.socketpair()
        self._ended = False
        self._own = set()
        self.ioloop.register(self._ears.fileno(), self, self.ioloop.READ)

    @property
    def _fileno(self):
        return self._ears.fileno()

    def run(self, count):
        """Serve until `end`; call *count* with the number of open sockets of sessions."""
        ours = len(self.ioloop.socket_map)
        soonest = None
        while not self._ended:
            self.ioloop.poll(soonest)
            soonest = self.ioloop.sched.poll()
            count(len(self.ioloop.socket_map) - ours)

    def adopt(self):
        """Take what is open by now, the listening socket included, as the loop's own."""
        self._own = {*self.ioloop.socket_map, self._mouth.fileno()}
        # epoll and kqueue have one, poll and select have none.
        if hasattr(self.ioloop, 'fileno'):
            self._own.add(self.ioloop.fileno())

    def end(self):
        """Let `run` return; from any thread."""
        # Closed already if `run` has failed, which threading.excepthook has reported.
        with contextlib.suppress(OSError):
            self._mouth.send(b'.')

    def close(self):
        """Close all sessions and what else the loop holds."""
        self.ioloop.socket_map.pop(self._ears.fileno(), None)
        self.ioloop.close()
        self._ears.close()
        self._mouth.close()

    def descriptors(self):
        """Return the descriptors that the loop has as long as it exists, no sessions."""
        return self._own

    def readable(self):
        """Called by the event loop."""
        return True

    def handle_read_event(self):
        """Called by the event loop when `end` has spoken."""
        self._ended = True


def _quiet_handler(base, errors):
    """Return a subclass of FTPHandler that logs nothing and appends what went wrong to *errors*.

    It closes every file.
    """

    class QuietHandler(base):
        def ftp_STOR(self, file, mode='w'):
            path = super().ftp_STOR(file, mode)
            # Where the answer finds out that the client has gone, pyftpdlib forgets the open file.
            if self._closed and (queued := getattr(self, '_in_dtp_queue', None)):
                queued[0].close()
            return path

        def log(self, msg, logfun=None):
            pass

        def logline(self, msg, logfun=None):
            pass

        def logerror(self, msg):
            errors.append(msg)

        def log_exception(self, instance):
            errors.append(traceback.format_exc())

    return QuietHandler
