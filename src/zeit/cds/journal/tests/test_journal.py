"""What a spool remembers: across runs, rotations, kills, copies and full disks."""

import contextlib
import datetime
import errno
import os
import pathlib
import shutil
import subprocess
import tempfile
import types
import unittest
import unittest.mock
import weakref

from zeit.cds import errors
from zeit.cds.journal import append_log, kinds, line_format
from zeit.cds.journal.journal import TOKENS, Journal
from zeit.cds.run.exporter import Exporter
from zeit.cds.run.failures import Failures
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.remembered import receipts


UPLOAD = {
    'target': 'ftp://one/',
    'name': 'a',
    'temporary': 'a.part',
    'size': 1,
    'sha256': 'f' * 64,
    'reply': '226 Stored.',
}
RECEIPT = {key: UPLOAD[key] for key in ('target', 'name', 'size', 'sha256', 'reply')}

ABOUT = b'"at": "2026-11-01T00:00:00.000+00:00", "target": "ftp://one/", "name": "a"'

#: Lines that are JSON, and no entries.
WRONG = (
    b'[' * 200000,
    b'{"kind": ["x"], "name": {"a": 1}}',
    b'{"kind": "put", "name": "q", "version": 5, "sequence": 90}',
    b'{"kind": "put", "name": 7, "version": [1, 2, 3], "sequence": 90}',
    b'{"kind": "put", "name": "q", "version": [[1], 2, 3], "sequence": 90}',
    b'{"kind": "put", "name": "q", "version": [1, 2, 3], "sequence": "9"}',
    b'{"kind": "put", "name": "q", "version": [1, 2, 3], "sequence": -5}',
    b'{"kind": "put", "name": "q", "version": [1, 2, 3], "sequence": 1e300}',
    b'{"kind": "put", "name": "q", "version": [1, 2, 3], "sequence": 9, "content": []}',
    b'{"kind": "uploaded", %s, "temporary": 5, "size": 1, "sha256": "", "reply": ""}' % ABOUT,
    b'{"kind": "uploaded", %s, "temporary": "", "size": "x", "sha256": "", "reply": ""}' % ABOUT,
    b'{"kind": "failed", %s, "version": 1, "number": 1, "since": ""}' % ABOUT,
    b'{"kind": "failed", %s, "version": [1], "number": 1, "since": 3}' % ABOUT,
    b'{"kind": "missed", %s, "version": null, "taken": "x"}' % ABOUT,
    b'{"kind": "missed", %s, "version": null, "blocks": []}' % ABOUT,
    b'{"kind": "token", "token": 5, "target": "ftp://one/"}',
    b'{"kind": "token", "token": "zz", "target": null}',
    b'{"kind": "learned", "target": "ftp://one/", "known": {}}',
    b'{"kind": "learned", %s, "known": 5}' % ABOUT,
    b'{"kind": "learned", %s, "known": {"facts": {}}}' % ABOUT,
    b'{"kind": "learned", %s, "known": {"server": "", "once": [], "facts": {"x": 5}}}' % ABOUT,
    b'{"kind": "rights", "target": "ftp://one/", "known": []}',
    b'{"kind": "rights", "target": "ftp://one/", "known": true, "why": 5}',
    b'{"kind": "ended", "runs": {}, "kinds": {}}',
    b'{"kind": "ended", "runs": {"0": "x"}, "kinds": {}, "last": {"ended": 1, "seconds": 1, '
    b'"exit_code": 0}, "success": 0, "locked": null, "seconds": 1}',
    b'{"kind": "ended", "runs": {"0": 1}, "kinds": {"delivered": 5}, "last": {"ended": 1, '
    b'"seconds": 1, "exit_code": 0}, "success": 0, "locked": null, "seconds": 1}',
    b'{"kind": "ended", "runs": {"0": 1}, "kinds": {}, "last": {"ended": 1e300, "seconds": 1, '
    b'"exit_code": 0}, "success": 0, "locked": null, "seconds": 1}',
    b'{"kind": "unpublished", "id": 5, "reason": "", "attempts": 1, "since": 5, "last": 5}',
    b'{"kind": "unpublished", "id": "", "reason": "", "attempts": 1, "since": NaN, "last": 5}',
    b'{"kind": "damaged", "lines": "x"}',
    b'{"kind": "disowned", "why": 5, "entry": {"kind": "clean", "token": "", "target": ""}}',
    b'{"kind": "disowned", "why": "", "entry": {"kind": "token", "token": "", "target": 5}}',
    b'{"kind": "disowned", "why": "", "entry": 5}',
    b'{"kind": "aside", %s, "aside": 5}' % ABOUT,
    b'{"kind": "exposed", %s, "size": [], "before": null}' % ABOUT,
    b'{"kind": "exposed", %s, "size": 1, "before": []}' % ABOUT,
    b'{"kind": "fetched", %s, "temporary": "", "size": 1, "sha256": "", "modified": 5, '
    b'"filed_as": ""}' % ABOUT,
    b'{"kind": "delivered", "at": "x", "size": 1}',
    b'{"kind": "delivered", %s, "size": "many"}' % ABOUT,
    b'{"kind": "imported", "target": "ftp://one/", "name": "x", "at": 5}',
    b'{"kind": "totals", "delivered": "x"}',
    b'{"kind": "totals", "failed": -1}',
    b'{"kind": "totals", "newest": [1, 2, 3]}',
)


def refused(journal, name, *version):
    """Count a refusal of this version; return how many there are."""
    entry = types.SimpleNamespace(name=name, version=version)
    return Failures(journal, url='ftp://one/').count(entry, '553 No.')


def damage(state):
    """Damage the third line of a journal."""
    lines = state.read_bytes().splitlines(keepends=True)
    lines[2] = b'#' + lines[2][1:]
    with open(state, 'r+b') as file:
        file.write(b''.join(lines))


class Killed(BaseException):
    """The process ends here."""


class JournalTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.directory = self.path / 'journal'
        self.directory.mkdir()

    def journal(self, **kw):
        return Journal(self.directory, **kw)

    def test_what_it_knows_goes_at_once(self):
        """Not when garbage is collected: a process that makes runs all day would grow."""
        with self.journal() as journal:
            journal.note('uploaded', **UPLOAD)
        self.assertEqual([], journal.find('uploads'))
        alive = weakref.ref(journal)
        del journal
        self.assertIsNone(alive())

    def fill(self):
        """Write something of everything; return what must be known later."""
        with self.journal() as journal:
            journal.note('clean', token=journal.new_token('ftp://one/'))
            journal.new_token('ftp://one/')
            journal.new_token('ftp://two/')
            journal.note('uploaded', **UPLOAD)
            journal.note('uploaded', **{**UPLOAD, 'name': 'done'})
            journal.receipt('delivered', dict(**{**RECEIPT, 'name': 'done'}, filed_as='done'))
            journal.note('uploaded', **{**UPLOAD, 'name': 'broken'})
            journal.note('abandoned', target='ftp://one/', name='broken')
            journal.note('aside', target='ftp://one/', name='a', aside='a.aside')
            journal.note('aside', target='ftp://one/', name='b', aside='b.aside')
            journal.note('tidied', target='ftp://one/', name='b')
            for _ in range(3):
                refused(journal, 'poison', 1, 2, 3)
            refused(journal, 'once', 1, 2, 3)
            return self.known(journal)

    def known(self, journal):
        """Return all that a journal knows, without counting a failure in it."""
        targets = 'ftp://one/', 'ftp://two/', 'ftp://three/'
        return {
            target: (
                {row['token'] for row in journal.find('tokens', target=target)},
                journal.open_tokens(target),
                journal.at(target).rows('uploads'),
                journal.at(target).rows('asides'),
            )
            for target in targets
        } | {'failures': journal.find('failed')}


class MemoryTests(JournalTests):
    def test_the_next_run_knows_the_same(self):
        known = self.fill()
        with self.journal() as journal:
            self.assertEqual(known, self.known(journal))
        tokens, open_tokens, uploads, asides = known['ftp://one/']
        self.assertEqual((2, 1), (len(tokens), len(open_tokens)))
        self.assertEqual((['a'], ['a']), ([*uploads], [*asides]))
        self.assertEqual((set(), [], {}, {}), known['ftp://three/'])

    def test_a_token_is_on_the_disk_before_it_is_known(self):
        with self.journal() as journal:
            token = journal.new_token('ftp://one/')
            with self.journal() as reader:
                self.assertEqual([token], reader.open_tokens('ftp://one/'))

    def test_clean_tokens_are_still_ours(self):
        with self.journal() as journal:
            token = journal.new_token('ftp://one/')
            journal.note('clean', token=token)
            self.assertEqual([token], [row['token'] for row in journal.find('tokens')])

    def test_failures_count_if_they_are_a_minute_apart(self):
        now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        moments, counts = (0, 1, 59, 60, 61, 119, 121, 50), []
        for passed in moments:
            moment = now + datetime.timedelta(seconds=passed)
            with unittest.mock.patch('zeit.cds.journal.append_log.datetime') as clock:
                clock.datetime.now.return_value = moment
                with self.journal() as journal:
                    journal.compact()
                    counts.append(refused(journal, 'a', 1))
        # The last one: the clock was set back.
        self.assertEqual([1, 1, 1, 2, 2, 2, 3, 4], counts)

    @unittest.mock.patch('zeit.cds.run.failures.APART', 0)
    def test_failures_count_for_one_version(self):
        with self.journal() as journal:
            for number in (1, 2):
                count = refused(journal, 'a', 1, 2, 3)
                self.assertEqual(number, count)
            self.assertEqual(1, refused(journal, 'a', 1, 2, 4))
        with self.journal() as journal:
            self.assertEqual(2, refused(journal, 'a', 1, 2, 4))
            journal.note('resent', name='a')
            self.assertEqual(1, refused(journal, 'a', 1, 2, 4))

    def test_names_that_are_no_text(self):
        name = os.fsdecode(b'caf\xe9\n')
        with self.journal() as journal:
            journal.note('uploaded', **{**UPLOAD, 'name': name})
            journal.note('aside', target='ftp://one/', name=name, aside='x')
        with self.journal() as journal:
            self.assertEqual([name], [*journal.at('ftp://one/').rows('uploads')])
            journal.receipt('delivered', dict(**{**RECEIPT, 'name': name}, filed_as=name))
        ((receipt),) = receipts(self.directory, name)
        self.assertEqual(name, receipt['filed_as'])

    def test_entries_that_make_no_sense_are_left_out(self):
        known = self.fill()
        with open(self.directory / 'journal' / 'state.jsonl', 'ab') as file:
            for line in (
                b'{"kind": "token"}',
                b'{"kind": "uploaded", "target": "ftp://one/", "name": "half"}',
                b'{"kind": "uploaded", "target": [], "name": []}',
                b'{"kind": "failed", "name": "once"}',
                b'{"kind": "from the future", "name": "a"}',
                b'{"kind": null}',
                b'{}',
            ):
                file.write(line + b'\n')
        with self.assertLogs('zeit.cds.journal', 'WARNING') as logs:
            with self.journal() as journal:
                self.assertEqual(known, self.known(journal))
        self.assertEqual(7, len(logs.output))
        with self.journal() as journal:
            self.assertEqual(7, journal.row('damage')['lines'])

    def test_lines_that_are_json_of_other_types_are_damage(self):
        known = self.fill()
        for number, line in enumerate(WRONG, 1):
            with open(self.directory / 'journal' / 'state.jsonl', 'ab') as file:
                file.write(line + b'\n')
            with self.assertLogs('zeit.cds', 'WARNING'), self.journal() as journal:
                self.assertEqual(known, self.known(journal), line[:200])
                self.assertEqual(number, journal.row('damage')['lines'], line[:200])

    def test_what_a_kind_needs_has_a_type(self):
        for name, kind in kinds.KINDS.items():
            self.assertEqual(set(), {*kind.needs} - {*kind.types, *kinds.TYPES}, name)
        for name, key in kinds.TABLES.items():
            self.assertEqual(set(), {*key} - {*kinds.TYPES}, name)


class RotationTests(JournalTests):
    def test_nothing_that_matters_later_is_forgotten(self):
        known = self.fill()
        for _ in range(3):
            with self.journal() as journal:
                self.assertEqual(known, self.known(journal))
                journal.compact()
                self.assertEqual(known, self.known(journal))
        with self.journal() as journal:
            self.assertEqual(known, self.known(journal))
        self.assertEqual(['state.jsonl'], os.listdir(self.directory / 'journal'))

    def test_clean_tokens_are_carried_up_to_a_number_open_ones_all(self):
        with self.journal() as journal:
            with unittest.mock.patch('os.fsync'):
                first = journal.new_token('ftp://one/')
                for _ in range(TOKENS + 10):
                    last = journal.new_token('ftp://one/')
                    journal.note('clean', token=last)
        with self.journal() as journal:
            journal.compact()
        with self.journal() as journal:
            tokens = {row['token'] for row in journal.find('tokens')}
            self.assertEqual([first], journal.open_tokens('ftp://one/'))
            self.assertEqual(TOKENS + 1, len(tokens))
            self.assertLessEqual({first, last}, tokens)

    def test_killed_before_every_call_of_a_rotation(self):
        for nth in range(40):
            shutil.rmtree(self.directory)
            self.directory.mkdir()
            known, calls = self.fill(), []
            with contextlib.ExitStack() as stack:
                for name in ('rename', 'replace', 'fsync', 'write', 'open', 'fchmod'):
                    real = getattr(os, name)

                    def killed(*args, name=name, real=real, calls=calls, nth=nth, **kw):
                        calls.append(name)
                        if len(calls) > nth:
                            raise Killed
                        return real(*args, **kw)

                    stack.enter_context(unittest.mock.patch.object(os, name, killed))
                stack.enter_context(contextlib.suppress(Killed))
                with self.journal() as journal:
                    journal.compact()
            with self.journal() as journal:
                self.assertEqual(known, self.known(journal), (nth, calls))
            self.assertEqual(1, len([*receipts(self.directory, 'done')]), (nth, calls))
            if len(calls) <= nth:
                break
        self.assertGreater(nth, 6)


class DamageTests(JournalTests):
    """That a line could not be read is known until a person has acknowledged it."""

    def setUp(self):
        super().setUp()
        with self.journal() as journal:
            for _ in range(3):
                journal.new_token('ftp://one/')
        damage(self.directory / 'journal' / 'state.jsonl')

    def test_a_run_that_is_killed_when_it_has_left_it_out(self):
        real = Journal.compact

        def killed(journal):
            real(journal)
            raise Killed

        with unittest.mock.patch.object(Journal, 'compact', killed):
            with self.assertLogs('zeit.cds'), self.assertRaises(Killed), self.journal():
                pass
        with self.journal() as journal:
            self.assertEqual(1, journal.row('damage')['lines'])

    def test_a_copy(self):
        with self.assertLogs('zeit.cds'), self.journal():
            pass
        copy = self.path / 'copy'
        subprocess.run(['cp', '-a', self.directory, copy], check=True, timeout=30)
        with self.assertLogs('zeit.cds'), Journal(copy) as journal:
            self.assertTrue(journal.is_copy)
            self.assertEqual(1, journal.row('damage')['lines'])


class SpoolTests(JournalTests):
    """The journal in its spool."""

    def setUp(self):
        super().setUp()
        self.spool_path = self.path / 'spool'
        self.spool_path.mkdir()
        self.spool = Spool(self.spool_path)
        self.calls = []
        self.target = MemoryTarget(hook=lambda *call: self.calls.append(call))

    def export(self, spool=None):
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            report = Exporter(spool or self.spool, self.target).run_once()
        self.log = '\n'.join(record.getMessage() for record in logs.records)
        return report

    def orphan(self):
        """Leave a lock on the server, as a killed run; return the token."""
        with self.spool.run():
            token = self.spool.journal.new_token(self.target.url)
        self.target.write('write', f'{token} zeit.cds, host here'.encode())
        return token

    def test_a_copied_spool_adopts_nothing(self):
        token = self.orphan()
        copy = self.path / 'copy'
        subprocess.run(['cp', '-a', self.spool_path, copy], check=True, timeout=30)
        for _ in range(2):
            with (
                self.assertLogs('zeit.cds.journal', 'WARNING') as logs,
                Spool(copy).run() as spool,
            ):
                self.assertEqual([], spool.journal.find('tokens'))
                self.assertEqual([], spool.journal.open_tokens(self.target.url))
            (line,) = logs.output
            self.assertIn('This spool was copied or restored: what it left on memory:', line)
            self.assertIn(f'zeit-cds adopt --spool {copy}', line)
        Spool(copy).put('a', b'1')
        self.assertEqual(75, self.export(Spool(copy)).exit_code)
        self.assertTrue(self.target.files['write'].startswith(token.encode()))
        # The original still knows its own.
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({}, self.target.files)

    def test_a_spool_that_was_moved_keeps_its_own(self):
        token = self.orphan()
        moved = self.path / 'moved'
        subprocess.run(['mv', self.spool_path, moved], check=True, timeout=30)
        with Spool(moved).run() as spool:
            self.assertEqual([token], spool.journal.open_tokens(self.target.url))
        self.assertEqual(0, self.export(Spool(moved)).exit_code)
        self.assertEqual({}, self.target.files)

    def test_a_spool_that_was_restored_adopts_nothing(self):
        self.orphan()
        backup = self.path / 'backup.tar'
        subprocess.run(['tar', '-cf', backup, '-C', self.path, 'spool'], check=True, timeout=30)
        # Not removed: its inodes, of the directory and of the journal, might be used again.
        self.spool_path.rename(self.path / 'lost')
        subprocess.run(['tar', '-xf', backup, '-C', self.path], check=True, timeout=30)
        self.spool.put('a', b'1')
        self.assertEqual(75, self.export().exit_code)

    def restored(self):
        """Let the spool be another one with the same content."""
        self.spool_path.rename(self.path / 'lost')
        subprocess.run(
            ['cp', '-a', self.path / 'lost', self.spool_path], check=True, timeout=30
        )

    def test_a_person_decides_about_a_restored_spool(self):
        for forget in (False, True):
            with self.subTest(forget=forget):
                self.setUp()
                token = self.orphan()
                self.restored()
                self.spool.put('a', b'1')
                self.assertEqual(75, self.export().exit_code)
                self.assertEqual([self.target.url], self.spool.adopt(forget=forget))
                self.assertEqual([], self.spool.adopt())
                with self.assertNoLogs('zeit.cds.journal', 'WARNING'):
                    self.assertEqual(75 if forget else 0, self.export().exit_code)
                self.assertEqual([] if not forget else [token], self.locks())

    def locks(self):
        return [data.decode().split()[0] for n, data in self.target.files.items() if n == 'write']

    def test_nothing_is_adopted_where_nothing_tells_whether_it_is_a_copy(self):
        with unittest.mock.patch('zeit.cds.journal.creation_time.born', return_value=None):
            self.orphan()
            self.restored()
            self.spool.put('a', b'1')
            with self.assertLogs('zeit.cds.journal', 'WARNING') as logs:
                self.assertEqual(75, Exporter(self.spool, self.target).run_once().exit_code)
            self.assertIn('not known whether this spool was copied', logs.output[0])
            self.spool.adopt()
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual(['a'], [*self.target.files])

    def test_a_copy_of_what_has_left_nothing_says_so_once(self):
        self.spool.put('a', b'1')
        self.export()
        self.restored()
        with self.assertLogs('zeit.cds.journal', 'WARNING') as logs, self.spool.run():
            pass
        self.assertIn('it knows of nothing left on a server', logs.output[0])
        with self.assertNoLogs('zeit.cds.journal', 'WARNING'), self.spool.run():
            pass
        self.assertEqual(1, len([*receipts(self.spool_path / '.cds')]))

    def test_what_was_delivered_since_is_not_undone_by_adopting_it(self):
        """An old version stood aside, or what stood there was noted before a part was sent."""
        url = self.target.url
        with self.spool.run():
            token = self.spool.journal.new_token(url)
            aside = f'a.{token}.aside'
            self.spool.journal.note('aside', target=url, name='a', aside=aside)
            self.spool.journal.note('aside', target=url, name='c', aside=f'c.{token}.aside')
            self.spool.journal.note('exposed', target=url, name='b', size=9, before=[1, 'x'])
        for name in 'ac':
            self.target.write(f'{name}.{token}.aside', b'old')
        self.restored()
        for name in 'ab':
            self.spool.put(name, b'new')
        self.assertEqual(0, self.export().exit_code)
        del self.target.files['a']  # the partner takes it
        self.spool.adopt()
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'b': b'new', 'c': b'old'}, self.target.files)

    def test_a_copy_of_a_copy_and_a_new_file_keep_what_is_to_be_decided(self):
        self.orphan()
        for number in range(2):
            self.restored()
            (self.path / 'lost').rename(self.path / f'lost.{number}')
            with self.spool.run():
                pass
        with Journal(self.spool_path / '.cds') as journal:
            journal.compact()
        self.assertEqual([self.target.url], self.spool.adopt())
        self.export()
        self.assertEqual([], self.locks())

    def test_the_numbers_of_a_copy_are_above_all_that_is_known(self):
        for name in 'ab':
            self.spool.put(name, b'1')
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'No.')
        self.restored()
        self.spool.put('a', b'2')
        self.export()
        with self.spool.run(), self.assertRaisesRegex(errors.FileError, 'a newer a was delivered'):
            self.spool.retry('a')

    def test_a_journal_that_cannot_be_written_sends_nothing(self):
        """Whichever write it is: before the token is durable the server is only looked at."""
        self.spool.put('a', b'1')
        self.assertEqual(0, self.export().exit_code)  # the journal is there
        for number in (errno.ENOSPC, errno.EIO):
            for call in ('write', 'fsync'):
                self.spool.put('a', b'2')
                self.calls.clear()
                refused = OSError(number, os.strerror(number))
                with unittest.mock.patch.object(append_log.os, call, self.refuse(call, refused)):
                    report = self.export()
                self.assertEqual(78, report.exit_code)
                self.assertIn(f'cannot be used: {refused.strerror}', str(report.error))
                self.assertEqual(
                    set(), {name for name, _ in self.calls} - {'open', 'names', 'size', 'read'}
                )
                self.assertEqual(b'1', self.target.files['a'])
                self.assertEqual(['a'], os.listdir(self.spool_path / 'new'))
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'a': b'2'}, self.target.files)

    def test_a_disk_that_has_room_for_lines_and_not_for_another_journal(self):
        self.spool.put('a', b'1')
        self.assertEqual(0, self.export().exit_code)
        real = line_format._write
        for number, exit_code, there in ((errno.ENOSPC, 0, b'2'), (errno.EIO, 78, b'2')):

            def refusing(descriptor, data, *, number=number):
                if '/.draft-' in os.readlink(f'/proc/self/fd/{descriptor}'):
                    raise OSError(number, os.strerror(number))
                real(descriptor, data)

            self.spool.put('a', b'%d' % (2 + exit_code))
            with (
                unittest.mock.patch.object(append_log.JSONLog, 'is_full', True),
                unittest.mock.patch('zeit.cds.journal.line_format._write', refusing),
            ):
                self.assertEqual(exit_code, self.export().exit_code)
            self.assertEqual({'a': there}, self.target.files)
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(['state.jsonl'], os.listdir(self.spool_path / '.cds' / 'journal'))

    def refuse(self, call, error):
        """Return a system call that fails for the journal only."""
        real = getattr(os, call)

        def refusing(descriptor, *args):
            if os.readlink(f'/proc/self/fd/{descriptor}').endswith('/state.jsonl'):
                raise error
            return real(descriptor, *args)

        return refusing

    def test_an_entry_that_cannot_be_written_after_the_upload_is_no_delivery(self):
        for nth in (2, 3):  # uploaded, delivered
            self.spool.put('a', b'%d' % nth)
            real, seen = append_log.JSONLog.extend, []

            def extend(log, kind, rows, *, seen=seen, real=real, nth=nth, **options):
                seen.append(kind)
                if len(seen) >= nth:
                    raise errors.SpoolError('The journal cannot be used: disk full')
                return real(log, kind, rows, **options)

            with unittest.mock.patch.object(append_log.JSONLog, 'extend', extend):
                report = self.export()
            self.assertEqual((78, []), (report.exit_code, report.delivered), seen)
            self.assertNotIn('write', self.target.files)
            report = self.export()
            self.assertEqual(0, report.exit_code)
            self.assertEqual({'a': b'%d' % nth}, self.target.files)
            last = [*receipts(self.spool_path / '.cds', 'a')][-1]
            filed = (self.spool_path / 'cur' / last['filed_as']).read_bytes()
            self.assertEqual(b'%d' % nth, filed)
