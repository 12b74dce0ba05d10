"""Data connections of the fault server: the port, and one transfer with its faults."""

import select
import socket
import struct

from zeit.cds.testing import actions, ftptls, tlsactions


CHUNK = 64 * 1024
SMALL_BUFFER = 4096  # bytes; what is stalled must be felt by a client soon


def close(sock, *, reset=False, goodbye=True):
    """Close a socket by FIN or, with `reset`, by RST; goodbye: with close_notify, if it has TLS."""
    if goodbye and not reset:
        ftptls.end(sock)
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    else:
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:  # not connected any more: there is nothing to say goodbye to
            pass
    sock.close()


class Port:
    """A data port on `host`, good for one connection; `kind` is None or one of PORT_KINDS.

    Its number is one of `ours`, a `ports.DataPorts`; None: any that is free.
    """

    def __init__(self, host, *, kind=None, ours=None):
        self.kind = kind
        self._sockets = []
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.listener = self._socket(family)
        try:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER * 8)
            if ours is None or kind == 'refused':  # to which nobody can connect by mistake
                self.listener.bind((host, 0))
            else:
                ours.bind(self.listener, host)
            if kind == 'black hole':
                self._fill(family)
            elif kind != 'refused':  # bound, but not listening: nobody else gets the number
                self.listener.listen(1)
        except BaseException:
            self.close()
            raise

    @property
    def number(self):
        return self.listener.getsockname()[1]

    def _socket(self, family):
        self._sockets.append(socket.socket(family, socket.SOCK_STREAM))
        return self._sockets[-1]

    def _fill(self, family):
        # Linux drops the SYN while the queue of accepted connections is full, and a queue of
        # length 0 is full with one connection in it.
        self.listener.listen(0)
        for _ in range(2):
            filler = self._socket(family)
            filler.setblocking(False)
            filler.connect_ex(self.listener.getsockname())

    def close(self):
        for each in self._sockets:
            each.close()
        self._sockets.clear()


class Transfer:
    """One transfer of a session: opened with 150, closed in every case.

    A context manager; `failure` is the reply (426) once the data connection was lost.  With
    `linger` its end comes only after the final reply: which of them a client sees first is not a
    matter of luck.
    """

    def __init__(self, session, connection, *, silent, linger):
        self.failure = ''
        self._linger = linger
        self._session = session
        self._connection = connection
        self._alter = session.acting(actions.Alter) or actions.Alter()
        stall = session.acting(actions.StallData) or (actions.StallData() if silent else None)
        steps = [step for step in (stall, session.acting(actions.CutData)) if step]
        self._steps = sorted(steps, key=lambda step: step.after)
        end = session.acting(tlsactions.EndData)
        self._end = end and end.kind

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self._end == 'never':
            self._session.keep(self._connection)
        elif self._linger and not self.failure and exc_info[0] is None:
            self._session.end_after_reply(self._close)
        else:
            self._close()

    def _close(self):
        close(self._connection, reset=self._end == 'reset', goodbye=self._end is None)

    def secure(self):
        """Shake hands, if the client has asked for it; return whether all is well."""
        if not self._session.private:
            return True
        try:
            self._connection = ftptls.wrap(self._session, self._connection)
            ftptls.shake_hands(self._session, self._connection)
            return True
        except ftptls.Unsafe as error:
            self.failure = str(error)
            return False

    def abandon(self):
        """Leave the data connection open until the session ends."""
        self._end = 'never'

    def receive(self, write):
        """Call `write` with the bytes that come, until the client closes."""
        keep = self._alter.keep
        done = 0
        try:
            while room := self._room(done):
                self._session.wait(self._connection)
                data = ftptls.receive(self._connection, room)
                if data is None:
                    continue
                if not data:
                    break
                self._session.saw_data()
                write(data if keep is None else data[: max(0, keep - done)])
                done += len(data)
        except ftptls.LOST:
            self.failure = '426 Connection closed; transfer aborted.'
        else:
            write(self._alter.extra)

    def send(self, data):
        """Send all bytes, then it is up to the caller to close."""
        rest = memoryview(data[: self._alter.keep] + self._alter.extra)
        done = 0
        try:
            while (room := self._room(done)) and rest:
                self._session.wait(self._connection, event=select.POLLOUT)
                sent = ftptls.send(self._connection, rest[:room])
                self._session.saw_data()
                rest = rest[sent:]
                done += sent
        except ftptls.LOST:
            self.failure = '426 Connection closed; transfer aborted.'

    def _room(self, done):
        """Do what is due after `done` bytes; return how many may follow until the next fault."""
        while self._steps and self._steps[0].after <= done:
            step = self._steps.pop(0)
            if isinstance(step, actions.CutData):
                close(self._connection, reset=step.reset)
                if step.control:
                    raise actions.Disconnect(reset=step.reset)
                raise ConnectionAbortedError('by the script')
            if step.until is None:
                self._session.mute()
            self._session.pause(step.until)
        return min(CHUNK, self._steps[0].after - done) if self._steps else CHUNK
