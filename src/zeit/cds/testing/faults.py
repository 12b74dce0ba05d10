"""A small FTP server that behaves well until it is told not to; for tests of FTP clients.

It serves FTP, plain or with TLS, on a loopback address and a free port, from a file tree in memory,
by threads and the standard library only. What it is told to do wrong are rules
(`FaultServer.fault`); see `docs/testing.txt` for a tour, and `zeit.cds.testing.actions` and
`zeit.cds.testing.tlsactions` for the actions one by one.
"""

from zeit.cds.testing import dialogue, ftpanswers, ftpsession, ftpstore, script, threadserver
from zeit.cds.testing.actions import (
    Abandon,
    Alter,
    Announce,
    Call,
    Chop,
    Cut,
    CutData,
    DataPort,
    Delay,
    Extra,
    Forget,
    Lie,
    LineFeed,
    NoMark,
    Overlook,
    Reply,
    ReplyEarly,
    ReplyLate,
    Silence,
    StallData,
    Twice,
)
from zeit.cds.testing.script import GREETING, Event, Rule
from zeit.cds.testing.tlsactions import (
    EndData,
    RequireResumption,
    ShakeFirst,
    StallHandshake,
    Unready,
)


__all__ = (
    'GREETING',
    'Abandon',
    'Alter',
    'Announce',
    'Call',
    'Chop',
    'Cut',
    'CutData',
    'DataPort',
    'Delay',
    'EndData',
    'Event',
    'Extra',
    'FaultServer',
    'Forget',
    'Lie',
    'LineFeed',
    'NoMark',
    'Overlook',
    'Reply',
    'ReplyEarly',
    'ReplyLate',
    'RequireResumption',
    'Rule',
    'ShakeFirst',
    'Silence',
    'StallData',
    'StallHandshake',
    'Twice',
    'Unready',
)


class FaultServer(threadserver.ThreadServer):
    """A scripted FTP server. A context manager; otherwise call `start`, `stop`, `restart`.

    files: mapping of absolute path to bytes; directories: more directories to create.
    stored_as, listed_as: functions from a name, or path, in a command to the one of the file, and
    from that to the one in listings; the same by default.
    merges: RNTO of a directory onto one that is not empty merges them, and says 250.
    user, password: the only login; host: '127.0.0.1' or '::1'; greeting: first reply.
    max_connections: further ones get a 421; None is unlimited.
    data_timeout: seconds until a client that makes no data connection gets a 425.
    hook: called with an `Event` before and after the execution of every command, the greeting
    included, in the thread of that connection; it may add faults, change files, kill the client.
    tls: a `zeit.cds.testing.tls.TLS`; None is a server that does not know AUTH.
    tickets: how many session tickets a handshake of TLS 1.3 brings; 0 is nothing to resume.
    prompt: False is without TCP_NODELAY: a small reply waits until the one before is acknowledged.
    holds: no command is looked at between a port and the data connection to it.
    answers: a `zeit.cds.testing.ftpanswers.Answers`, see `zeit.cds.testing.profiles`.
    single: of a packet only the first command is executed; the others are forgotten.

    in_clear: a list of the commands (passwords masked) that came without TLS, and 'data' if some
    was transferred without; complete when the connections are closed.
    """

    def __init__(
        self,
        files=(),
        *,
        directories=(),
        merges=False,
        stored_as=str,
        listed_as=str,
        user='test',
        password='testpw',
        host='127.0.0.1',
        greeting='220 Fault server ready.',
        max_connections=None,
        data_timeout=10,
        hook=None,
        tls=None,
        tickets=2,
        prompt=True,
        holds=False,
        single=False,
        answers=ftpanswers.ORDINARY,
    ):
        super().__init__(host=host, max_connections=max_connections)
        self.tree = ftpstore.FileTree(files, directories=directories, merges=merges)
        self.script = script.Script()
        self.record = dialogue.Dialogue()
        self.login = (user, password)
        self.greeting = greeting
        self.data_timeout = data_timeout
        self.prompt = prompt
        self.holds = holds
        self.single = single
        self.answers = answers
        self._hook = hook
        self.stored_as = stored_as
        self.listed_as = listed_as
        self.in_clear = []
        self.tls = tls
        self.implicit = tls is not None and tls.implicit
        self.context = tls and tls.context()
        if tls:
            self.context.num_tickets = tickets

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

    def wait_for(self, verb, *, connection=None, count=1, timeout=10):
        """Wait until a verb was received `count` times. Raises TimeoutError after seconds."""
        self.record.wait_for(verb, connection=connection, count=count, timeout=timeout)

    # For the sessions

    def make_session(self, control, *, number, welcome):
        self.record.add(number, 'open')
        greeting = self.greeting if welcome else '421 Too many connections.'
        return ftpsession.Session(self, control, number=number, greeting=greeting)

    def call_hook(self, event):
        if self._hook:
            self._hook(event)
