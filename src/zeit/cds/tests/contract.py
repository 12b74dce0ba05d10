"""What every target must do, whatever server is behind it: a mixin of tests."""

import datetime
import hashlib
import io
import os
import tempfile
import unicodedata

from zope.interface.verify import verifyObject

from zeit.cds import errors, interfaces
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.system.files import CHUNK
from zeit.cds.target.upload import upload_files
from zeit.cds.testing.memory import NoLedger
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.values.plan import Job, Plan


#: Names as they occur, and names that servers and clients have stumbled over.
NAMES = (
    '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}.xml',
    'with space.xml',
    '-leading-dash',
    '[a]star*.xml',
    'per%41cent',
    'semi;type=a',
    'quote\'quote"',
    '~tilde',
    'Überschrift-é.xml',
    'U\u0308berschrift-e\u0301.xml',  # the same to the eye, another name
    'emoji-🗞.xml',
    'n' * 255,
    'm' * 240,
)


class Source(io.BytesIO):
    """An `ISource` of bytes that can fail at a byte, or claim another size."""

    def __init__(self, content, *, fails_at=None, size=None, changed=False):
        super().__init__(content)
        self.size = len(content) if size is None else size
        self.number = 0
        self.version = (0, 0)
        self.rate = None
        self._fails_at = fails_at
        self._changed = changed

    @property
    def sha256(self):
        return hashlib.sha256(self.getvalue()[: self.tell()]).hexdigest()

    def readinto(self, buffer):
        if self._fails_at is not None:
            if self.tell() >= self._fails_at:
                raise errors.SourceUnreadable('Input/output error')
            buffer = memoryview(buffer)[: self._fails_at - self.tell()]
        return super().readinto(buffer)

    def require_wanted(self):
        """Nobody withdraws it."""

    def verify(self):
        if self._changed:
            raise errors.SourceChanged('It changed')


def job(name, content, **kw):
    return Job(name=name, size=len(content), open=lambda: Source(content, **kw))


class TargetContract:
    """Mixin for a TestCase that has `target`, `contents()` and `plant(name, content)`.

    `contents()` returns a dictionary of all files in the directory, by other means than the target.
    `profile` tells what the server cannot do.
    """

    profile = PROFILES['ordinary']
    #: What a server's final word on an upload begins with.
    confirms = '2'

    def open(self):
        session = self.target.open()
        self.addCleanup(session.close)
        return session

    def run_jobs(self, *jobs, **options):
        plan = Plan(jobs, **options)
        outcomes = []
        for outcome in upload_files(self.open(), plan, ledger=NoLedger()):
            plan.settle(outcome)
            outcomes.append((outcome.job.name, type(outcome.error).__name__))
        return outcomes

    def test_it_provides_the_interfaces(self):
        verifyObject(interfaces.ITarget, self.target)
        verifyObject(interfaces.ISession, self.open())

    def test_a_title_names_no_password(self):
        self.assertNotIn('testpw', self.target.title + repr(self.target) + repr(self.open()))

    def test_names_of_an_empty_directory(self):
        self.assertEqual(set(), self.open().names())

    def test_names_are_files_and_directories(self):
        session = self.open()
        self.plant('a', b'')
        session.make_directory('d')
        self.assertEqual({'a', 'd'}, session.names())

    def test_size(self):
        session = self.open()
        session.store('a', b'12345')
        self.plant('empty', b'')
        self.assertEqual(5, session.size('a'))
        if self.profile.answers.empty_size:
            with self.assertRaises(errors.NotTold):
                session.size('empty')
        else:
            self.assertEqual(0, session.size('empty'))
        self.assertIsNone(session.size('missing'))

    def test_what_is_there_and_what_is_not(self):
        session = self.open()
        session.store('a', b'1')
        session.make_directory('d')
        found = {name: session.exists(name) for name in ('a', 'd', 'missing')}
        self.assertEqual({'a': True, 'd': True, 'missing': False}, found)
        present = session.names()
        self.assertTrue(session.is_shown(present))
        self.assertEqual(self.profile.answers.allows('SIZE'), session.tells_sizes())
        session.rename('a', 'b')
        self.assertTrue(session.is_shown(session.names()))
        self.assertEqual((False, True), (session.exists('a'), session.exists('b')))

    def test_modified_is_a_moment_in_utc(self):
        session = self.open()
        session.store('a', b'1')
        if not self.profile.answers.allows('MDTM'):
            with self.assertRaises(errors.PermanentError):
                session.modified('a')
            return
        age = datetime.datetime.now(datetime.UTC) - session.modified('a')
        self.assertLess(abs(age.total_seconds()), 120)
        if 'MDTM' in self.profile.answers.absent:
            with self.assertRaises(errors.TemporaryError):
                session.modified('missing')
        else:
            self.assertIsNone(session.modified('missing'))

    def test_read(self):
        session = self.open()
        self.plant('a', b'12345')
        self.plant('empty', b'')
        self.assertEqual(b'12345', session.read('a'))
        if self.profile.answers.sends_empty:
            self.assertEqual(b'', session.read('empty'))
        self.assertIsNone(session.read('missing'))

    def test_read_no_more_than_the_limit(self):
        session = self.open()
        self.plant('a', b'x' * 300_000)
        self.assertEqual(b'x' * 10, session.read('a', limit=10))
        self.assertEqual(300_000, session.size('a'))  # works on

    def test_store_and_fetch(self):
        session = self.open()
        session.store('a', b'content')
        session.store('empty', b'')
        self.assertEqual({'a': b'content', 'empty': b''}, self.contents())
        file = io.BytesIO()
        self.assertEqual(7, session.fetch('a', file))
        self.assertEqual(b'content', file.getvalue())

    def test_rename(self):
        session = self.open()
        session.store('a', b'content')
        session.rename('a', 'b')
        self.assertEqual({'b': b'content'}, self.contents())

    def test_rename_what_is_missing(self):
        session = self.open()
        with self.assertRaises(errors.ServerError):
            session.rename('missing', 'b')
        session.store('a', b'works on')
        self.assertEqual({'a': b'works on'}, self.contents())

    def test_of_two_directories_that_get_one_name_one_wins(self):
        session = self.open()
        for name in ('one', 'two'):
            session.make_directory(name)
            session.make_directory(f'{name}/{name}')
        session.rename('one', 'guard')
        if self.profile.merges:
            session.rename('two', 'guard')
            self.assertTrue(session.exists('guard'))
            return
        closes = self.profile.answers.full == 'closes'
        with self.assertRaises(errors.ConnectionLost if closes else errors.ServerError):
            session.rename('two', 'guard')
        session.remove_directory('guard/one')
        session.remove_directory('guard')
        session.remove_directory('two/two')
        session.remove_directory('two')
        self.assertEqual(set(), session.names())

    def test_delete(self):
        session = self.open()
        self.plant('a', b'1')
        session.delete('a')
        self.assertEqual({}, self.contents())
        with self.assertRaises(errors.PermanentError):
            session.delete('a')

    def test_directories(self):
        session = self.open()
        session.make_directory('d')
        if self.profile.answers.existing == 257:
            session.make_directory('d')
        else:
            with self.assertRaises(errors.PermanentError):
                session.make_directory('d')
        session.store('a', b'1')
        self.assertTrue(session.exists('d'))
        session.remove_directory('d')
        with self.assertRaises(errors.PermanentError):
            session.remove_directory('d')

    def test_a_run_delivers_in_order(self):
        outcomes = self.run_jobs(job('b', b'bb'), job('a', b'a'), job('c', b''), strict=True)
        self.assertEqual([('b', 'NoneType'), ('a', 'NoneType'), ('c', 'NoneType')], outcomes)
        self.assertEqual({'a': b'a', 'b': b'bb', 'c': b''}, self.contents())

    def test_the_source_is_open_when_its_outcome_comes_and_closed_after(self):
        sources = []
        for outcome in upload_files(
            self.open(), Plan([job('a', b'1'), job('b', b'2')]), ledger=NoLedger()
        ):
            self.assertFalse(outcome.source.closed)
            self.assertTrue(all(source.closed for source in sources))
            sources.append(outcome.source)
        self.assertTrue(all(source.closed for source in sources))

    def test_the_final_reply_is_kept(self):
        (outcome,) = upload_files(self.open(), Plan([job('a', b'1')]), ledger=NoLedger())
        self.assertEqual(self.confirms, outcome.reply[: len(self.confirms)])

    def test_sizes_around_the_chunk(self):
        sizes = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17)
        self.run_jobs(*(job(f'size-{size}', os.urandom(size)) for size in sizes))
        lengths = {name: len(content) for name, content in self.contents().items()}
        self.assertEqual({f'size-{size}': size for size in sizes}, lengths)

    def test_every_byte_arrives_as_it_is(self):
        content = bytes(range(256)) * 40 + b'\r\n\n\r\xff\xf4\xff\xf2'
        self.run_jobs(job('a', content))
        self.assertEqual({'a': content}, self.contents())

    def test_an_existing_file_is_replaced(self):
        self.plant('a', b'the old one, which is longer')
        self.assertEqual([('a', 'NoneType')], self.run_jobs(job('a', b'new')))
        self.assertEqual({'a': b'new'}, self.contents())

    def test_names_arrive_exactly_or_not_at_all(self):
        # What the server would store under another name is not sent to it.
        names = {name for name in NAMES if self.profile.keeps(name)}
        # Not at once what is one name to some servers: they would mix up the two files.
        twins = {name for name in names if unicodedata.normalize('NFC', name) != name}
        outcomes = []
        for together in (names - twins, twins):
            outcomes += self.run_jobs(*(job(name, name.encode()) for name in sorted(together)))
        delivered = {name: name.encode() for name, error in outcomes if error == 'NoneType'}
        self.assertEqual(delivered, self.contents())
        self.assertEqual(names - set(self.refused_names), set(delivered), outcomes)

    refused_names = ()

    def test_many_files_however_many_connections(self):
        files = {f'file-{n}': b'x' * (n % 7) for n in range(25)}
        # A file may need two attempts: sessions of vsftpd die when they choose the same data port
        # at the same moment ("500 OOPS: vsf_sysutil_bind").
        outcomes = self.run_jobs(*(job(name, data) for name, data in files.items()))
        self.assertEqual(set(files), {name for name, error in outcomes if error == 'NoneType'})
        self.assertEqual(files, self.contents())

    def test_a_source_that_cannot_be_opened(self):
        def refuse():
            raise errors.SourceGone('gone')

        outcomes = self.run_jobs(Job(name='a', size=1, open=refuse), job('b', b'2'))
        self.assertEqual([('a', 'SourceGone'), ('b', 'NoneType')], outcomes)
        self.assertEqual({'b': b'2'}, self.contents())

    def test_a_source_that_cannot_be_read_to_its_end(self):
        for fails_at in (0, 1, CHUNK + 5):
            outcomes = self.run_jobs(
                job('a', b'x' * (2 * CHUNK), fails_at=fails_at), job('b', b'2')
            )
            self.assertEqual([('a', 'SourceUnreadable'), ('b', 'NoneType')], outcomes)
            self.assertEqual({'b': b'2'}, self.contents())

    def test_a_source_that_is_not_as_long_as_it_said(self):
        outcomes = self.run_jobs(job('a', b'123', size=4), job('b', b'123', size=2))
        self.assertEqual([('a', 'SizeMismatch'), ('b', 'SizeMismatch')], outcomes)
        self.assertEqual({}, self.contents())

    def test_a_source_that_changed_is_not_delivered(self):
        self.assertEqual([('a', 'SourceChanged')], self.run_jobs(job('a', b'1', changed=True)))
        self.assertEqual({}, self.contents())

    def test_leaving_a_run_early_leaves_nothing_behind(self):
        outcomes = upload_files(
            self.open(), Plan([job('a', b'1'), job('b', b'2')]), ledger=NoLedger()
        )
        next(outcomes)
        outcomes.close()
        self.assertEqual({'a': b'1'}, self.contents())

    def test_it_works_on_after_a_reconnect(self):
        session = self.open()
        session.store('a', b'1')
        session.reconnect()
        self.assertEqual({'a'}, session.names())

    def test_an_export(self):
        with tempfile.TemporaryDirectory() as directory:
            spool = Spool(directory)
            spool.put('a-file', b'This is the A file')
            spool.put('b-file', b'This is the B file')
            report = Exporter(spool, self.target).run_once()
            self.assertEqual((0, ['a-file', 'b-file']), (report.exit_code, report.delivered))
            self.assertEqual(
                {'a-file': b'This is the A file', 'b-file': b'This is the B file'},
                self.contents(),
            )
            self.assertEqual(([], []), spool.pending())
            self.assertEqual(['a-file', 'b-file'], sorted(os.listdir(spool.path / 'cur')))

    def test_an_export_stops_at_either_lock(self):
        for lock in ('write', 'read'):
            with self.subTest(lock), tempfile.TemporaryDirectory() as directory:
                self.plant(lock, b'partner')
                spool = Spool(directory)
                spool.put('a', b'1')
                report = Exporter(spool, self.target).run_once()
                self.assertEqual(75, report.exit_code)
                self.assertEqual({lock: b'partner'}, self.contents())
                session = self.open()
                session.delete(lock)
