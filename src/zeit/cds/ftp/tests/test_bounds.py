"""What a server says costs time in proportion to its length, and little memory."""

import contextlib
import itertools
import time
import tracemalloc
import types
import unittest
from unittest import mock

from zeit.cds import errors, names
from zeit.cds.ftp import listings, login, parsing, reply_errors, transfers
from zeit.cds.lock import holder
from zeit.cds.run.import_selection import Selection
from zeit.cds.testing import faults, layers
from zeit.cds.tests.scenario import Scenario, target
from zeit.cds.text import printable
from zeit.cds.values.run_options import ImportOptions


#: What is repeated to make a text over which a search could go again and again.
PIECES = (
    *(':/', ':/:', '://', '/', ':', '@', ' ', '.', ';', '-', '1', '1,', 'a=b;', '\\', '"'),
    *(';1', '.cds0123456789abcdef', '.cds0123456789abcdef-1', 'write.', 'cds0123456789abcdef '),
    *(', since ', 'too many ', 'encrypt', '(|||1', '20260101000000', '\u00e4', '\ufb03', '\u200b'),
)


def _offered(name):
    quiet = types.SimpleNamespace(settled=(), check=lambda name: None)
    selection = Selection(ImportOptions(), spool=None, target=quiet, arrivals=quiet, age=None)
    return selection.is_wanted(name)


def _replied(text):
    parser = parsing.ReplyParser()
    lines = '\r\n'.join(text[at : at + 4000] for at in range(0, len(text), 4000))
    reply = parser.feed(f'211-{lines}\r\n211 \r\n'.encode())
    return reply[0].text if reply else ''


def _parsed(function, code, text):
    with contextlib.suppress(errors.RemoteProtocolError, errors.ServerError):
        return function(parsing.Reply(code, (text,)))


#: What is done with texts of a server, by how it is called.
FUNCTIONS = {
    'printable': printable,
    'is_ours': names.is_ours,
    'token_of': names.token_of,
    'is_broken': names.is_broken,
    'is_guard': names.is_guard,
    'readings': names.readings,
    'said': lambda text: holder.said(text.encode(), since=1),
    'offered': _offered,
    'reply': _replied,
    'crowded': reply_errors._CROWDED.search,
    'demanded': login._TLS_DEMANDED.search,
    'epsv': lambda text: _parsed(parsing.epsv_port, 229, text),
    'pasv': lambda text: _parsed(parsing.pasv_address, 227, text),
    'size': lambda text: _parsed(parsing.size, 213, text),
    'modified': lambda text: _parsed(parsing.modified, 213, text),
    'directory': lambda text: _parsed(parsing.directory, 257, text),
    'time': parsing.time_value,
    'mlsd': lambda text: parsing.mlsd_entry(f'{text} x'),
    'nlst': parsing.nlst_name,
    'lines': lambda text: parsing.Lines().feed(text.encode()),
}


#: Seconds of CPU time that may pass for other reasons.
NOISE = 0.002


class TimeTests(unittest.TestCase):
    layer = layers.QUIET

    def took(self, function, text):
        """Return the CPU time of the fastest of three calls, in seconds; one is enough if quick."""
        best = float('inf')
        for _ in range(3):
            started = time.thread_time()
            function(text)
            best = min(best, time.thread_time() - started)
            if best < NOISE:
                break
        return best

    def test_four_times_the_text_takes_about_four_times_as_long(self):
        for (title, function), piece in itertools.product(FUNCTIONS.items(), PIECES):
            for start, end in (('', ''), ('x', 'x'), (':/', '@')):
                text = piece * (8192 // len(piece))
                long = self.took(function, f'{start}{text * 4}{end}')
                if long < NOISE:
                    continue
                short = self.took(function, f'{start}{text}{end}')
                with self.subTest(title, piece=piece, start=start, end=end):
                    # Sixteen times if each character is looked at for each one; the rest is noise.
                    self.assertLess(long, 8 * short + NOISE)


class MemoryTests(Scenario, unittest.TestCase):
    level = 2

    def peak(self, content, *, method):
        """Return the most memory in bytes that it took to read a listing of this `content`.

        That are pieces of bytes.  Where the listing is refused the error is returned, too.
        """
        session = target(self.server).open()
        self.addCleanup(session.close)
        error = None
        with mock.patch.object(transfers.Transfers, 'pieces', lambda *a, **kw: content):
            tracemalloc.start()
            try:
                found = getattr(session, method)()
                del found
            except errors.ListingTooLong as refused:
                error = refused
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
        return peak, error

    def listing(self, line, *, size):
        """Return `size` bytes of a listing of lines made by `line(number)`, in pieces."""
        lines = b''.join(map(line, range(size // len(line(0)))))
        return [lines[at : at + 65536] for at in range(0, len(lines), 65536)]

    def test_many_names(self):
        listing = self.listing(lambda number: b'; %x\r\n' % number, size=8 << 20)
        peak, error = self.peak(listing, method='files')
        self.assertLess(peak, 64 << 20)
        self.assertIsNotNone(error)

    def test_long_lines(self):
        kinds = {
            'facts': lambda number: b'a=b;' * 900 + b' %x\r\n' % number,
            'values': lambda number: b'size=%s;modify=1; %x\r\n' % (b'9' * 3000, number),
            'long names': lambda number: b'type=file; %04000x\r\n' % number,
            'too long names': lambda number: b'type=file; %x' % number + b'x' * 5000 + b'\r\n',
            'one name': lambda number: b'x' * 4096,
            'one line without a name': lambda number: b'a=b;' * 1024,
            'one and the same': lambda number: b'type=file; x\r\n',
        }
        for kind, line in kinds.items():
            with self.subTest(kind):
                peak, error = self.peak(self.listing(line, size=1 << 20), method='files')
                self.assertLess(peak, 4 << 20)
                self.assertIsNone(error)

    def test_a_large_directory_is_no_error(self):
        line = b'type=file;size=1;modify=20260101000000; %d.xml\r\n'
        peak, error = self.peak((line % n for n in range(100_000)), method='names')
        self.assertIsNone(error)
        self.assertLess(peak, 500 * 100_000)

    def test_it_ends_where_there_are_too_many(self):
        with mock.patch.object(listings, 'MAX_ENTRIES', 3):
            _, error = self.peak((b'; %d\r\n' % n for n in range(4)), method='names')
        self.assertIn('more than 3 entries', error.message)


class ListingTests(Scenario, unittest.TestCase):
    def test_a_name_that_is_too_long_keeps_no_other_away(self):
        line = b'type=file; ' + b'x' * 500_000 + b'\r\n'
        self.fault('MLSD', faults.Alter(extra=line))
        self.plant('read')
        self.assert_run(75, '', self.export('a'))
