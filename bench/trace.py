"""The packets of a run, and how many round trips they are.

A *round trip* is counted where a client sends only after something came in that the server sent
only after something that the client had sent: the longest chain of messages, each of them sent
after the one before it was there.  A message is a packet with data, a SYN or a FIN, on whichever
connection; mere acknowledgements are none.  So a command that is sent along with another one costs
nothing, and neither does a reply that nobody waits for.

It is counted on a line with a known delay: what comes in less than a round trip after something
went out was not caused by it.  One connection, and not its first and last files: what a run costs
once is not in it.
"""

import bisect
import contextlib
import dataclasses
import os
import select
import socket
import struct
import threading


# if_packet.h, tcp(7), socket(7)
# What goes out is shown only to those who ask for everything.
_ETH_P_ALL = 0x0003
_OUTGOING = 4
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_FIN, _SYN = 0x01, 0x02

#: Bytes that the system may hold back for us.
_BUFFER = 64 * 1024 * 1024

#: Data that is kept of each packet: enough for a command.
KEPT = 80

#: Of a round trip: what comes in earlier was on its way already.
_EARLY = 0.8


@dataclasses.dataclass(frozen=True, slots=True)
class Packet:
    """One message: when (seconds), whether it was sent by the client, its ports, what is in it."""

    time: float
    sent: bool
    client_port: int
    server_port: int
    flags: int
    size: int
    data: bytes

    @property
    def is_message(self):
        return bool(self.size or self.flags & (_FIN | _SYN))


class Trace:
    """Collects the packets of the device `network.device`, seen from the client's side.

    A context manager; `packets` is complete when it was left.  Raises OSError without the right to
    look (CAP_NET_RAW).
    """

    def __init__(self, network):
        self._network = network
        self.packets = []

    def __enter__(self):
        self._socket = self._network.client.run(
            socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)
        )
        with contextlib.ExitStack() as stack:
            stack.callback(self._socket.close)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._socket.bind((self._network.device, _ETH_P_ALL))
            self._socket.setblocking(False)
            stack.pop_all()
        self._stop, self._stopping = os.pipe()
        self._thread = threading.Thread(target=self._collect, name='trace')
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        os.close(self._stopping)
        self._thread.join()
        os.close(self._stop)
        self._socket.close()

    def _collect(self):
        stopping = False
        while not stopping:
            stopping = self._stop in select.select([self._socket, self._stop], [], [])[0]
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, ancillary, _, address = self._socket.recvmsg(256, 64, socket.MSG_TRUNC)
                    if packet := _parse(data, ancillary, sent=address[2] == _OUTGOING):
                        self.packets.append(packet)


def _parse(data, ancillary, *, sent):
    """Return the `Packet` of an IPv4 packet with TCP in it, else None.  RFC 791, RFC 9293."""
    if data[0] >> 4 != 4 or data[9] != socket.IPPROTO_TCP:
        return None
    start = (data[0] & 15) * 4
    source, target, *_, offset, flags = struct.unpack_from('!HHIIBB', data, start)
    content = start + (offset >> 4) * 4
    length = struct.unpack_from('!H', data, 2)[0]
    seconds, nanoseconds = struct.unpack('qq', ancillary[0][2])
    ports = (source, target) if sent else (target, source)
    return Packet(
        seconds + nanoseconds / 1e9, sent, *ports, flags, length - content,
        bytes(data[content : content + KEPT]),
    )  # fmt: skip


def depths(packets, *, rtt):
    """Return (packet, number of round trips that were over when it was sent) for what was sent."""
    found, times, arrived = [], [], 0
    for packet in packets:
        if packet.sent:
            found.append((packet, arrived))
            times.append(packet.time)
        elif not packet.is_message:
            continue
        elif cause := bisect.bisect(times, packet.time - rtt * _EARLY):
            arrived = max(arrived, found[cause - 1][1] + 1)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steady:
    """What a file costs in the middle of a run: round trips, commands, seconds."""

    round_trips: float
    commands: float
    seconds: float


def steady(packets, *, port, rtt, first, last):
    """Return the `Steady` of the files `first` to `last`, counted from 0.

    `port` is that of the control connections.  A file begins with its STOR or RETR; over TLS, where
    nobody sees that, with its data connection, and a command is a packet.  Raises ValueError if
    there are not so many files.
    """
    sent = depths(packets, rtt=rtt)
    starts = [
        i for i, (packet, _) in enumerate(sent) if packet.data.startswith((b'STOR ', b'RETR '))
    ]
    if not starts:
        starts = [i for i, (p, _) in enumerate(sent) if p.flags & _SYN and p.server_port != port]
    if len(starts) <= last:
        raise ValueError(f'There are {len(starts)} files in the trace, not more than {last}')
    begin, end = starts[first], starts[last]
    commands = sum(
        max(1, packet.data.count(b'\r\n')) if packet.size else 0
        for packet, _ in sent[begin:end]
        if packet.server_port == port
    )
    files = last - first
    return Steady(
        round_trips=(sent[end][1] - sent[begin][1]) / files,
        commands=commands / files,
        seconds=(sent[end][0].time - sent[begin][0].time) / files,
    )


def first_time(packets, word):
    """Return when a packet with this command came first, in seconds of the clock, or None."""
    return next((p.time for p in packets if p.data.startswith(word)), None)


def dialogue(packets, *, rtt, port):
    """Return what was sent as lines of text, each with the number of round trips before it."""
    lines = []
    for packet, depth in depths(packets, rtt=rtt):
        if packet.server_port == port and packet.size:
            text = packet.data.decode('latin-1').strip().replace('\r\n', ' + ')
        elif packet.flags & _SYN:
            text = '(connects for data)'
        elif packet.size:
            text = f'({packet.size} bytes of data)'
        else:
            continue
        lines.append(f'{depth:5} {text}')
    return lines
