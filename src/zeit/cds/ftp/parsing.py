"""Bytes to values and back: commands, replies, what a reply says, listings.

No input and output here, and no state but the bytes of a reply that has not ended yet.
"""

import datetime
import re
from typing import NamedTuple

from zeit.cds.errors import (
    ConfigurationError,
    LocalProtocolError,
    NoValue,
    RemoteProtocolError,
)
from zeit.cds.text import printable


#: Longest line and longest reply that a server may send, in bytes.  RFC 959 sets no limit; FEAT
#: and banners of some kilobytes exist, a server that never ends a line must not fill the memory.
MAX_LINE = 16 * 1024
MAX_REPLY = 256 * 1024

#: Longest line of a listing that is taken, in bytes: names have 255 at most, some servers 1024.
MAX_ENTRY = 4096

#: How much of a reply is shown to people, in characters.
MAX_SHOWN = 500

#: In how many lines a value is looked for, such as a port: some searches look at each character
#: again and again.
VALUE_LINES = 10

# What most replies do not need is compiled when it is first used.

#: A code, and what tells whether more lines follow: `-`.  Some servers put no blank behind it.
_CODE = re.compile(rb'([1-5][0-9][0-9])(-|(?![0-9]))')

#: The line that ends a reply of several: its code, and a blank or nothing.
_LAST = re.compile(rb'([1-5][0-9][0-9])(\s|$)')

#: RFC 2428 section 3: any delimiter.  Some servers fill in protocol and address, which should be
#: empty; some leave out the brackets.
_EPSV = (
    r'\(\s*(.)\d?\1[^()]*?\1\s*([0-9]{1,5})\s*\1\s*\)',
    r'([!-/:-@[-`{-~])\d?\1\S*?\1([0-9]{1,5})\1',
)

_PASV = r'(?<![0-9])([0-9]{1,3})' + r'\s*,\s*([0-9]{1,3})' * 5 + '(?![0-9])'

#: A word that is a number, and what must not stand behind it: another number, or a unit.
_NUMBER = r'(?a)\(?([0-9]{1,20})[.,;:)]*'
_NO_BYTES = r'(?ai)\(?[0-9].*|[kmgt](i?b|i?bytes?)?\W*|(kilo|mega|giga)\w*\W*'

#: A time (RFC 3659 section 2.3), a word of its own.  The year of servers that print '19' and the
#: years since 1900, as some have done since 2000, has five digits.
_TIME = r'(?a)(?<!\S)(?:([0-9]{4})|19(1[0-9]{2}))([0-9]{10})(?:\.[0-9]*)?(?!\S)'

#: The facts of a listing that are of use (RFC 3659 section 7.5).
_FACT = re.compile('(?:^|;)(type|size|modify)=([^;]*)')

#: A file in the format of `ls -l`, in which nearly all servers answer LIST: its length, the month
#: and the day with the time or the year, the name.
_LONG = (
    r'(?a)-[-a-zA-Z]{9}\S*\s+\d+\s.*?\s(\d+)\s+'
    r'([A-Z][a-z]{2}\s+\d{1,2}\s+(?:\d\d:\d\d|\d{4}))\s(.+)'
)

_MINUTE = r'(?a)([A-Z][a-z]{2}) (\d{1,2}) (\d\d):(\d\d)'
_MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()
_LEAP_YEAR = 2000

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

    @property
    def end(self):
        """Where a value is looked for: the last lines, the last one first, each cut if too long."""
        return [line[:MAX_SHOWN] for line in reversed(self.lines[-VALUE_LINES:])]


def _too_long(what, limit):
    return RemoteProtocolError(
        f'The server sent a {what} of more than {limit} bytes',
        hint='Is it an FTP server? Check host and port.',
    )


class ReplyParser:
    """Finds replies in a stream of bytes, however it is cut.

    Line ends are CRLF, or LF alone as some servers send.  In a reply of several lines only
    the code of the first, followed by a blank, ends it; digits in between mean nothing.
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
            raise _too_long('line', MAX_LINE)
        return replies

    def _line(self, line):
        if len(line) > MAX_LINE:
            raise _too_long('line', MAX_LINE)
        if self._code is None:
            match = _CODE.match(line)
            if match is None:
                if not line.strip():  # blank lines between replies, seen in the field
                    return None
                raise RemoteProtocolError(
                    f'The server sent something that is no reply: {printable(line)}'
                )
            if match[2] != b'-':  # nearly all of them
                text = line[4:] if line[3:4] == b' ' else line[3:]
                return Reply(int(match[1]), (text.decode(self._encoding, 'surrogateescape'),))
            self._code, more = match[1], True
        else:
            match = _LAST.match(line)
            more = match is None or match[1] != self._code
        if line.startswith((self._code + b'-', self._code + b' ')):
            line = line[4:]
        elif not more:
            line = line[3:]
        self._length += len(line) + 6  # with code and line end: empty lines have no end, too
        if self._length > MAX_REPLY:
            raise _too_long('reply', MAX_REPLY)
        self._lines.append(line.decode(self._encoding, 'surrogateescape'))
        if more:
            return None
        reply = Reply(int(self._code), tuple(self._lines))
        self._code, self._lines, self._length = None, [], 0
        return reply


def command(verb, argument='', *, encoding='utf-8'):
    """Return the bytes of a command (RFC 959 section 5.3).

    The argument may be one that is hidden, see `zeit.cds.ftp.reply_errors.Hidden`.
    Raises `LocalProtocolError` if the argument would be more than one line: names are checked
    long before, so this is the last line of defence.  Raises `ConfigurationError` if user, password
    or directory cannot be written in this encoding.
    """
    data = _line(verb, argument, encoding)
    if data:
        return data
    if data is None:
        raise LocalProtocolError(f'The argument of {verb} contains a line end or NUL')
    raise ConfigurationError(
        f'What comes behind {verb} cannot be written in {encoding}',
        hint='See encoding (--encoding): utf-8 has all characters.',
    )


def _line(verb, argument, encoding):
    """Return a line; None if it were several ones, b'' if it cannot be encoded.

    Nothing is raised here: what Python says, and the variables, have the line, maybe a password.
    """
    text = argument if isinstance(argument, str) else argument.reveal()
    line = f'{verb} {text}' if text else verb
    if _LINE_END.search(line):
        return None
    try:
        return line.encode(encoding, 'surrogateescape') + b'\r\n'
    except UnicodeEncodeError:
        return b''


def epsv_port(reply):
    """Return the port of a 229 reply (RFC 2428 section 3), as in `(|||6446|)`."""
    for line in reply.end:
        for pattern in _EPSV:
            match = re.search(pattern, line)
            if match is not None and 0 < int(match[2]) < 65536:
                return int(match[2])
    raise RemoteProtocolError(f'The server announced no port: {reply.text}')


def pasv_address(reply):
    """Return (host, port) of a 227 reply (RFC 959 section 4.1.2, RFC 1123 section 4.1.2.6).

    The place and the brackets of the six numbers are not standardised; they are looked for.
    """
    match = re.search(_PASV, ' '.join(reversed(reply.end)))
    numbers = [int(number) for number in match.groups()] if match else [256]
    port = numbers[-2] * 256 + numbers[-1] if match else 0
    if max(numbers) > 255 or port == 0:
        raise RemoteProtocolError(f'The server announced no address: {reply.text}')
    return '.'.join(str(number) for number in numbers[:4]), port


def directory(reply):
    """Return the path of a 257 reply (RFC 959 appendix II): `"/in" is the current directory`."""
    match = re.search(r'"((?:[^"]|"")*)"', reply.lines[-1])
    return match[1].replace('""', '"') if match else ''


def eprt(host, port):
    """Return the argument of EPRT (RFC 2428 section 2) for an address of ours."""
    return f'|{2 if ":" in host else 1}|{host}|{port}|'


def port(host, port):
    """Return the argument of PORT (RFC 959 section 4.1.2) for an address of ours, IPv4."""
    return ','.join([*host.split('.'), str(port >> 8), str(port & 255)])


def size(reply):
    """Return the number of bytes of a 213 reply to SIZE (RFC 3659 section 4).

    There may be words before the number or behind it, such as `81 Bytes`.  Raises `NoValue` if
    there is no number, or another one could be meant as well.
    """
    (first, *others) = reply.lines
    if not others and first.isascii() and first.isdigit() and len(first) <= 20:
        return int(first)  # as nearly all say it
    for line in reply.end:
        words = [*line.split(), '']
        numbers = [n for n, word in enumerate(words) if re.fullmatch(_NUMBER, word)]
        if numbers and (numbers[0] == 0 or len(numbers) == 1):
            first = numbers[0]
            if not re.fullmatch(_NO_BYTES, words[first + 1]):
                return int(re.fullmatch(_NUMBER, words[first])[1])
    raise NoValue(reply.code, f'The server told no size: {reply.text}')


def modified(reply):
    """Return the time of a 213 reply to MDTM (RFC 3659 section 3), aware, UTC.

    Raises `NoValue` if there is none.
    """
    for line in reply.end:
        if moment := time_value(line):
            return moment
    raise NoValue(reply.code, f'The server told no time: {reply.text}')


def time_value(text):
    """Return the time in `text`, as in RFC 3659 section 2.3, aware, UTC; None if there is none.

    Fractions of seconds are left out.
    """
    if not (match := re.search(_TIME, text)):
        return None
    year = match[1] or str(1900 + int(match[2]))
    try:
        moment = datetime.datetime.strptime(year + match[3], '%Y%m%d%H%M%S')
    except ValueError:
        return None
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
        return time_value(self.time)


#: What is told by names alone: one value for all of them, of which there may be many.
NO_FACTS = Facts()


def mlsd_entry(line):
    """Return (name, `Facts`) of one line of MLSD (RFC 3659 section 7); None for one of no use.

    The line is `fact=value;...; name`; the name may contain anything, spaces included.  The listed
    directory itself and the one above (`cdir`, `pdir`) are of no use.
    """
    facts, space, name = line.partition(' ')
    if not facts.endswith(';') and 'slink:' in facts.lower() and '; ' in name:
        # Some servers write where a link leads to, and that may have a space.
        facts, space, name = line.partition('; ')
    if not space or not name:
        return None
    values = dict(_FACT.findall(facts.lower()))
    kind = values.get('type', 'file')
    if kind in ('cdir', 'pdir'):
        return None
    is_directory = (kind.partition('=')[2] or kind) == 'dir'
    facts = Facts(is_directory, values.get('size', ''), values.get('modify', ''))
    return name, NO_FACTS if facts == NO_FACTS else facts


def long_entry(line):
    """Return what `mlsd_entry` does, of a line of LIST; the `time` is as that has it."""
    found = re.fullmatch(_LONG, line)
    return found and (found[3], Facts(digits=found[1], time=' '.join(found[2].split())))


def is_minutes_before(time, now):
    """Return whether `time` is clearly before `now`, both from one answer to LIST.

    They are local, and told to the minute without the year, or, half a year ago, to the day.
    What seems to lie up to a day ahead may be ahead.
    """
    present, past = _minute(now), _minute(time)
    if present is None or past is None:
        return present is not None and bool(time) and ':' not in time
    passed = (present - past) % datetime.timedelta(366)
    # Up to a minute is the rest of one.
    return datetime.timedelta(minutes=2) <= passed < datetime.timedelta(365)


def _minute(time):
    """Return the moment in a leap year, which has all days, or None."""
    match = re.fullmatch(_MINUTE, time)
    try:
        numbers = match and (_MONTHS.index(match[1]) + 1, *map(int, match.groups()[1:]))
        return numbers and datetime.datetime(_LEAP_YEAR, *numbers)
    except ValueError:
        return None  # not in English, or none


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
