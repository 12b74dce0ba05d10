"""A TCP relay that hears what a client says and sees how it ends, to assert it on the wire."""

import contextlib
import selectors
import socket
import threading


TIMEOUT = 10


class Relay:
    """Relays connections to an address, a pair (host, port).  A context manager.

    `heard` has the bytes that all clients have sent, `answered` those of the server; `ends` what
    came last of each connection, pairs (of the client, of the server): 'FIN', 'RST', or None if
    the other side ended it all by RST first.  All are complete after the context.

    `pause()` is called in the place of a packet of a client, which goes on when it returns: of the
    one number `hold`, counted from 0.
    """

    host = '127.0.0.1'

    def __init__(self, address, *, hold=None, pause=None):
        self._address = address
        self._hold = hold
        self._pause = pause
        self.packets = 0
        self.heard = bytearray()
        self.answered = bytearray()
        self.ends = []
        self._threads = []

    def __enter__(self):
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self._begin(self._accept)
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up accept
        self._listener.close()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def _begin(self, function, *args):
        thread = threading.Thread(target=function, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.ends.append(None)
                self._begin(self._serve, client, len(self.ends) - 1)

    def _serve(self, client, number):
        with client:
            try:
                server = socket.create_connection(self._address, TIMEOUT)
            except ConnectionRefusedError:
                return  # a port for data that was not used, of a session that has ended since
            with server:
                ends = self._pump(client, server)
        self.ends[number] = ends.get(client), ends.get(server)

    def _count(self):
        self.packets += 1
        if self.packets - 1 == self._hold:
            self._pause()

    def _pump(self, client, server):
        """Carry bytes in both directions until both sides have ended; return how, by socket."""
        ends = {}
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, (server, self.heard))
            selector.register(server, selectors.EVENT_READ, (client, self.answered))
            while len(ends) < 2 and 'RST' not in ends.values():
                for key, _ in selector.select():
                    other, record = key.data
                    try:
                        data = key.fileobj.recv(1 << 18)
                    except ConnectionError:
                        ends[key.fileobj] = 'RST'
                        break
                    try:
                        if data:
                            record += data
                            if other is server:
                                self._count()
                            other.sendall(data)
                            continue
                        ends[key.fileobj] = 'FIN'
                        selector.unregister(key.fileobj)
                        other.shutdown(socket.SHUT_WR)
                    except OSError:
                        ends[other] = 'RST'
                        break
        return ends
