"""Life of the fault server: listening, one thread per connection, an end that is complete."""

import contextlib
import select
import socket
import threading

from zeit.cds.testing import ports, scripted


class ThreadServer(scripted.ScriptedServer):
    """Listens on a loopback address and a free port; `make_session` makes what `run`s then.

    A stopped server can be started again and takes the same port. Whoever waits for a socket also
    waits for `stop_signal`, a socket that gets readable when the server is stopped; whoever waits
    for something else looks at `stopping`.
    """

    def __init__(self, files, *, host, max_connections, **options):
        super().__init__(files, **options)
        self.host = host
        self.max_connections = max_connections
        self.stop_signal = None
        self._stop_signal_sender = None
        self.data_ports = None  # a `ports.DataPorts` while it runs
        self._reservation = None
        self._listener = None
        self._acceptor = None
        self._sessions = {}  # thread -> was it let in, of those that run
        self._threads = []  # theirs, until they have ended

    def __repr__(self):
        state = 'running' if self._listener else 'stopped'
        name = type(self).__name__
        return f'<{name} {self.host}:{self.port} {state}, {self.connected} connections so far>'

    def make_session(self, control, *, number, welcome):
        """Return an object whose `run` serves the socket and closes it."""
        raise NotImplementedError

    # Life

    def start(self):
        """Listen; a second start, after `stop`, takes the same port again."""
        if self._listener:
            raise RuntimeError(f'{self!r} was started before.')
        family = socket.AF_INET6 if ':' in self.host else socket.AF_INET
        with contextlib.ExitStack() as stack:
            self._reservation = stack.enter_context(
                ports.Reservation(host=self.host, port=self.port)
            )
            self.port = self._reservation.port
            self.data_ports = stack.enter_context(contextlib.closing(ports.DataPorts()))
            self._listener = socket.create_server((self.host, self.port), family=family)
            stack.pop_all()
        self.stop_signal, self._stop_signal_sender = socket.socketpair()
        self.stopping.clear()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def stop(self, *, timeout=10):
        """Close all connections and join all threads, each within `timeout` seconds.

        Raises an ExceptionGroup of what went wrong in hooks and in the server's own threads, and
        of RuntimeError for threads that do not end. A stopped server may be stopped again.
        """
        if not self._listener:
            return
        self.stopping.set()
        self._stop_signal_sender.close()
        threads = [self._acceptor]
        self._acceptor.join(timeout)
        with self._changed:
            threads.extend(self._threads)
        for thread in threads:
            thread.join(timeout)
            if thread.is_alive():
                self._errors.append(RuntimeError(f'{thread.name} does not end'))
        self._listener.close()
        self._reservation.close()
        self.data_ports.close()
        self.stop_signal.close()
        self._listener = None
        self._raise_errors()

    @property
    def _open(self):
        return len(self._sessions)

    def _accept(self):
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self.stop_signal, select.POLLIN)
        with self._collecting_errors():
            while self.stop_signal.fileno() not in dict(poll.poll()):
                control, _ = self._listener.accept()
                self._begin(control)

    def _begin(self, control):
        with self._changed:
            number, self.connected = self.connected, self.connected + 1
            welcome = self.max_connections is None or (
                sum(self._sessions.values()) < self.max_connections
            )
            session = self.make_session(control, number=number, welcome=welcome)
            thread = threading.Thread(target=self._serve, args=(session,), daemon=True)
            self._sessions[thread] = welcome
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _serve(self, session):
        try:
            with self._collecting_errors():
                session.run()
        finally:
            with self._changed:
                del self._sessions[threading.current_thread()]
                self._changed.notify_all()

    @contextlib.contextmanager
    def _collecting_errors(self):
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- `stop` raises it in the test's thread
            self._errors.append(error)
