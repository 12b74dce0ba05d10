"""What is in a directory: MLSD (RFC 3659 section 7), or NLST (RFC 959 section 4.1.3)."""

import contextlib
import itertools
import logging

from zeit.cds.errors import (
    CONFIGURATION,
    FILES_FAILED,
    LOST,
    UNAVAILABLE,
    PermanentError,
    RemoteProtocolError,
    ServerError,
)
from zeit.cds.ftp import wire
from zeit.cds.ftp.transfers import TransferConnection
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: Largest listing that is read, in bytes: some 300,000 names of 200 bytes.
MAX_LISTING = 64 * 1024 * 1024

#: The command is not implemented (RFC 959 section 4.2), not: it was refused in this case.
UNKNOWN = (500, 501, 502, 504, 522)

#: So many bytes of commands are sent at once: what fits into one packet.
PACKET = 1400


class ListingConnection(TransferConnection):
    """A `TransferConnection` that can look into directories."""

    def list_names(self, *, inside=''):
        """Return the set of names in the directory, or in the one `inside` of it.

        MLSD, or NLST where that is not known; never with an argument, which servers take for a
        pattern or an option.  After CWD has succeeded, 450 and 550 say that it is empty.
        """
        if not inside:
            return self._names()
        self.command('CWD', inside)
        try:
            found = self._names()
            self.command('CDUP')
            return found
        except BaseException:
            self.drop()  # rather a new connection than one in the wrong directory
            raise

    def look(self, name, *, more=False):
        """Return (size, modified) of a file: `size` and `modified` in one packet.

        `modified` is None also where the server does not tell it.  `more` says that another
        transfer follows: its port is asked for, too.
        """
        if not self.ways.together:
            return self.size(name), self._time(lambda: self.modified(name))
        self._say(('SIZE', name), ('MDTM', name), port=more, way='together')
        try:
            size = self._answer_and_port(port=more)
            if self._channel.broken:
                size.check()
            modified = self._answer(until=self._along())
            return self._size(size), self._time(lambda: self._modified(modified))
        except LOST as error:
            self.ways.give_up('together', error=error)
            raise

    def _time(self, function):
        try:
            return function()
        except (ServerError, RemoteProtocolError) as error:
            if not self.usable:
                raise
            log.debug('The server tells no time: %s', printable(error.message))
            return None

    def list_facts(self):
        """See `ISession.facts`."""
        return {fact.name: (fact.size, fact.modified) for fact in self._list()}

    def _names(self):
        return {fact.name for fact in self._list()}

    def _list(self):
        """Return what is in the directory: a list of `wire.Fact`."""
        facts = self._machine_listing()
        if facts is None:
            names = {line.rpartition('/')[2] for line in self._listing('NLST')}
            facts = [wire.Fact(name, {}) for name in names - {'', '.', '..'}]
        return facts

    def list_files(self, *, wanted=None, most=None):
        """See `ISession.files`."""
        facts = self._machine_listing()
        if facts is None:
            directory = self._settings.directory
            lines = self._listing('NLST')
            names = {wire.nlst_name(line, directory=directory) for line in lines}
            found = dict.fromkeys(names - {'', '.', '..'}, (None, None))
            return self._with_facts(found, wanted=wanted, most=most) if wanted else found
        files = [fact for fact in facts if not fact.type.endswith('dir')]
        return {fact.name: (fact.size, fact.modified) for fact in files}

    def _with_facts(self, found, *, wanted, most):
        """Return `found` with the facts of what is wanted, and without what turns out no file."""
        for names in _packets(itertools.islice(filter(wanted, sorted(found)), most)):
            if self.ways.together:
                for name, fact in self._facts_of(names):
                    if fact is None:
                        del found[name]
                    else:
                        found[name] = fact
        return found

    def _facts_of(self, names):
        """Yield (name, (size, modified)) or (name, None) for those that the server tells about."""
        try:
            self._send(*((verb, name) for name in names for verb in ('SIZE', 'MDTM')))
            answers = [self._answer()]
            while len(answers) < 2 * len(names):
                answers.append(self._answer(until=self._along()))
            for name, size, modified in zip(names, answers[::2], answers[1::2], strict=True):
                with contextlib.suppress(ServerError, RemoteProtocolError):
                    length = self._size(size)
                    time = self._time(lambda answer=modified: self._modified(answer))
                    yield name, None if length is None else (length, time)
        except LOST as error:
            self.ways.give_up('together', error=error)
            raise

    def _machine_listing(self):
        """Return the `wire.Fact`s of MLSD, or None if the server does not know it."""
        if not self.ways.mlsd:
            return None
        try:
            lines = self._listing('MLSD')
        except PermanentError as error:
            if error.code not in UNKNOWN:
                raise
            self.ways.mlsd = False
            return None
        facts = (wire.mlsd_entry(line) for line in lines)
        return [fact for fact in facts if fact and fact.type not in ('cdir', 'pdir')]

    def _listing(self, verb):
        """Return the lines of a listing."""
        encoding = self._settings.encoding
        try:
            content = self._content(verb)
        except ServerError as error:
            _advise(error)
            raise
        if not wire.is_in(encoding, content) and self.use_utf8():
            content = self._content(verb)
        return wire.listing(content, encoding=encoding)

    def _content(self, verb):
        data = self._open_data(verb, absent=(450, 550))
        if data is None:
            return b''
        content = bytearray()
        try:
            with data:
                for chunk in self._pieces(data, doing='reading the directory'):
                    content += chunk
                    if len(content) > MAX_LISTING:
                        raise RemoteProtocolError('The directory listing has no end')
            self._final()
            if data.truncated:
                # There is no size to compare; locks are looked for by their names as well.
                log.debug('The server did not end TLS behind the listing')
        except BaseException:
            self.drop()
            raise
        return bytes(content)


def _advise(error):
    """A refusal of a listing concerns no file, but the run; say so."""
    if error.exit_code == FILES_FAILED:
        error.exit_code = UNAVAILABLE if error.transient else CONFIGURATION
    if not error.hint:
        error.advise(
            'The server does not list the directory, so nobody can see what is in it, not even a '
            'lock. Ask its operator.'
        )


def _packets(names):
    """Yield lists of names about which can be asked in one packet."""
    packet, room = [], PACKET
    for name in names:
        # Two commands, each of them a verb, a blank and a line end more than the name.
        needed = 2 * (len(name.encode('utf-8', 'surrogateescape')) + 7)
        if packet and needed > room:
            yield packet
            packet, room = [], PACKET
        packet.append(name)
        room -= needed
    if packet:
        yield packet
