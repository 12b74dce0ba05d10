"""Whether a file was delivered before a kill: all that must hold, and what follows if it does not.

The rule: the journal knows the upload as complete, with this very content; the server has that
content under the real name.  In doubt it is sent again.
"""

import contextlib
import errno
import hashlib
import os
import pathlib
import unittest
import unittest.mock

from zope.interface.verify import verifyObject

from zeit.cds import errors, interfaces
from zeit.cds.journal.journal import View
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.remembered import receipts


class Killed(BaseException):
    """The process ends here."""


class LedgerTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        self.calls = []
        self.target = MemoryTarget(hook=self.hook)
        self.dead = False
        self.kill_at = None

    def hook(self, operation, name):
        """Count; from the call `kill_at` on nothing happens any more."""
        self.calls.append(f'{operation} {name}'.strip())
        if self.dead or self.calls[-1] == self.kill_at or len(self.calls) == self.kill_at:
            self.dead = True
            raise Killed

    def export(self):
        self.calls.clear()
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            report = Exporter(self.spool, self.target, wait=lambda seconds: None).run_once()
        self.log = '\n'.join(record.getMessage() for record in logs.records)
        return report

    def kill(self, at):
        """Run, and be killed at this call (a number, or its words); return whether it was."""
        self.kill_at = at
        try:
            with _mortal(self):
                self.export()
        except Killed:
            return True
        finally:
            self.kill_at, self.dead = None, False
        return False

    def sent(self):
        return [call.split()[1] for call in self.calls if call.startswith('upload ')]

    def uploads(self):
        with self.spool.run():
            return self.spool.journal.at(self.target.url).rows('uploads')

    def section(self, name):
        return sorted(os.listdir(self.path / name))

    def content(self, section):
        return sorted((self.path / section / name).read_bytes() for name in self.section(section))

    def receipts(self, name='a'):
        return [*receipts(self.path / '.cds', name)]


@contextlib.contextmanager
def _mortal(test):
    """Once the test's target is dead the process does nothing any more, nor cleans up."""

    def unless_dead(real):
        def method(*args, **kw):
            if test.dead:
                raise Killed
            return real(*args, **kw)

        return method

    with contextlib.ExitStack() as stack:
        for cls, name in ((View, 'note'), (Spool, 'done'), (View, 'receipt')):
            patch = unittest.mock.patch.object(cls, name, unless_dead(getattr(cls, name)))
            stack.enter_context(patch)
        yield


class RuleTests(LedgerTests):
    """Everything as after a kill between the rename on the server and the move to `cur/`."""

    CONTENT = b'version 1'

    def prepare(self, *, noted=True, content=CONTENT, **upload):
        known = {
            'temporary': 'a.part',
            'size': len(self.CONTENT),
            'sha256': hashlib.sha256(self.CONTENT).hexdigest(),
            'reply': '226 Stored.',
        }
        with self.spool.run():
            self.spool.journal.new_token(self.target.url)
            if noted:
                view = self.spool.journal.at(self.target.url)
                view.note('uploaded', 'a', **{**known, **upload})
        self.target.write('a', self.CONTENT)
        self.spool.put('a', content)

    def assert_filed(self):
        report = self.export()
        self.assertEqual((0, ['a'], []), (report.exit_code, report.delivered, self.sent()))
        self.assertIn('Delivered by an earlier run: a', self.log)
        self.assertEqual(([], [self.CONTENT]), (self.section('new'), self.content('cur')))
        (receipt,) = self.receipts()
        self.assertEqual(('226 Stored.', 'a'), (receipt['reply'], receipt['filed_as']))
        self.assertEqual({}, self.uploads())

    def assert_sent(self, content=CONTENT):
        report = self.export()
        self.assertEqual((0, ['a'], ['a']), (report.exit_code, report.delivered, self.sent()))
        self.assertEqual({'a': content}, self.target.files)
        self.assertEqual(([], [content]), (self.section('new'), self.content('cur')))
        self.assertEqual(1, len(self.receipts()))
        self.assertEqual({}, self.uploads())

    def test_94_all_of_it_holds(self):
        self.prepare()
        self.assert_filed()

    def test_94_killed_once_more_before_its_receipt(self):
        self.prepare()
        done = Spool.done

        def die(*args):
            done(*args)
            self.dead = True
            raise Killed

        with unittest.mock.patch.object(Spool, 'done', die), _mortal(self):
            self.assertRaises(Killed, self.export)
        self.dead = False
        self.assertEqual(([], [self.CONTENT]), (self.section('new'), self.content('cur')))
        self.assertEqual(0, self.export().exit_code)
        (receipt,) = self.receipts()
        self.assertEqual(('226 Stored.', 'a'), (receipt['reply'], receipt['filed_as']))
        self.assertEqual(([], {}), (self.sent(), self.uploads()))

    def test_94_without_a_temporary_name(self):
        self.prepare(temporary='')
        self.assert_filed()
        self.setUp()
        self.prepare(temporary='')
        self.target.write('a', self.CONTENT + b'!')
        self.assert_sent()
        self.setUp()
        self.prepare(temporary='', content=b'version 2')
        self.assert_sent(b'version 2')

    def test_94_the_journal_knows_nothing(self):
        self.prepare(noted=False)
        self.assert_sent()

    def test_94_the_journal_knows_another_content_of_the_same_size(self):
        self.prepare(content=b'version 2')
        self.assert_sent(b'version 2')

    def test_94_another_size(self):
        self.prepare(content=b'version 10')
        self.assert_sent(b'version 10')

    def test_94_no_checksum_is_known(self):
        self.prepare(sha256='')
        self.assert_sent()

    def test_94_filed_and_not_noted_without_a_checksum(self):
        """The very file is in `cur/`: one that was sent unread gets its receipt, too."""
        for known in True, False:
            with self.subTest(known=known):
                self.setUp()
                self.prepare(noted=False)
                (entry,), _ = self.spool.pending()
                source = {'source': [*entry.version]} if known else {}
                os.rename(self.path / 'new' / 'a', self.path / 'cur' / 'a')
                with self.spool.run():
                    view = self.spool.journal.at(self.target.url)
                    sent = {'temporary': 'a.part', 'size': 9, 'sha256': '', 'reply': '226'}
                    view.note('uploaded', 'a', **sent, **source)
                self.assertEqual(0, self.export().exit_code)
                self.assertEqual(int(known), len(self.receipts()))
                self.assertEqual({}, self.uploads())

    def test_94_the_temporary_is_still_there(self):
        self.prepare()
        self.target.write('a.part', self.CONTENT)
        self.assert_sent()

    def test_94_an_older_version_of_the_same_size_is_there(self):
        """The temporary never got its name, and was taken away: by whom, nobody knows."""
        for there in False, True:
            with self.subTest(there=there):
                self.setUp()
                self.prepare()
                with self.spool.run():
                    for row in self.spool.journal.find('tokens'):
                        self.spool.journal.note('clean', token=row['token'])
                if there:
                    self.target.write('a.part', self.CONTENT)
                self.target.write('a', b'version 0')
                self.export()
                self.assertEqual((['a'], 1), (self.sent(), len(self.receipts())))
                self.assertEqual(self.CONTENT, self.target.files['a'])

    def test_94_what_is_there_cannot_be_read(self):
        for error in errors.PermanentError(550, '550 No.'), errors.ConnectionLost(104, 'Reset'):
            with self.subTest(error):
                self.setUp()
                self.prepare()
                self.on_fetch = error
                self.target.hook = self.refuse_fetch
                self.assert_sent()

    def refuse_fetch(self, operation, name):
        self.hook(operation, name)
        if (operation, name) == ('fetch', 'a'):
            raise self.on_fetch

    def test_94_more_comes_than_there_is(self):
        self.prepare()
        self.target.hook = self.grow
        self.assert_sent()

    def grow(self, operation, name):
        self.hook(operation, name)
        if (operation, name) == ('fetch', 'a'):
            self.target.write('a', self.CONTENT * 2)

    def test_94_a_run_that_was_killed_while_it_read_it_is_not_followed_by_another_one(self):
        self.prepare()
        self.assertTrue(self.kill('fetch a'))
        self.assert_sent()
        self.assertNotIn('fetch a', self.calls)

    def test_94_the_size_on_the_server_is_another_one(self):
        self.prepare()
        self.target.write('a', self.CONTENT + b'!')
        self.assert_sent()

    def test_94_the_partner_has_taken_it_away(self):
        self.prepare()
        del self.target.files['a']
        self.assert_sent()

    def test_94_the_server_tells_no_size(self):
        self.prepare()
        self.target.hook = self.refuse_sizes
        self.assert_sent()

    def refuse_sizes(self, operation, name):
        self.hook(operation, name)
        if operation == 'size' and name == 'a':
            raise errors.PermanentError(500, '500 What?')

    def test_what_is_in_cur_and_cannot_be_read_holds_nothing_up(self):
        """It is asked for the receipt of a file that does not wait any more; others do."""
        for error in (PermissionError(errno.EACCES, 'No'), FileNotFoundError(errno.ENOENT, 'No')):
            with self.subTest(error):
                self.setUp()
                self.prepare()
                os.rename(self.path / 'new' / 'a', self.path / 'cur' / 'a')
                self.spool.put('b', b'other')
                opened = os.open

                def refused(path, *args, error=error, opened=opened, **kw):
                    if str(path).endswith('cur/a'):
                        raise error
                    return opened(path, *args, **kw)

                with unittest.mock.patch('os.open', refused):
                    report = self.export()
                self.assertEqual((0, ['b']), (report.exit_code, report.delivered), self.log)
                self.assertEqual({}, self.uploads())

    def test_94_on_another_server(self):
        self.prepare()
        self.target.url = 'memory:other'
        self.assert_sent()

    def test_94_a_correction_comes_while_it_is_found_out(self):
        self.prepare()
        self.target.hook = self.correct
        report = self.export()
        self.assertEqual((0, ['a', 'a']), (report.exit_code, report.delivered))
        self.assertEqual({'a': b'version 2'}, self.target.files)
        self.assertEqual([b'version 1', b'version 2'], self.content('cur'))

    def test_killed_while_it_was_filed_and_a_correction_waits(self):
        """What was delivered is filed, with its receipt; it was parked, as if nobody had it."""
        self.prepare(content=b'version 2')
        (self.path / '.cds' / 'filing' / 'a').write_bytes(self.CONTENT)
        report = self.export()
        self.assertEqual((0, ['a']), (report.exit_code, report.delivered))
        self.assertEqual({'a': b'version 2'}, self.target.files)
        self.assertEqual([b'version 1', b'version 2'], self.content('cur'))
        self.assertFalse((self.path / 'parked').exists())
        digests = [hashlib.sha256(data).hexdigest() for data in (self.CONTENT, b'version 2')]
        self.assertEqual(digests, [receipt['sha256'] for receipt in self.receipts()])
        self.assertEqual({}, self.uploads())

    def test_what_was_not_delivered_is_parked_where_a_correction_waits(self):
        for upload in ({'noted': False}, {'sha256': '0' * 64}, {'sha256': ''}):
            with self.subTest(upload):
                self.prepare(content=b'version 2', **upload)
                (self.path / '.cds' / 'filing' / 'a').write_bytes(self.CONTENT)
                self.export()
                self.assertEqual([b'version 2'], self.content('cur'))
                self.assertEqual(1, len(self.receipts()))
                self.assertEqual(self.CONTENT, (self.path / 'parked' / 'a').read_bytes())
                self.setUp()

    def correct(self, operation, name):
        self.hook(operation, name)
        if (operation, name) == ('size', 'a'):
            self.target.hook = self.hook
            self.spool.put('a', b'version 2')


class SettleTests(LedgerTests):
    """The move to `cur/` happened, its receipt was not written."""

    def prepare(self, content=b'1'):
        with self.spool.run():
            self.spool.journal.new_token(self.target.url)
            self.spool.journal.at(self.target.url).note(
                'uploaded',
                'a',
                temporary='a.part',
                size=1,
                sha256=hashlib.sha256(b'1').hexdigest(),
                reply='226 Stored.',
            )
        (self.path / 'cur' / 'a').write_bytes(content)

    def test_94_the_receipt_is_written_later(self):
        for others in ((), ('b',)):
            with self.subTest(others=others):
                self.prepare()
                for name in others:
                    self.spool.put(name, b'2')
                self.assertEqual(0, self.export().exit_code)
                receipt = self.receipts()[-1]
                self.assertEqual(('a', 1), (receipt['filed_as'], receipt['size']))
                self.assertEqual({}, self.uploads())
        self.assertEqual(2, len(self.receipts()))

    def test_94_what_was_filed_is_another_one(self):
        self.prepare(b'2')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(([], {}), (self.receipts(), self.uploads()))


class CorrectionTests(LedgerTests):
    """v1 is delivered; v2, of the same size, was uploaded and checked, but not renamed."""

    def prepare(self):
        self.spool = Spool(in_memory(self))
        self.path = pathlib.Path(self.spool.path)
        self.target.files.clear()
        self.target.directories.clear()
        self.spool.put('a', b'version 1')
        self.assertEqual(['a'], self.export().delivered)
        self.spool.put('a', b'version 2')

    def assert_sent(self):
        self.assertEqual(0, self.export().exit_code, self.log)
        self.assertEqual({'a': b'version 2'}, self.target.files)
        self.assertEqual([b'version 1', b'version 2'], self.content('cur'))
        self.assertEqual(({}, []), (self.target.directories, self.section('new')))
        self.assertEqual(2, len(self.receipts()))

    def uploaded(self):
        """Leave v2 uploaded and noted, not renamed."""
        self.prepare()
        with self.spool.run():
            token = self.spool.journal.new_token(self.target.url)
            temporary = f'a.{token}-1.part'
            self.spool.journal.at(self.target.url).note(
                'uploaded',
                'a',
                temporary=temporary,
                size=9,
                sha256=hashlib.sha256(b'version 2').hexdigest(),
                reply='226 Stored.',
            )
        self.target.write(temporary, b'version 2')
        self.target.write('write', f'{token} zeit.cds'.encode())

    def test_94_it_is_never_taken_for_delivered(self):
        self.uploaded()
        self.assert_sent()

    def test_94_killed_at_every_step_of_the_run(self):
        for step in range(1, 100):
            with self.subTest(step=step):
                self.prepare()
                if not self.kill(step):
                    break
                self.assert_sent()
        self.assertGreater(step, 15)

    def test_94_killed_at_every_step_of_healing_too(self):
        for step in range(1, 100):
            with self.subTest(step=step):
                self.uploaded()
                if not self.kill(step):
                    break
                self.assert_sent()
        self.assertGreater(step, 25)

    def test_94_killed_twice_in_healing(self):
        for first in range(1, 20, 4):
            for second in range(1, 20, 4):
                self.uploaded()
                self.kill(first)
                self.kill(second)
                self.assert_sent()


class InterfaceTests(LedgerTests):
    def test_interface(self):
        with self.spool.run():
            verifyObject(interfaces.ILedger, self.spool.journal.at(self.target.url))
