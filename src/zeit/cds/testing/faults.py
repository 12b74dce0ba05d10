"""A small FTP server that behaves well until it is told not to; for tests of FTP clients.

It serves FTP, plain or with TLS, on a loopback address and a free port, from a file tree in memory,
by threads and the standard library only. What it is told to do wrong are rules
(`FaultServer.fault`); see `docs/testing.txt` for a tour, and `zeit.cds.testing.actions` and
`zeit.cds.testing.tlsactions` for the actions one by one.
"""

from zeit.cds.testing import ftpanswers, ftpsession, threadserver
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
        super().__init__(
            files,
            directories=directories,
            merges=merges,
            user=user,
            password=password,
            hook=hook,
            host=host,
            max_connections=max_connections,
        )
        self.greeting = greeting
        self.data_timeout = data_timeout
        self.prompt = prompt
        self.holds = holds
        self.single = single
        self.answers = answers
        self.stored_as = stored_as
        self.listed_as = listed_as
        self.in_clear = []
        self.tls = tls
        self.implicit = tls is not None and tls.implicit
        self.context = tls and tls.context()
        if tls:
            self.context.num_tickets = tickets

    def make_session(self, control, *, number, welcome):
        self.record.add(number, 'open')
        greeting = self.greeting if welcome else '421 Too many connections.'
        return ftpsession.Session(self, control, number=number, greeting=greeting)
