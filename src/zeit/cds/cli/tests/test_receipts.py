"""`zeit-cds receipt`, `retry` and `adopt`: evidence of deliveries, parked files, copied spools."""

import hashlib
import json
import os
import re
import shutil

from zeit.cds.cli.tests.test_cli_runs import ZcmlCase
from zeit.cds.cli.tests.test_command_line import CommandLine, ServerCase
from zeit.cds.spool.spool import Spool


class Receipts(ServerCase):
    def receipt(self, *arguments):
        return self.call('receipt', '--spool', self.path, *arguments)

    def test_each_delivery(self):
        self.export()
        self.spool.put('a.xml', b'corrected')
        self.export()
        outcome = self.receipt('a.xml')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        sums = [hashlib.sha256(data).hexdigest() for data in (b'hello', b'corrected')]
        self.assertRegex(
            outcome.out,
            rf'\Aa.xml: delivered 2 times\n'
            r'\n  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\n'
            rf'    size     5 bytes\n    sha256   {sums[0]}\n'
            rf'    server   {self.url.removesuffix("/")}\n    reply    226 .*\n'
            rf'    filed as {self.path}/cur/a.xml\n'
            r'\n  20\d\d-.*\n'
            rf'    size     9 bytes\n    sha256   {sums[1]}\n(.*\n){{2}}'
            rf'    filed as {self.path}/cur/a.xml.20.*\n\Z',
        )

    def test_json(self):
        self.export()
        (found,) = json.loads(self.receipt('--json', 'b.xml').out)
        self.assertRegex(found.pop('delivered'), r'T.*\+00:00$')
        self.assertRegex(found.pop('reply'), '^226 ')
        expected = {
            'version': 1,
            'spool': None,
            'path': str(self.path),
            'name': 'b.xml',
            'content': None,
            'content_version': None,
            'direction': 'out',
            'size': 5,
            'sha256': hashlib.sha256(b'hello').hexdigest(),
            'server': self.url.removesuffix('/'),
            'filed_as': 'b.xml',
            'withdrawn': None,
            'retracted': None,
            'notice': False,
            'outcome': None,
            'reason': None,
        }
        self.assertEqual(expected, found)

    def test_none(self):
        outcome = self.receipt('a.xml')
        self.assert_line(outcome, 1, f'no receipt for a.xml. It is waiting in {self.path}.$')
        self.assert_line(self.receipt('x\x1b[2J'), 1, r'There is no receipt for x\\x1b\[2J$')
        (self.path / '.cds' / 'filing').mkdir(parents=True)
        os.rename(self.path / 'new' / 'a.xml', self.path / '.cds' / 'filing' / 'a.xml')
        self.assert_line(self.receipt('a.xml'), 1, 'on its way to cur in .* next one')
        os.rename(self.path / '.cds' / 'filing' / 'a.xml', self.path / 'new' / 'a.xml')
        self.assertEqual([], os.listdir(self.server.root))
        outcome = self.receipt('--json', 'a.xml')
        self.assertEqual((1, '[]\n', 1), (outcome.code, outcome.out, outcome.err.count('\n')))

    def test_those_of_a_month_are_gone(self):
        self.export()
        (month,) = (self.path / '.cds' / 'history').iterdir()
        month.write_bytes(b'')
        said = f'no receipt for a.xml. The receipts of {month.stem} are gone from {self.path}.$'
        self.assert_line(self.receipt('a.xml'), 1, said)

    def test_parked(self):
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'No\x1b!')
        self.assert_line(self.receipt('a.xml'), 1, r'It is parked in .*: No\\x1b!$')

    def test_a_reply_and_a_name_that_rule_terminals(self):
        with self.spool.run():
            receipt = {'name': 'a\x1b', 'size': 1, 'sha256': '', 'reply': '226 \x9b2J'}
            view = self.spool.journal.at('ftp://h/')
            view.receipt('delivered', {**receipt, 'filed_as': 'a'})
        outcome = self.receipt('a\x1b')
        self.assertIn('a\\x1b: delivered 1 time\n', outcome.out)
        self.assertIn('226 \\x9b2J\n', outcome.out)
        self.assertIn('sha256   not known\n', outcome.out)

    def test_half_an_entry(self):
        self.export()
        (month,) = (self.path / '.cds' / 'history').iterdir()
        with month.open('ab') as file:
            file.write(b'{"kind": "delivered", "name": "a.xml"}\n{"kind": "deliv')
        outcome = self.receipt('a.xml')
        self.assertIn('delivered 2 times', outcome.out)
        self.assertIn('\n  None\n    size     not known\n', outcome.out)

    def test_during_a_run(self):
        self.export()
        with self.spool.run():
            before = (self.path / '.cds' / 'lock').read_bytes()
            self.assertEqual(0, self.receipt('a.xml').code)
            self.assertEqual(before, (self.path / '.cds' / 'lock').read_bytes())

    def test_wrong_usage(self):
        self.assert_line(self.call('receipt', 'a.xml'), 64, 'No spool given: give')
        self.assert_line(self.receipt('a.xml', 'b.xml'), 64, 'More than one name was given')
        self.assert_line(self.receipt(), 64, "Missing argument 'NAME'")

    def test_no_spool(self):
        outcome = self.call('receipt', '--spool', self.folder / 'no', 'a.xml')
        self.assert_line(outcome, 78, 'There is no spool at .*/no')

    def test_an_unreadable_journal(self):
        self.export()
        (month,) = (self.path / '.cds' / 'history').iterdir()
        month.unlink()
        month.mkdir()
        self.assert_line(self.receipt('a.xml'), 78, 'The history .* cannot be used: Is a dir')


class Retries(CommandLine):
    def retry(self, *arguments):
        return self.call('retry', '--spool', self.path, *arguments)

    def park(self, spool=None):
        spool = spool or self.spool
        with spool.run():
            for entry in spool.pending()[0]:
                spool.park(entry, 'refused')

    def test_back_again(self):
        self.park()
        outcome = self.retry('a.xml')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertEqual(f'a.xml is waiting in {self.path} again.\n', outcome.out)
        self.assertEqual(['a.xml'], self.names('new'))
        self.assertEqual([('b.xml', 'refused')], self.spool.status().parked)

    def test_what_is_not_parked(self):
        self.park()
        outcome = self.retry('../cur\x1b', 'b.xml')
        self.assertEqual(1, outcome.code)
        self.assertEqual(
            'zeit-cds: ../cur\\x1b is not parked. "zeit-cds status" lists what is.\n', outcome.err
        )
        self.assertEqual(['b.xml'], self.names('new'))
        self.assert_line(self.retry('b.xml'), 1, 'b.xml is not parked')

    def test_the_way_out_of_the_directory_is_closed(self):
        self.park()
        (self.path / 'cur' / 'old').write_bytes(b'')
        self.assert_line(self.retry('../cur/old'), 1, 'is not parked')
        self.assertEqual((['old'], []), (self.names('cur'), self.names('new')))

    def test_a_newer_one_waits(self):
        self.park()
        self.spool.put('a.xml', b'newer')
        self.assert_line(self.retry('a.xml'), 1, 'a newer a.xml waits in new/ already')
        self.assertEqual(b'newer', (self.path / 'new' / 'a.xml').read_bytes())

    def test_both_versions_are_named_and_the_older_one_goes_if_a_person_says_so(self):
        self.park()
        self.spool.put('a.xml', b'newer version')
        error = self.retry('a.xml')
        self.assert_line(
            error,
            1,
            r'a.xml stays parked \(number 1, 5 bytes, 20.*\): a newer a.xml waits in new/ already '
            r'\(number 3, 13 bytes, 20.*\)\. To send the older one all the same: '
            rf'zeit-cds retry --older --spool {self.path} a.xml$',
        )
        outcome = self.retry('--older', 'a.xml')
        self.assertEqual(0, outcome.code)
        self.assertEqual(f'a.xml is waiting in {self.path} again.\n', outcome.out)
        self.assertEqual(b'hello', (self.path / 'new' / 'a.xml').read_bytes())
        (newer,) = (self.path / 'parked').glob('a.xml*')
        self.assertEqual(b'newer version', newer.read_bytes())

    def test_all_sends_of_each_name_the_newest(self):
        self.park()
        self.spool.put('a.xml', b'newer version')
        self.park()
        outcome = self.retry('--all')
        self.assertEqual(1, outcome.code)
        self.assertRegex(outcome.err, r'a.xml stays parked .* is parked as a.xml.20\w+Z')
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))
        self.assertEqual(b'newer version', (self.path / 'new' / 'a.xml').read_bytes())
        for line in outcome.out.splitlines():
            self.assertRegex(line, f'^[ab].xml is waiting in {self.path} again.$')

    def test_older_is_said_of_a_name(self):
        for option in ('--all', '--forget'):
            outcome = self.retry('--older', option, *['a.xml'] * (option == '--forget'))
            self.assert_line(outcome, 64, 'cannot be combined with --older')

    def test_a_run_is_active(self):
        self.park()
        with self.spool.run():
            self.assert_line(self.retry('a.xml'), 75, 'Another run is active')
        self.assertEqual([], self.names('new'))

    def test_wrong_usage(self):
        self.assert_line(self.retry(), 64, "Missing argument 'NAME...'")
        self.assert_line(self.call('retry', 'a.xml'), 64, 'No spool given: give')


class Adoptions(CommandLine):
    """`zeit-cds adopt`."""

    URL = 'ftp://test@h:21/in'

    def copy(self):
        with self.spool.run():
            self.spool.journal.new_token(self.URL)
        os.rename(self.path, self.folder / 'lost')
        shutil.copytree(self.folder / 'lost', self.path)

    def adopt(self, *options):
        return self.call('adopt', '--spool', self.path, *options)

    def test_it_says_what_becomes_of_what_is_there(self):
        cases = {
            (): 'will be cleaned up by the next run',
            ('--forget',): 'is left to the other copy',
        }
        for options, words in cases.items():
            with self.subTest(options):
                self.setUp()
                self.copy()
                outcome = self.adopt(*options)
                line = f'{self.path}: what was left on {self.URL} {words}.\n'
                self.assertEqual((0, line), (outcome.code, outcome.out))
                outcome = self.adopt()
                line = f'{self.path}: this spool is the original; nothing to do.\n'
                self.assertEqual((0, line), (outcome.code, outcome.out))

    def test_what_is_adopted_is_known_as_our_own_again(self):
        self.copy()
        with self.assertLogs('zeit.cds.journal.copied_spool', 'WARNING'), self.spool.run():
            self.assertEqual([], self.spool.journal.open_tokens(self.URL))
        self.adopt('--quiet')
        with self.spool.run():
            self.assertEqual(1, len(self.spool.journal.open_tokens(self.URL)))

    def status(self):
        """Return what `status` says of it, to people and to programs."""
        text = self.call('status', '--spool', self.path).out
        (found,) = json.loads(self.call('status', '--json', '--spool', self.path).out)
        return re.findall('^  disowned .*?(?=^  [^ ])', text, re.M | re.S), found['disowned']

    def test_status_shows_it_until_then(self):
        for options in (), ('--forget',):
            with self.subTest(options):
                self.setUp()
                self.copy()
                for _ in range(2):
                    logger = 'zeit.cds.journal.copied_spool'
                    with self.assertLogs(logger, 'WARNING'), self.spool.run():
                        # The server is none that anything was left on.
                        token = self.spool.journal.new_token('ftp://u@h/x')
                        self.spool.journal.note('clean', token=token)
                    (text,), urls = self.status()
                    self.assertEqual([self.URL], urls)
                    self.assertIn(self.URL, text)
                    self.assertIn(f'zeit-cds adopt --spool {self.path}', text)
                self.adopt(*options)
                self.assertEqual(([], []), self.status())

    def test_status_does_not_show_what_is_settled(self):
        """A delivery over what stood aside, say."""
        with self.spool.run():
            file = {'target': self.URL, 'name': 'a', 'size': 1, 'sha256': '', 'reply': ''}
            self.spool.journal.note('uploaded', **file, temporary='a.part')
        os.rename(self.path, self.folder / 'lost')
        shutil.copytree(self.folder / 'lost', self.path)
        with self.assertLogs('zeit.cds.journal.copied_spool', 'WARNING'), self.spool.run():
            self.assertEqual([self.URL], self.status()[1])
            self.spool.journal.receipt('delivered', dict(**file, filed_as='a'))
        self.assertEqual(([], []), self.status())

    def test_not_while_a_run_is_active(self):
        self.copy()
        with self.assertLogs('zeit.cds.journal.copied_spool', 'WARNING'), self.spool.run():
            self.assert_line(self.adopt(), 75, 'Another run is active')

    def test_wrong_usage(self):
        self.assert_line(self.call('adopt'), 64, 'No spool given: give')
        self.assert_line(self.adopt('articles'), 64, 'Names of spools need --zcml')


class ByZcml(ZcmlCase):
    """Both, with the spools of a ZCML file."""

    def test_receipt(self):
        self.call('--zcml', self.file, 'export', 'articles')
        outcome = self.call('--zcml', self.file, 'receipt', 'a.xml')
        self.assertEqual(0, outcome.code, outcome.err)
        self.assertIn('a.xml: delivered 1 time\n', outcome.out)
        outcome = self.call('receipt', 'a.xml', 'images', '--zcml', self.file)
        self.assert_line(outcome, 1, 'There is no receipt for a.xml$')
        found = json.loads(self.call('--zcml', self.file, 'receipt', '--json', 'a.xml').out)
        self.assertEqual(['articles'], [receipt['spool'] for receipt in found])

    def test_retry(self):
        images = Spool(self.folder / 'images')
        images.put('i.png', b'')
        for spool in (self.spool, images):
            Retries.park(self, spool)
        outcome = self.call('--zcml', self.file, 'retry', 'i.png', 'a.xml')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertEqual(['i.png'], os.listdir(images.path / 'new'))
        self.assertEqual(['a.xml'], self.names('new'))
