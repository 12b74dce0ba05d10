"""What servers of the world answer, asked over raw sockets: the table in docs/servers.txt.

`python -m zeit.cds.tests.probe [NAME...]` prints it; `write FILE` puts that of all servers between
the two marks of the file.
"""

import contextlib
import os
import pathlib
import re
import socket
import struct
import sys
import time

from zeit.cds.testing.daemon import ServerUnavailable
from zeit.cds.testing.process import ServerError
from zeit.cds.testing.rawclient import RawClient
from zeit.cds.testing.world import SERVERS, version


#: What is between these lines of the text is written here.
BEGIN = '.. The answers begin: bin/python -m zeit.cds.tests.probe writes them.\n'
END = '.. The answers end.\n'
#: Seconds until a server is taken to be silent.
SILENT = 1.5
#: Seconds for what is bound to come.
TIMEOUT = 20
#: Names that some servers change.
NAMES = {
    'leading': ' a',
    'trailing': 'a ',
    'inner': 'a b',
    'quote': 'a"b',
    'utf-8': 'aü',
    'latin-1': 'a\udcfc',
}


class Client(RawClient):
    """A client that tells silence from an end, and asks for data in whatever way works."""

    def answer(self, command=None, *, seconds=SILENT):
        """Send a command, if any; return the reply; 'silent' or 'closes' if there is none."""
        self.control.settimeout(seconds)
        try:
            if command is not None:
                self.send_bytes(os.fsencode(command) + b'\r\n')
            return self.reply() or 'closes'
        except TimeoutError:
            # A file of a socket is of no use after a time-out.
            self._lines.close()
            self._lines = self.control.makefile('rb')
            return 'silent'
        except OSError:
            return 'closes'

    def code(self, *commands):
        """Return the code of the last reply."""
        return [self.answer(command) for command in commands][-1].split(' ')[0].split('-')[0]

    def send_bytes(self, data):
        self.control.sendall(data)

    def line(self):
        """See `RawClient`; with names in whatever encoding."""
        return super().line().decode('utf-8', 'replace').encode()

    def port(self):
        """Return the reply to the request for a data port, and the port, None if there is none."""
        reply = ''
        for verb in ('EPSV', 'PASV'):
            self.verb = verb
            reply = self.answer(verb)
            if found := re.search(r'\|\|\|(\d+)\|', reply):
                return reply, int(found.group(1))
            if found := re.search(r'\d+,\d+,\d+,\d+,(\d+),(\d+)', reply):
                return reply, int(found.group(1)) * 256 + int(found.group(2))
            if reply in ('silent', 'closes'):
                break
        return reply, None

    def begin(self, command):
        """Begin a transfer; return the data connection and the code of the first reply."""
        _, port = self.port()
        data = socket.create_connection(('127.0.0.1', port), TIMEOUT)
        return data, self.code(command)

    def transfer(self, command, content=None):
        """Transfer; return what came and the code of the last reply."""
        data, code = self.begin(command)
        with data:
            came = b''
            if code[:1] == '1':
                if content is not None:
                    data.sendall(content)
                else:
                    with contextlib.suppress(OSError):
                        while piece := data.recv(65536):
                            came += piece
        return came, self.answer(seconds=TIMEOUT).split(' ')[0][:3] if code[:1] == '1' else code


class Probe:
    """The questions to one server that runs."""

    def __init__(self, server):
        self.server = server

    @property
    def root(self):
        return self.server.root

    @contextlib.contextmanager
    def client(self):
        self.server.clear()
        with Client(self.server, timeout=TIMEOUT) as client:
            client.answer(seconds=TIMEOUT)
            client.answer(f'USER {self.server.user}', seconds=TIMEOUT)
            client.answer(f'PASS {self.server.password}', seconds=TIMEOUT)
            client.answer('TYPE I')
            yield client

    def plant(self, *names, content=b'1234'):
        for name in names:
            (self.root / name).write_bytes(content)
        self.server.own()

    def make(self, *names):
        for name in names:
            (self.root / name).mkdir()
        self.server.own()

    def await_data(self, name):
        """Return when the server has begun to read, or does not write what it reads."""
        ended = time.monotonic() + SILENT
        while time.monotonic() < ended and not self.stored(name):
            os.sched_yield()

    def stored(self, name):
        """Return how many bytes of a file are there, 0 without a file."""
        path = self.root / name
        return path.stat().st_size if path.exists() else 0

    def there(self):
        """Return the paths of all files and directories."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob('*'))

    def ask(self, question):
        """Return the answer to one question; what fails is said."""
        try:
            with self.client() as client:
                return question(self, client)
        except OSError as error:
            return type(error).__name__

    def answers(self):
        """Return what is in the tables, a dictionary by the heads of columns."""
        return {
            head: self.ask(question)
            for _, columns in TABLES
            for head, question in columns.items()
        }

    def epsv(self, client):
        return client.code('EPSV')

    def port_in_upload(self, client):
        data, code = client.begin('STOR a')
        if code[:1] != '1':
            data.close()
            return code
        with data:
            data.sendall(b'1' * 1000)
            self.await_data('a')
            client.send(client.verb)
            reply = client.answer()
            with contextlib.suppress(OSError):
                data.sendall(b'2' * 1000)
            if reply == 'silent':
                # Some listen to commands when data have come.
                reply = client.answer()
        final = client.answer(seconds=5)
        if reply == 'silent':
            # The reply to the upload, then the one that was held back.
            return 'held' if client.answer(seconds=5)[:1] == '2' else f'held, {_short(final)}'
        whole = 'whole' if self.stored('a') == 2000 else 'cut'
        return f'{reply[:3]}, {whole}' + ('' if final[:3] == '226' else f', {_short(final)}')

    def behind_a_port(self, client):
        client.port()
        return 'held' if client.answer('PWD') == 'silent' else 'answered'

    def one_packet(self, client):
        client.send_bytes(b'TYPE I\r\nPWD\r\nTYPE I\r\n')
        codes = []
        for _ in range(3):
            code = client.answer()[:3]
            if not code.isdigit():
                break
            codes.append(code)
        right = codes == ['200', '257', '200']
        return 'all' if right else f'{len(codes)} of 3' if len(codes) < 3 else 'mixed up'

    def rename_onto_file(self, client):
        self.plant('a', 'b')
        return client.code('RNFR a', 'RNTO b')

    def rename_missing(self, client):
        return client.code('RNFR missing')

    def rename_directory(self, client):
        self.make('one', 'two', 'one/inside', 'two/inside2', 'empty')
        empty = client.code('RNFR one', 'RNTO empty')
        source = 'empty' if empty[:1] == '2' else 'one'
        full = client.code(f'RNFR {source}', 'RNTO two')
        merged = ', merged' if full[:1] == '2' and 'two/inside' in self.there() else ''
        return f'{empty}/{full}{merged}'

    def make_existing(self, client):
        self.make('d')
        return client.code('MKD d')

    def size(self, client):
        self.plant('a')
        self.plant('empty', content=b'')
        found = [client.answer(f'SIZE {name}') for name in ('a', 'empty')]
        return '/'.join(' '.join(each.split()) if each[:1] == '2' else each[:3] for each in found)

    def size_other(self, client):
        self.make('d')
        code = client.answer('SIZE d')
        return f'{code if code[:1] == "2" else code[:3]}/{client.code("SIZE missing")}'

    def fetch_missing(self, client):
        return client.transfer('RETR missing')[1]

    def list_empty(self, client):
        return client.transfer('NLST')[1]

    def machine_list(self, client):
        return client.transfer('MLSD')[1]

    def modified(self, client):
        self.plant('a')
        return client.code('MDTM a')

    def reset(self, client):
        data, code = client.begin('STOR a')
        with data:
            data.sendall(b'1' * 100_000)
            self.await_data('a')
            data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        return _short(client.answer(seconds=5)) if code[:1] == '1' else code

    def names(self, client):
        changed = []
        for what, name in NAMES.items():
            self.server.clear()
            _, code = client.transfer(f'STOR {name}', b'1')
            found = self.there()
            if code[:1] != '2':
                changed.append(f'{what} refused')
            elif found != [name]:
                changed.append(what)
        return ', '.join(changed) or 'as sent'


def _short(reply):
    return reply if reply in ('silent', 'closes') else reply[:3]


#: The columns of the tables, with what they ask.
TABLES = (
    (
        'Transfers',
        {
            'EPSV': Probe.epsv,
            'port in STOR': Probe.port_in_upload,
            'behind port': Probe.behind_a_port,
            'one packet': Probe.one_packet,
            'RETR none': Probe.fetch_missing,
            'NLST empty': Probe.list_empty,
            'MLSD': Probe.machine_list,
            'reset': Probe.reset,
        },
    ),
    (
        'Files and directories',
        {
            'onto file': Probe.rename_onto_file,
            'RNFR none': Probe.rename_missing,
            'onto dir': Probe.rename_directory,
            'MKD': Probe.make_existing,
            'SIZE': Probe.size,
            'SIZE dir/none': Probe.size_other,
            'MDTM': Probe.modified,
            'names changed': Probe.names,
        },
    ),
)


def tables(names):
    """Return the lines of the tables for these servers; raises nothing for what is not there."""
    found = {}
    for name in names:
        try:
            with SERVERS[name]() as server:
                found[name] = Probe(server).answers()
                found[name]['server'] = f'{name} {version(name)}'
        except (ServerError, ServerUnavailable) as error:
            print(f'{name}: skipped: {error}', file=sys.stderr)
    for title, columns in TABLES:
        yield from ('', title, '-' * len(title), '', '::', '')
        heads = ['server', *columns]
        rows = [heads, *([answers[head] for head in heads] for answers in found.values())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f'  {"  ".join(cells)}'.rstrip()
    yield ''


def main(arguments):
    """Print or write the tables; return an exit code."""
    if arguments[:1] == ['write']:
        path = pathlib.Path(arguments[1])
        before, rest = path.read_text('utf-8').split(BEGIN)
        text = '\n'.join(tables(sorted(SERVERS)))
        path.write_text(before + BEGIN + text + '\n' + END + rest.split(END)[1], 'utf-8')
    else:
        print('\n'.join(tables(arguments or sorted(SERVERS))))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
