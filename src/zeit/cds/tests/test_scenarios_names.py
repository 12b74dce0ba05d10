"""Names of files: what servers hear of them, and which they never hear of."""

import os
import re
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.testing import faults
from zeit.cds.tests.scenario import Scenario, content, target


class NameTests(Scenario, unittest.TestCase):
    """What servers do with names is in `zeit.cds.tests.contract`; here is what they hear."""

    def put_as(self, name):
        """Put a file under a name that the spool itself would refuse."""
        self.spool.put('harmless', content(name))
        os.rename(self.path / 'new' / 'harmless', self.path / 'new' / name)
        self.offered[name] = content(name)

    def test_51_names_as_they_are_published(self):
        name = '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}.xml'
        self.assert_run(0, name, self.export(name))
        self.assertEqual({name: content(name)}, self.remote)

    def test_52_exactly_this_name_or_none(self):
        names = [' leading', 'trailing ', 'in side', '-r', '[a]*?.xml', 'a\\b', '~x', '%41', '"q"',
                 "'q'", 'a;type=a', '{a,b}', '$HOME', '`id`', '|id', '#', 'a' * 200]  # fmt: skip
        report = self.export(*names)
        self.assertEqual((0, set(names)), (report.exit_code, set(report.delivered)))
        self.assertEqual(set(names), set(self.remote))

    def test_a_server_whose_names_are_short(self):
        """eCryptfs has room for 143 bytes, other file systems for 255."""
        for longest in (143, 255):
            with self.subTest(longest), unittest.mock.patch(
                'zeit.cds.testing.ftpstore.NAME_MAX', longest
            ):
                self.prepare()
                names = ['a' * longest, 'ü' * (longest // 2), 'b' * (longest - 20)]
                self.assertEqual(0, self.export(*names).exit_code)
                # This one does not overwrite: what is there goes aside.
                self.fault('RNTO', faults.Reply('550 File exists.'), path='/cds/a*', times=1)
                self.assert_run(0, names[0], self.export(names[0]))

    def test_52_no_name_is_given_to_a_listing(self):
        self.export('-la', '*', 'a')
        self.fault('MLSD', faults.Reply('500 What?'))
        self.export('b')
        self.assertEqual({'MLSD', 'NLST'}, set(self.server.commands('MLSD', 'NLST', 'LIST')))

    def test_53_control_characters_never_reach_the_wire(self):
        # NUL cannot be in the name of a file here.
        names = ['a\rb', 'a\nDELE c', 'a\r\nDELE c', 'a\x1bb', 'a\x7fb']
        for name in names:
            self.put_as(name)
        report = self.export('b')
        self.assertEqual((1, ['b']), (report.exit_code, report.delivered))
        self.assertEqual(sorted(names), self.section('new'))
        self.assertEqual([], [line for line in self.server.commands() if ' c' in line])

    def test_54_umlauts_composed_and_not_and_emoji(self):
        names = ['\xfc.xml', 'u\u0308.xml', '\U0001f5de.xml']
        self.assertEqual(0, self.export(*names).exit_code)
        self.assertEqual(set(names), set(self.remote))

    def test_54_bytes_that_are_no_text_are_not_sent(self):
        self.put_as(os.fsdecode(b'\xe4.xml'))
        report = self.export('a')
        self.assertEqual((1, ['a']), (report.exit_code, report.delivered))
        self.assertIn(r'Not delivered: \xe4.xml: The name cannot be written in utf-8', self.log)

    def test_54_the_configured_encoding(self):
        latin = target(self.server, encoding='latin-1')
        with self.assertRaises(errors.NameRefused):
            latin.check('\u20ac')
        session = latin.open()
        try:
            session.store('\xfc', b'1')
            self.assertEqual({'\xfc'}, session.names())
        finally:
            session.close()
        self.assertEqual({'\udcfc': b'1'}, self.remote)

    def test_54_a_listing_with_bytes_that_are_no_text(self):
        self.server.put('/cds/\udcff\udcfe', b'theirs')
        self.assert_run(0, 'a', self.export('a'))

    def test_55_utf8_is_not_switched_on_so_its_refusal_does_not_matter(self):
        self.fault('OPTS FEAT', faults.Reply('502 Not here.'))
        self.assert_run(0, '\xfc', self.export('\xfc'))

    def test_56_long_names(self):
        names = ['l' * 255, 'x' * 250 + '.1', 'x' * 250 + '.2', '\xfc' * 127]
        report = self.export(*names)
        self.assertEqual((0, set(names)), (report.exit_code, set(report.delivered)))
        self.assertEqual({name: content(name) for name in names}, self.remote)
        stored = self.server.commands('STOR')[2:]  # behind the lock, and a name of '\xfc'
        self.assertEqual(len(names), len({re.sub('cds.*', '', line) for line in stored}))

    def test_57_names_that_would_confuse_the_lock(self):
        names = ['write', 'READ', 'Write', 'write.guard', 'a.cds0123456789abcdef-1.part',
                 'a.cds0123456789abcdef.aside', 'write.cds0123456789abcdef']  # fmt: skip
        for name in names:
            self.put_as(name)
        report = self.export('b')
        self.assertEqual((1, ['b']), (report.exit_code, report.delivered))
        self.assertEqual(sorted(names), self.section('new'))

    def test_58_a_name_that_is_taken_in_another_case(self):
        """As a server on a file system that knows no case answers: refused, and it has a size."""
        self.plant('A', b'first')
        self.fault('RNTO', faults.Reply('553 a: File exists.'), path='/cds/a')
        self.fault('SIZE', faults.Reply('213 5'), path='/cds/a')
        report = self.export('a', 'b', exists='park')
        self.assert_run(1, 'b', report)
        self.assertEqual((['a'], b'first'), (self.section('parked'), self.remote['A']))
