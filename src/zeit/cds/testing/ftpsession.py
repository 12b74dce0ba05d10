"""One control connection of the fault server: commands in order, each along its rule."""

import contextlib
import dataclasses
import select
import socket
import time

from zeit.cds.testing import actions, ftpdata, ftpstore, ftptls, ftpverbs, script, tlsactions


LINE_MAX = 8192  # bytes; more is no command
SECRETS = ('PASS', 'ACCT')
SEND_TIMEOUT = 10  # seconds until a client that reads no replies is given up


class Stopped(Exception):
    """The server is being stopped."""


class Gone(Exception):
    """The client closed the control connection, or reads nothing from it."""


class Session:
    """The state of one control connection; runs in a thread of its own."""

    def __init__(self, server, control, *, number, greeting):
        self.server = server
        self.tree = server.tree
        self.number = number
        self.host = control.getsockname()[0]
        self.user = ''
        self.logged_in = False
        self.finished = False
        self.binary = False
        self.directory = '/'
        self.rename_source = ''
        self.offset = 0
        self.silent_data = False
        self.secured = False  # the control connection has TLS
        self.private = False  # PROT P: data connections have it
        self.upgrade = False  # AUTH was accepted
        self._kept = []
        self._ends = []
        self._control = control
        self._greeting = greeting
        self._buffer = b''
        self._port = None
        self._actions = ()
        self._count = 0

    def run(self):
        """Greet, then obey until one of both sides ends it; closes everything."""
        reset = False
        try:
            self._control.settimeout(SEND_TIMEOUT)
            self._control.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)  # ABOR by ftplib
            self._control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self.server.prompt)
            self._serve()
        except actions.Disconnect as cut:
            reset = cut.reset
        except (Gone, Stopped):
            pass  # the ordinary ends of a session; whoever caused it knows
        finally:
            self.close_port()
            self._end_data()
            for each in self._kept:
                each.close()
            self.server.record.add(self.number, 'close')  # first: who sees the end, finds it
            ftpdata.close(self._control, reset=reset)

    def _serve(self):
        self._perform(script.GREETING, '')
        while not self.finished:
            if self.server.holds and self._port and self._port.kind is None:
                self.wait(self._port.listener, timeout=self.server.data_timeout)
            self._perform(*self._command())

    def _command(self):
        line = self._line()
        verb, _, argument = line.decode('utf-8', 'surrogateescape').partition(' ')
        verb = verb.upper()
        shown = '***' if verb in SECRETS else argument
        text = f'{verb} {shown}'.rstrip(' ')
        self.server.record.add(self.number, 'command', text)
        if not self.secured:
            self.server.in_clear.append(text)
        return verb, argument

    def _line(self):
        while b'\n' not in self._buffer:
            if len(self._buffer) > LINE_MAX:
                raise actions.Disconnect
            self.wait(self._control)
            self._fill()
        line, _, rest = self._buffer.partition(b'\n')
        self._buffer = b'' if self.server.single else rest
        return line.removesuffix(b'\r')

    def _fill(self):
        data = self._receive()
        if not data:
            raise Gone
        self._buffer += data

    def _receive(self, *, flags=0):
        try:
            return self._control.recv(LINE_MAX, flags)
        except (*ftptls.LOST, TimeoutError) as error:
            raise Gone from error

    def _secure(self):
        """Go on in TLS; what was sent in clear too early is forgotten."""
        self.upgrade = False
        self._buffer = b''
        unready = self.acting(tlsactions.Unready)
        if unready and self.wait(self._control, timeout=unready.seconds):
            self._receive()
            return self.send(actions.wire('502 Not known.'))
        try:
            self._control = ftptls.wrap(self, self._control)
            ftptls.shake_hands(self, self._control)
        except ftptls.Unsafe as error:
            raise Gone from error
        self._control.settimeout(SEND_TIMEOUT)
        self.secured = True

    def _perform(self, verb, argument):
        shown = '***' if verb in SECRETS else argument
        where = self.server, self.number, self._count
        event = script.Event(*where, verb, shown, self.resolve(shown))
        self._count += verb != script.GREETING
        self.server.call_hook(event)
        self._actions = self.server.script.decide(event)
        for action in self._actions:
            action.before(self, event)
        reply = b''
        if not self.acting(actions.Reply):
            greets = verb == script.GREETING
            if greets and self.server.implicit:
                self._secure()
            text = self._greeting if greets else self.server.answers.execute(self, verb, argument)
            reply = actions.wire(text)
        if verb != 'RNFR':  # RFC 959: RNTO follows immediately
            self.rename_source = ''
        if verb in ftpverbs.TRANSFERS:
            self.close_port()
        for action in self._actions:
            reply = action.answer(reply)
        event = dataclasses.replace(event, moment='executed', reply=reply)
        self.server.call_hook(event)
        for action in self._actions:
            action.executed(self, event)
        self.send(reply)
        self._end_data()
        if self.upgrade:
            self._secure()
        for action in self._actions:
            action.replied(self, event)
        if b'\n421 ' in b'\n' + reply:
            raise actions.Disconnect

    def _end_data(self):
        while self._ends:
            self._ends.pop()()

    # What handlers and actions use

    def resolve(self, path):
        """Return the absolute path for an argument."""
        return ftpstore.resolve(self.directory, self.server.stored_as(path))

    def acting(self, kind):
        """Return the running command's action of this class, or None."""
        return next((each for each in self._actions if isinstance(each, kind)), None)

    def send(self, data):
        """Record and send a reply (bytes)."""
        if not data:
            return
        text = data.decode('utf-8', 'backslashreplace').replace('\r\n', '\n').removesuffix('\n')
        self.server.record.add(self.number, 'reply', text)
        chop = self.acting(actions.Chop)
        step = chop.size if chop else len(data)
        for start in range(0, len(data), step):
            try:
                self._control.sendall(data[start : start + step])
            except (*ftptls.LOST, TimeoutError) as error:
                raise Gone from error
            if chop:
                self.pause(seconds=chop.pause)

    def pause(self, until=None, *, seconds=0):
        """Wait for a threading.Event, or for seconds. Raises Stopped."""
        if not self.server.pause(until, seconds=seconds):
            raise Stopped

    def stall(self, until):
        """Do nothing until a threading.Event is set, or (None) until the client goes.

        Raises Gone, Stopped.
        """
        if until is not None:
            return self.pause(until)
        while self.wait(self._control) and self._receive():
            pass
        raise Gone

    def keep(self, sock):
        """Leave a socket open until the session ends."""
        self._kept.append(sock)

    def ends_within(self, connection, seconds):
        """Return whether nothing comes over a data connection but its end, which closes it."""
        ended = self.wait(connection, timeout=seconds) and not connection.recv(1, socket.MSG_PEEK)
        if ended:
            connection.close()
        return ended

    def end_after_reply(self, function):
        """Call a function when the reply is sent, or the session ends before that."""
        self._ends.append(function)

    def await_command(self, timeout):
        """Wait until the client has sent something, at most so many seconds; record it if so."""
        if self._buffer or self.wait(self._control, timeout=timeout):
            self.server.record.add(self.number, 'prompt')

    def saw_data(self):
        """Note it if what is transferred is not encrypted."""
        if not self.private and 'data' not in self.server.in_clear:
            self.server.in_clear.append('data')

    def mute(self):
        """Do nothing but record commands. Raises Gone, Stopped."""
        while True:
            self._command()

    def wait(self, sock, *, event=select.POLLIN, timeout=None):
        """Wait until a socket is ready; return whether it is, after at most `timeout` seconds.

        Keeps an eye on the control connection. Raises Stopped, Gone.
        """
        if self.server.stopping.is_set():
            raise Stopped
        if event == select.POLLIN and ftptls.pending(sock):
            return True
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self.server.stop_signal, select.POLLIN)
        poll.register(sock, event)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if timeout is None else max(0, deadline - time.monotonic()) * 1000
            ready = dict(poll.poll(left))
            if self.server.stop_signal.fileno() in ready:
                raise Stopped
            if sock.fileno() in ready:
                return True
            if not ready:
                return False
            self._fill()

    def note_early_commands(self):
        """Record it if the client sent something while the transfer was running."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        early = self._buffer
        if not early and poll.poll(0):
            with contextlib.suppress(Gone):  # as others do, it finds that out when it answers
                early = self._receive(flags=0 if self.secured else socket.MSG_PEEK)
            if self.secured:  # there is no peeking into TLS
                self._buffer = early
        if early:
            self.server.record.add(self.number, 'early')

    def open_port(self):
        """Open the data port for the next transfer; return its number."""
        self.close_port()
        fault = self.acting(actions.DataPort)
        kind = fault.kind if fault else None
        self._port = ftpdata.Port(self.host, kind=kind, ours=self.server.data_ports)
        self.silent_data = self._port.kind == 'silent'
        return self._port.number

    def close_port(self):
        if self._port:
            self._port.close()
            self._port = None

    def accept_data(self):
        """Return the data connection, or None if there is none."""
        port = self._port
        if port is None or port.kind == 'refused':
            return None
        if port.kind == 'black hole':
            self.mute()
        if not self.wait(port.listener, timeout=self.server.data_timeout):
            return None
        connection, _ = port.listener.accept()
        return connection
