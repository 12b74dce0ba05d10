"""Bytes to values and back: commands, replies, what a reply says, listings.

No input and output here, and no state but the bytes of a reply that has not ended yet.
"""

import datetime
import re
from typing import NamedTuple

from zeit.cds.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError
from zeit.cds.text import printable


#: Longest line and longest reply that a server may send, in bytes.  RFC 959 sets no limit; FEAT
#: and banners of some kilobytes exist, a server that never ends a line must not fill the memory.
MAX_LINE = 16 * 1024
MAX_REPLY = 256 * 1024

#: Longest line of a listing that is taken, in bytes: names have 255 at most, some servers 1024.
MAX_ENTRY = 4096

#: How much of a reply is shown to people, in characters.
MAX_SHOWN = 500

_CODE = re.compile(rb'([1-5][0-9][0-9])([ -]|$)')
_EPSV = re.compile(r'\((.)\1\1([0-9]{1,5})\1\)')
_LINE_END = re.compile('[\r\n\0]')


class Reply(NamedTuple):
    """One complete reply (RFC 959 section 4.2): its code, and its text without the codes."""

    code: int
    lines: tuple

    @property
    def text(self):
        """The reply as one harmless line for a log: `550 No such file or directory.`"""
        words = ' / '.join(line.strip() for line in self.lines[:MAX_SHOWN] if line.strip())
        return printable(f'{self.code} {words}'.rstrip(), limit=MAX_SHOWN)


class ReplyParser:
    """Finds replies in a stream of bytes, however it is cut.

    Line ends are CRLF, or LF alone as some servers send.  In a reply of several lines only
    the code of the first, followed by a space, ends it; digits in between mean nothing.
    """

    def __init__(self, *, encoding='utf-8'):
        self._encoding = encoding
        self._buffer = b''
        self._code = None
        self._lines = []
        self._length = 0

    @property
    def pending(self):
        """True when part of a reply has been fed that is not complete."""
        return bool(self._buffer) or self._code is not None

    def feed(self, data):
        """Take `data` (bytes) and return the list of replies that it completes.

        Raises `RemoteProtocolError` when this is not FTP, or grows over all bounds.
        """
        *lines, self._buffer = (self._buffer + data).split(b'\n')
        replies = []
        for line in lines:
            reply = self._line(line.rstrip(b'\r'))
            if reply is not None:
                replies.append(reply)
        if len(self._buffer) > MAX_LINE:
            raise RemoteProtocolError(f'The server sent a line of more than {MAX_LINE} bytes')
        return replies

    def _line(self, line):
        if len(line) > MAX_LINE:
            raise RemoteProtocolError(f'The server sent a line of more than {MAX_LINE} bytes')
        match = _CODE.match(line)
        if self._code is None:
            if match is None:
                if not line.strip():  # blank lines between replies, seen in the field
                    return None
                raise RemoteProtocolError(
                    f'The server sent something that is no reply: {printable(line)}'
                )
            self._code = match[1]
        has_code = match is not None and match[1] == self._code
        if has_code:
            line = line[4:]
        self._length += len(line) + 6  # with code and line end: empty lines have no end, too
        if self._length > MAX_REPLY:
            raise RemoteProtocolError(f'The server sent a reply of more than {MAX_REPLY} bytes')
        self._lines.append(line.decode(self._encoding, 'surrogateescape'))
        if not has_code or match[2] == b'-':
            return None
        reply = Reply(int(self._code), tuple(self._lines))
        self._code, self._lines, self._length = None, [], 0
        return reply


def command(verb, argument='', *, encoding='utf-8'):
    """Return the bytes of a command (RFC 959 section 5.3).

    Raises `LocalProtocolError` if the argument would be more than one line: names are checked
    long before, so this is the last line of defence.  Raises `ConfigurationError` if user, password
    or directory are none in this encoding.
    """
    line = f'{verb} {argument}' if argument else verb
    if _LINE_END.search(line):
        raise LocalProtocolError(f'The argument of {verb} contains a line end or NUL')
    try:
        return line.encode(encoding, 'surrogateescape') + b'\r\n'
    except UnicodeEncodeError:
        pass  # what Python says has the line: it may be a password
    raise ConfigurationError(
        f'What comes behind {verb} cannot be written in {encoding}',
        hint='See encoding (--encoding): utf-8 has all characters.',
    )


def epsv_port(reply):
    """Return the port of a 229 reply (RFC 2428 section 3), as in `(|||6446|)`."""
    match = _EPSV.search(reply.lines[-1])
    if match is None or not 0 < int(match[2]) < 65536:
        raise RemoteProtocolError(f'The server announced no port: {reply.text}')
    return int(match[2])


def pasv_address(reply):
    """Return (host, port) of a 227 reply (RFC 959 section 4.1.2, RFC 1123 section 4.1.2.6).

    The place and the brackets of the six numbers are not standardised; they are looked for.
    """
    match = re.search(r'(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})', reply.text)
    numbers = [int(number) for number in match.groups()] if match else [256]
    port = numbers[-2] * 256 + numbers[-1] if match else 0
    if max(numbers) > 255 or port == 0:
        raise RemoteProtocolError(f'The server announced no address: {reply.text}')
    return '.'.join(str(number) for number in numbers[:4]), port


def eprt(host, port):
    """Return the argument of EPRT (RFC 2428 section 2) for an address of ours."""
    return f'|{2 if ":" in host else 1}|{host}|{port}|'


def port(host, port):
    """Return the argument of PORT (RFC 959 section 4.1.2) for an address of ours, IPv4."""
    return ','.join([*host.split('.'), str(port >> 8), str(port & 255)])


def size(reply):
    """Return the number of bytes of a 213 reply to SIZE (RFC 3659 section 4)."""
    number = reply.lines[-1].strip()
    if not (number.isascii() and number.isdigit() and len(number) <= 20):
        raise RemoteProtocolError(f'The server told no size: {reply.text}')
    return int(number)


def time_value(text):
    """Return a time as in MDTM's reply (RFC 3659 section 2.3) as an aware datetime, UTC.

    Raises `RemoteProtocolError` if it is none.  Fractions of seconds are left out.
    """
    match = re.match(r'\s*([0-9]{14})(\.[0-9]+)?\s*$', text)
    try:
        moment = datetime.datetime.strptime(match[1], '%Y%m%d%H%M%S') if match else None
    except ValueError:
        moment = None
    if moment is None:
        raise RemoteProtocolError(f'The server told no time: {printable(text)}')
    return moment.replace(tzinfo=datetime.UTC)


class Facts(NamedTuple):
    """What a listing tells about a name, as the server says it."""

    is_directory: bool = False
    digits: str = ''
    time: str = ''

    @property
    def size(self):
        """Its length in bytes, or None."""
        digits = self.digits
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else None

    @property
    def modified(self):
        """When it was changed, as an aware datetime, UTC, or None."""
        try:
            return time_value(self.time)
        except RemoteProtocolError:
            return None


#: What is told by names alone: one value for all of them, of which there may be many.
NO_FACTS = Facts()


def mlsd_entry(line):
    """Return (name, `Facts`) of one line of MLSD (RFC 3659 section 7); None for one of no use.

    The line is `fact=value;...; name`; the name may contain anything, spaces included.  The listed
    directory itself and the one above (`cdir`, `pdir`) are of no use.
    """
    facts, space, name = line.partition(' ')
    if not space or not name:
        return None
    values = dict(fact.lower().split('=', 1) for fact in facts.split(';') if '=' in fact)
    kind = values.get('type', 'file')
    if kind in ('cdir', 'pdir'):
        return None
    facts = Facts(kind.endswith('dir'), values.get('size', ''), values.get('modify', ''))
    return name, NO_FACTS if facts == NO_FACTS else facts


def nlst_name(line, *, directory='/'):
    """Return the name of one line of NLST (RFC 959 section 4.1.3), exactly as the server has it.

    Before it there may be the path of the listed `directory`, or `./`.  Any other path is left:
    the caller refuses it.
    """
    prefixes = './', directory.rstrip('/') + '/'
    return line[len(next((each for each in prefixes if line.startswith(each)), '')) :]


class Lines:
    """The lines of a listing, found in its bytes as they come.

    Line ends are CRLF or LF; blank lines are left out, and so are those of more than `MAX_ENTRY`
    bytes: no file system has such names.  `undecoded` is True if one of them is no text in this
    encoding; what cannot be decoded is kept as PEP 383 has it.
    """

    def __init__(self, *, encoding='utf-8'):
        self._encoding = encoding
        self._rest = b''
        self._too_long = False
        self.undecoded = False

    def feed(self, data):
        """Take `data` (bytes), return a list of the lines (str) that it completes."""
        *complete, rest = data.split(b'\n')
        if not complete:
            self._keep(rest)
            return []
        self._keep(complete[0])
        complete[0] = b'' if self._too_long else self._rest
        self._rest, self._too_long = b'', False
        self._keep(rest)
        return [line for line in map(self._line, complete) if line]

    def end(self):
        """Return a list with the last line, if that has no end."""
        return self.feed(b'\n')

    def _keep(self, data):
        if len(self._rest) + len(data) > MAX_ENTRY:
            self._rest, self._too_long = b'', True
        elif not self._too_long:
            self._rest += data

    def _line(self, line):
        if len(line) > MAX_ENTRY:
            return ''
        line = line.rstrip(b'\r')
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError:
            self.undecoded = True
            return line.decode(self._encoding, 'surrogateescape')
