"""The smallest FTP client: says exactly what it is told, hears exactly what was said."""

import re
import socket


class RawClient:
    """One control connection, a context manager; every wait ends after `timeout` seconds."""

    def __init__(self, server, *, timeout=30):
        self._address = (server.host, server.port)
        self._timeout = timeout
        self.control = socket.create_connection(self._address, timeout)
        self._lines = self.control.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        self._lines.close()
        self.control.close()

    def send(self, *commands):
        """Send commands in one piece, and do not wait for replies."""
        self.control.sendall(b''.join(each.encode() + b'\r\n' for each in commands))

    def line(self):
        """Return one line as it came, b'' at the end of the connection."""
        return self._lines.readline()

    def reply(self):
        """Return the next reply, its lines joined by a newline; '' at the end."""
        lines = [self.line().decode().rstrip('\r\n')]
        while lines[0][3:4] == '-' and not lines[-1].startswith(lines[0][:3] + ' '):
            lines.append(self.line().decode().rstrip('\r\n'))
        return '\n'.join(lines)

    def say(self, command):
        """Send a command; return the reply."""
        self.send(command)
        return self.reply()

    def login(self):
        """Hear the greeting, log in as the fault server expects it, set TYPE I."""
        self.reply()
        return [self.say(each) for each in ('USER test', 'PASS testpw', 'TYPE I')]

    def data_port(self):
        """Say EPSV; return the port."""
        return int(re.search(r'\|(\d+)\|', self.say('EPSV')).group(1))

    def data(self):
        """Say EPSV; return the connected data socket, to be closed by the caller."""
        return socket.create_connection((self._address[0], self.data_port()), self._timeout)

    def store(self, path, content, *, verb='STOR'):
        """Upload; return the replies up to the final one."""
        with self.data() as data:
            replies = [self.say(f'{verb} {path}')]
            if replies[0][:1] == '1':
                data.sendall(content)
        return [*replies, self.reply()] if replies[0][:1] == '1' else replies

    def fetch(self, command):
        """Download or list; return the bytes and the last reply."""
        with self.data() as data:
            reply = self.say(command)
            if reply[:1] != '1':
                return b'', reply
            with data.makefile('rb') as stream:
                content = stream.read()
        return content, self.reply()
