"""A small FTP server that behaves well until it is told not to; for tests of FTP clients.

It serves plain FTP on a loopback address and a free port, from a file tree in memory, by threads
and the standard library only. What it is told to do wrong are rules (`FaultServer.fault`); see
`docs/testing.txt` for a tour, and `zeit.cds.testing.actions` for the actions one by one.
"""

import contextlib
import select
import socket
import threading

from zeit.cds.testing import dialogue, ftpsession, ftpstore, script
from zeit.cds.testing.actions import (
    Alter,
    Announce,
    Call,
    Chop,
    Cut,
    CutData,
    DataPort,
    Delay,
    Extra,
    Lie,
    LineFeed,
    Reply,
    ReplyEarly,
    Silence,
    StallData,
    Twice,
)
from zeit.cds.testing.ftpsession import Event
from zeit.cds.testing.script import GREETING, Rule


__all__ = (
    'GREETING',
    'Alter',
    'Announce',
    'Call',
    'Chop',
    'Cut',
    'CutData',
    'DataPort',
    'Delay',
    'Event',
    'Extra',
    'FaultServer',
    'Lie',
    'LineFeed',
    'Reply',
    'ReplyEarly',
    'Rule',
    'Silence',
    'StallData',
    'Twice',
)


class FaultServer:
    """A scripted FTP server. A context manager; otherwise call `start` and `stop`.

    files: mapping of absolute path to bytes; directories: more directories to create.
    user, password: the only login; host: '127.0.0.1' or '::1'; greeting: first reply.
    max_connections: further ones get a 421; None is unlimited.
    data_timeout: seconds until a client that makes no data connection gets a 425.
    hook: called with an `Event` before and after the execution of every command, the greeting
    included, in the thread of that connection; it may add faults, change files, kill the client.
    """

    def __init__(
        self,
        files=(),
        *,
        directories=(),
        user='test',
        password='testpw',
        host='127.0.0.1',
        greeting='220 Fault server ready.',
        max_connections=None,
        data_timeout=10,
        hook=None,
    ):
        self.tree = ftpstore.FileTree(files, directories=directories)
        self.script = script.Script()
        self.record = dialogue.Dialogue()
        self.login = (user, password)
        self.host = host
        self.port = 0
        self.greeting = greeting
        self.max_connections = max_connections
        self.data_timeout = data_timeout
        self.stopping = threading.Event()
        self.stop_signal = None  # a socket that gets readable when the server is stopped
        self._stop_signal_sender = None
        self._hook = hook
        self._listener = None
        self._acceptor = None
        self._sessions = {}  # thread -> was it let in, of those that run
        self._changed = threading.Condition()
        self._connections = 0
        self._errors = []

    def __repr__(self):
        state = 'running' if self._listener else 'stopped'
        return f'<FaultServer {self.host}:{self.port} {state}, {self._connections} connections>'

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self.stop()
        except ExceptionGroup as group:
            if error is None:
                raise
            error.add_note(f'And in the fault server: {group.exceptions!r}')

    # Life

    def start(self):
        """Listen; a second start, after `stop`, takes the same port again."""
        if self._listener:
            raise RuntimeError(f'{self!r} was started before.')
        family = socket.AF_INET6 if ':' in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family)
        self.port = self._listener.getsockname()[1]
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
            threads.extend(self._sessions)
        for thread in threads:
            thread.join(timeout)
            if thread.is_alive():
                self._errors.append(RuntimeError(f'{thread.name} does not end'))
        self._listener.close()
        self.stop_signal.close()
        self._listener = None
        errors, self._errors = self._errors, []
        if errors:
            raise ExceptionGroup('In the fault server', errors)

    def restart(self):
        """Stop and start again on the same port; files, rules and record stay."""
        self.stop()
        self.start()

    # Faults

    def fault(
        self,
        verb,
        *actions,
        path='*',
        nth=0,
        times=None,
        connection=None,
        each_connection=False,
    ):
        """Add a rule: what to do wrong when a command comes. Returns it, for `remove_fault`.

        verb: one or several ('STOR APPE'), '*' for every command, GREETING for the connection.
        actions: what to do, in this order; none is a rule that shields a command from others.
        path: glob on the absolute path, or on the argument as it was sent.
        nth: the 0-based occurrence, among commands that match, from which on the rule applies.
        times: how many occurrences it applies to; None is for ever.
        connection: only on this connection (0-based).
        each_connection: count occurrences on every connection anew.
        """
        rule = Rule(
            verb,
            actions,
            path=path,
            nth=nth,
            times=times,
            connection=connection,
            each_connection=each_connection,
        )
        self.script.add(rule)
        return rule

    def remove_fault(self, rule):
        """Remove a rule. Raises ValueError if it is not there."""
        self.script.remove(rule)

    def clear_faults(self):
        """Remove all rules."""
        self.script.clear()

    # Files

    @property
    def files(self):
        """A copy of all files: a dictionary of absolute path and bytes."""
        return self.tree.files()

    @property
    def directories(self):
        """The sorted absolute paths of all directories but the root."""
        return self.tree.directories()

    def put(self, path, content, *, modified=None):
        """Create or replace a file; `modified` in seconds since the epoch."""
        self.tree.put(path, content, modified=modified)

    def make_directory(self, path):
        """Create a directory and those above it, as far as they are missing."""
        self.tree.make_directories(path)

    def delete(self, path):
        """Remove a file. Raises OSError."""
        self.tree.delete(path)

    def remove_directory(self, path):
        """Remove an empty directory. Raises OSError."""
        self.tree.remove_directory(path)

    # The record

    @property
    def dialogue(self):
        """All entries (connection, kind, text) so far; kind: open, command, reply, close."""
        return self.record.entries()

    @property
    def transcript(self):
        """The dialogue as text, for people."""
        return str(self.record)

    def conversation(self, connection):
        """Return the entries of one connection."""
        return self.record.entries(connection=connection)

    def commands(self, *verbs, connection=None):
        """Return the commands received, as text: all, or those with one of the verbs."""
        return [entry.text for entry in self.record.commands(*verbs, connection=connection)]

    def connections(self, *verbs):
        """Return the number of the connection of every such command, in order."""
        return [entry.connection for entry in self.record.commands(*verbs)]

    def wait_for(self, verb, *, count=1, timeout=10):
        """Wait until a verb was received `count` times. Raises TimeoutError after seconds."""
        self.record.wait_for(verb, count=count, timeout=timeout)

    def wait_closed(self, *, timeout=10):
        """Wait until no connection is open. Raises TimeoutError after seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._sessions, timeout):
                raise TimeoutError(f'{len(self._sessions)} connections are open:\n{self.record}')

    # For the sessions

    def call_hook(self, event):
        if self._hook:
            self._hook(event)

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
            number, self._connections = self._connections, self._connections + 1
            limit = self.max_connections
            welcome = limit is None or sum(self._sessions.values()) < limit
            greeting = self.greeting if welcome else '421 Too many connections.'
            session = ftpsession.Session(self, control, number=number, greeting=greeting)
            thread = threading.Thread(target=self._serve, args=(session,), daemon=True)
            self._sessions[thread] = welcome
            self.record.add(number, 'open')
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
