"""An SFTP server that lies, babbles, or breaks off: a clear end, nothing outside of the spool."""

import logging
import struct
import unittest

from zeit.cds import errors
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.sftpfaults import (
    Answer,
    Cut,
    SFTPFaultServer,
    Silence,
    number,
    packet,
    text,
)
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.importing import Skipping
from zeit.cds.tests.oversftp import FTP_WORDS, scripted_target
from zeit.cds.tests.sampling import SEED, every


HANDLE, DATA, NAME, ATTRS, REPLY, STATUS, VERSION = 102, 103, 104, 105, 201, 101, 2

TIMEOUTS = 'connect_timeout', 'reply_timeout', 'data_timeout'

#: Seconds for a run here: none of them needs one, unless something never ends.
LONGEST = 60

ORDERLY = {
    errors.DONE, errors.FILES_FAILED, errors.UNAVAILABLE, errors.LOCK_LEFT_BEHIND,
    errors.COME_BACK_LATER, errors.CONFIGURATION,
}  # fmt: skip

FOLDERS = {'tmp', 'new', 'cur', '.cds'}


def always(found):
    """Return an `Answer` of one packet, made by `found(request)`."""
    return Answer(lambda request, reply: found(request))


def entry(name, *, size=5, mode=0o100644, modified=1_700_000_000):
    """Return an entry of a directory, in which the name may be any bytes."""
    times = number(modified) * 2
    return text(name) * 2 + number(0x0D) + number(size, size=8) + number(mode) + times


def listing(*entries):
    """Return what answers a request with these entries."""
    return lambda request: packet(NAME, number(request), number(len(entries)), *entries)


def status(code, words):
    return lambda request: packet(STATUS, number(request), number(code), text(words), text(''))


def data(size):
    return lambda request: packet(DATA, number(request), text(b'x' * size))


def attributes(*fields):
    return lambda request: packet(ATTRS, number(request), *fields)


#: Answers to whatever request: what they are, and how they are made.
SENSELESS = {
    'a packet of 4 GiB': lambda request: b'\xff' * 4 + b'x',
    'a packet of no bytes': lambda request: number(0),
    'a packet that never ends': lambda request: number(1000) + b'x',
    'a packet without a number': lambda request: packet(HANDLE),
    'a kind that nobody knows': lambda request: packet(77, number(request)),
    'another kind than was asked for': lambda request: packet(
        REPLY if request % 2 else VERSION, number(request)
    ),
    'the number of no request': lambda request: packet(STATUS, number(request + 999), number(0)),
    'a status without a code': lambda request: packet(STATUS, number(request)),
    'a handle that is longer than the packet': lambda request: packet(
        HANDLE, number(request), number(0xFFFFFFFF), b'x'
    ),
    'names without end': lambda request: packet(NAME, number(request), number(0xFFFFFFFF)),
    'attributes that are cut off': attributes(number(0x0F), b'x'),
    'attributes of 4 billion extensions': attributes(number(0x80000000), number(0xFFFFFFFF)),
    'two answers': lambda request: status(0, '')(request) * 2,
    'success for everything': status(0, ''),
    'a code that nobody knows': status(0xFFFFFFFF, 'So there.'),
    'a text that is no text': status(4, b'\xff\xfe\x1b[2J\r\n\0' + 'ü'.encode()),
    'a text of 200 kB': status(4, b'x' * 200_000),
    'bytes by chance': lambda request: bytes(range(256)) * 8,
}

#: Further answers: to which requests, what they are, and how they are made.
LIES = (
    ('OPEN', 'a handle of 300 bytes', lambda r: packet(HANDLE, number(r), text(b'h' * 300))),
    ('OPEN', 'a handle of no bytes', lambda r: packet(HANDLE, number(r), text(b''))),
    ('OPEN', 'a handle that it does not know', lambda r: packet(HANDLE, number(r), text(b'?'))),
    ('OPENDIR', 'a handle that it does not know', lambda r: packet(HANDLE, number(r), text(b'?'))),
    ('READDIR', 'the same name again and again', listing(entry(b'a.xml'))),
    ('READDIR', 'nothing, again and again', listing()),
    ('READDIR', 'a directory only', listing(entry(b'a.xml', mode=0o040755))),
    ('READ', 'more than was asked for', data(262_000)),
    ('READ', 'no bytes', data(0)),
    ('READ', 'a file without end', data(32 * 1024)),
    ('READ', 'a byte at a time', data(1)),
    ('READ', 'the end at once', status(1, 'End of file')),
    ('FSTAT LSTAT STAT', 'nothing of a file', attributes(number(0))),
    ('FSTAT LSTAT STAT', 'too long a file', attributes(number(1), b'\xff' * 8)),
    ('FSTAT LSTAT STAT', 'an empty file', attributes(number(1), bytes(8))),
    ('FSTAT', 'another length', attributes(number(1), number(3, size=8))),
    ('LSTAT STAT', 'a directory', attributes(number(4), number(0o040755))),
    ('LSTAT STAT', 'a link', attributes(number(4), number(0o120777))),
    ('LSTAT', 'a time in the year 2106', attributes(
        number(9), number(5, size=8), b'\xff' * 8)),
    ('LSTAT STAT FSTAT', 'owners, extensions, and all that', attributes(
        number(0x8000000F), number(5, size=8), number(0) * 2, number(0o100644), number(0) * 2,
        number(1), text('k'), text('v'))),
    ('INIT', 'no version', lambda r: packet(VERSION)),
    ('INIT', 'version 2', lambda r: packet(VERSION, number(2))),
    ('INIT', 'version 4 billion', lambda r: packet(VERSION, b'\xff' * 4)),
    ('INIT', 'half an extension', lambda r: packet(VERSION, number(3), text('fsync'))),
    ('INIT', 'extensions of other versions', lambda r: packet(
        VERSION, number(3), text('fsync@openssh.com'), text('77'), text('limits@openssh.com'),
        text('x'))),
    ('INIT', 'ten thousand extensions', lambda r: packet(
        VERSION, number(3), *(text(f'e{n}') + text('1') for n in range(10_000)))),
    ('INIT', 'words', lambda r: b'This account is closed.\r\n'),
    ('limits', 'nothing', lambda r: packet(REPLY, number(r))),
    ('limits', 'no bytes at all', lambda r: packet(REPLY, number(r), struct.pack('>4Q', *[1] * 4))),
    ('limits', 'no bounds', lambda r: packet(REPLY, number(r), b'\xff' * 32)),
    ('fsync', 'that it failed', status(4, 'Failure')),
    ('CLOSE', 'that it failed', status(4, 'Failure')),
    ('WRITE', 'that it failed', status(4, 'Failure')),
    ('posix-rename', 'that it failed', status(4, 'Failure')),
    ('REMOVE', 'that it failed', status(4, 'Failure')),
    ('statvfs', 'half of it', lambda r: packet(REPLY, number(r), bytes(20))),
)  # fmt: skip

NAMES = (
    b'../outside.xml', b'/etc/outside.xml', b'sub/dir.xml', b'..', b'.', b'', b'nul\0.xml',
    b'line\nbreak.xml', b'\x1b]0;title\x07.xml', b'\xff\xfe.xml', b'x' * 5000, b'a.xml/',
    b'\xe2\x80\xaegpj.xml', b'..\\outside.xml',
)  # fmt: skip


class HostileCase(unittest.TestCase):
    layer = layers.QUIET
    patience = 1  # seconds, for servers that say nothing

    def setUp(self):
        self.log = self.enterContext(self.assertLogs('zeit.cds', logging.DEBUG))
        logging.getLogger('zeit.cds').debug('So that there is something')
        self.prepare()

    def prepare(self):
        self.folder = in_memory(self)
        self.out, self.letters = (self.spool(name) for name in ('out', 'in'))
        self.out.put('b.xml', b'bytes')
        self.server = SFTPFaultServer(directories=['/cds'])
        self.server.put('/cds/a.xml', b'bytes', modified=1_700_000_000)

    def spool(self, name):
        (self.folder / name).mkdir()
        return Spool(self.folder / name)

    def run_both(self):
        """Export, then import; return the reports."""
        time = Skipping()
        with self.server:
            goal = scripted_target(self.server, **dict.fromkeys(TIMEOUTS, self.patience))
            exporter = Exporter(self.out, goal, wait=lambda seconds: None)
            importer = Importer(self.letters, goal, clock=time.clock, wait=time.wait)
            return [
                exporter.run_once(Options(deadline=LONGEST)),
                importer.run_once(ImportOptions(deadline=LONGEST)),
            ]

    def check(self, reports):
        """Assert what holds whatever a server says."""
        for report in reports:
            self.assertIn(report.exit_code, ORDERLY, report.errors)
            for error in [*report.errors, report.error]:
                if isinstance(error, errors.Error):
                    self.assertIsNot(type(error), errors.DeadlinePassed, error)
                    self.assertTrue(error.message.isprintable(), error.message)
                    self.assertLess(len(error.message), 2000)
                    self.assertNotRegex(f'{error.message} {error.hint}', FTP_WORDS)
        for record in self.log.records:
            self.assertTrue(record.getMessage().isprintable(), record.getMessage())
            self.assertLess(len(record.getMessage()), 2000)
        self.assertEqual({'out', 'in'}, {path.name for path in self.folder.iterdir()})
        for spool in self.out, self.letters:
            found = {path.name for path in spool.path.iterdir()}
            self.assertLessEqual(found, FOLDERS | {'parked', 'withdrawn'})
        here = [path for path in (self.out.path / 'cur').iterdir() if path.name[0] != '.']
        if here:
            self.assertEqual(b'bytes', self.server.files.get('/cds/b.xml', b'bytes'))
        else:
            self.assertTrue((self.out.path / 'new' / 'b.xml').exists())


class AnswerTests(HostileCase):
    level = 2

    def test_senseless_answers_to_each_request(self):
        verbs = ('INIT', 'STAT', 'OPEN', 'WRITE', 'READ', 'OPENDIR', 'READDIR', 'LSTAT', 'FSTAT',
                 'MKDIR', 'RENAME', 'CLOSE')  # fmt: skip
        step = every(6)
        for position, (what, made) in enumerate(SENSELESS.items(), SEED):
            # Each with some of the requests, all of them together.
            for verb in verbs[position % step :: step]:
                with self.subTest(what, verb=verb):
                    self.prepare()
                    self.server.fault(verb, always(made))
                    self.check(self.run_both())

    def test_lies(self):
        for verb, what, made in LIES:
            with self.subTest(what, verb=verb):
                self.prepare()
                self.server.fault(verb, always(made))
                self.check(self.run_both())

    def test_silence(self):
        for verb in 'INIT', 'OPEN', 'WRITE', 'CLOSE', 'OPENDIR', 'RENAME':
            with self.subTest(verb):
                self.prepare()
                self.server.fault(verb, Silence(), times=1)
                self.check(self.run_both())


class NameTests(HostileCase):
    def test_names_that_lead_elsewhere(self):
        for name in NAMES:
            with self.subTest(name):
                self.prepare()
                answered = []

                def found(request, reply, name=name, answered=answered):
                    answered.append(request)
                    own = [entry(name), entry(b'a.xml')]
                    return listing(*own)(request) if len(answered) % 2 else reply

                self.server.fault('READDIR', Answer(found))
                self.server.fault('OPEN', path='*')
                self.check(self.run_both())
                names = {path.name for path in (self.letters.path / 'new').iterdir()}
                self.assertLessEqual(names, {'a.xml', 'b.xml', '..\\outside.xml'})


class CutTests(HostileCase):
    """The connection ends at each request: the next run goes on."""

    level = 2
    patience = 20  # nobody is silent, and the next run has to come through

    def test_cut_at_each_request(self):
        for moment in ('before', 'executed', 'replied'):
            nth = SEED % every(7)
            while True:
                with self.subTest(moment=moment, nth=nth):
                    self.prepare()
                    self.server.fault('*', Cut(moment), nth=nth, times=1)
                    self.check(self.run_both())
                    reached = len(self.server.commands()) > nth
                    self.server.clear_faults()
                    for report in self.run_both():
                        self.assertEqual(0, report.exit_code, report.errors)
                    there = {p: d for p, d in self.server.files.items() if not p.endswith('b.xml')}
                    self.assertEqual({}, there)
                    self.assertEqual(['/cds'], self.server.directories)
                if not reached:
                    break
                nth += every(7)
