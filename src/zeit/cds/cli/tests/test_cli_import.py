"""`zeit-cds import`, and what other commands say about imports."""

import json
import os
import time
import unittest

import zope.component.testing

from zeit.cds.cli import main
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.importing import leave
from zeit.cds.tests.maincase import MainCase, quiet


class Commands(MainCase, layers.ServerTests, unittest.TestCase):
    layer = layers.PYFTPD

    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        (self.directory / 'password').write_text('testpw\n')
        (self.directory / 'password').chmod(0o600)
        for name in ('a.xml', 'b.xml'):
            leave(self.server.root / name, b'<letter/>')

    def cli(self, *arguments):
        with quiet() as (out, err):
            code = main.main([*map(str, arguments)])
        return code, out.getvalue(), err.getvalue()

    @property
    def url(self):
        return f'ftp://test@{self.server.host}:{self.server.port}//'

    def by_url(self, *options):
        password = ('--password-file', self.directory / 'password')
        return self.cli('import', '--spool', self.spool, *password, *options, self.url)

    def zcml(self, **attributes):
        words = ' '.join(f'{key}="{value}"' for key, value in attributes.items())
        path = self.directory / 'cds.zcml'
        path.write_text(f"""
            <configure xmlns:cds="http://namespaces.zeit.de/cds">
              <cds:spool name="letters" path="{self.spool}" />
              <cds:target name="agency" directory="/"
                  host="{self.server.host}" port="{self.server.port}"
                  user="test" password_file="{self.directory}/password" />
              <cds:importer name="in" spool="letters" target="agency" {words} />
            </configure>
        """)
        return '--zcml', path

    def test_from_a_url(self):
        self.assertEqual((0, '', ''), self.by_url())
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))
        self.assertEqual([], [*self.server.root.iterdir()])

    def test_a_dry_run(self):
        code, out, _ = self.by_url('--dry-run')
        self.assertEqual(0, code)
        self.assertEqual(
            'a.xml (9 B)\nb.xml (9 B)\n2 files would be imported (18 B), 0 failed\n', out
        )
        self.assertEqual([], self.names('new'))

    def test_what_waits_for_the_application_is_left_to_it(self):
        """The exported spool may have a file of the same name, and that one is meant."""
        only_imported = self.zcml()
        self.cli(*only_imported, 'import')
        steering = (
            ['hold', 'a.xml'], ['drop', '--yes', 'a.xml'], ['withdraw', 'a.xml'], ['hold', '--all']
        )  # fmt: skip
        for command in steering:
            code, _, err = self.cli(*only_imported, *command)
            self.assertEqual((64, 1), (code, err.count('\n')), err)
        both = self.directory / 'both.zcml'
        text = only_imported[1].read_text().replace('</configure>', f"""
              <cds:spool name="articles" path="{self.directory}/articles" />
              <cds:exporter name="out" spool="articles" target="partner" />
              <cds:target name="partner" host="127.0.0.1" user="x" directory="/in" />
            </configure>""")  # fmt: skip
        both.write_text(text)
        exported = Spool(self.directory / 'articles')
        exported.path.mkdir()
        for command in steering:
            exported.put('a.xml', b'<article/>')
            self.assertEqual(0, self.cli('--zcml', both, *command)[0], command)
            self.cli('--zcml', both, 'release', '--all')
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))
        self.assertEqual(set(), Spool(self.spool).status().held.keys())
        self.assertEqual(['a.xml'], os.listdir(exported.path / 'withdrawn'))

    def test_from_zcml(self):
        self.assertEqual((0, '', ''), self.cli(*self.zcml(max_files=1), 'import'))
        self.assertEqual(['a.xml'], self.names('new'))
        self.assertEqual((0, '', ''), self.cli(*self.zcml(), 'import', 'in'))
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_options_of_zcml(self):
        self.assertEqual((0, '', ''), self.cli(*self.zcml(ignore='a.* *.tmp'), 'import'))
        self.assertEqual(['b.xml'], self.names('new'))

    def test_no_pattern_at_all(self):
        (self.server.root / 'a.xml').rename(self.server.root / 'a.tmp')
        self.assertEqual((0, '', ''), self.cli(*self.zcml(ignore=''), 'import'))
        self.assertEqual(['a.tmp', 'b.xml'], self.names('new'))

    def test_options(self):
        """Each of them arrives."""
        young = [name for name in ('a.xml', 'b.xml') if time.time() - self.age(name) < 7200]
        self.assertEqual(['a.xml', 'b.xml'], young)
        leave(self.server.root / 'c.xml', b'')
        for options, taken in (
            (['--ignore', 'a.* B.*'], ['c.xml']),
            (['--min-age', '7200'], []),
            (['--max-files', '2'], ['a.xml', 'b.xml']),
            (['--max-bytes', '10'], ['a.xml']),
            (['--empty', 'skip'], ['a.xml', 'b.xml']),
        ):
            with self.subTest(options):
                code, out, _ = self.by_url('--dry-run', *options, '--max-files', '2')
                self.assertEqual(0, code)
                self.assertEqual([], self.names('new'))
                code, _, err = self.by_url(*options)
                self.assertEqual((0, taken), (code, self.names('new')), err)
                for name in taken:
                    data = (self.spool / 'new' / name).read_bytes()
                    (self.spool / 'new' / name).unlink()
                    leave(self.server.root / name, data)

    def age(self, name):
        return (self.server.root / name).stat().st_mtime

    def test_names_that_are_taken(self):
        (self.spool / 'new' / 'a.xml').write_bytes(b'older')
        self.assertEqual((0, '', ''), self.by_url())
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))
        self.assertEqual(['a.xml'], [p.name for p in self.server.root.iterdir()])
        self.assertEqual((0, '', ''), self.by_url('--occupied', 'unique'))
        self.assertEqual(3, len(self.names('new')))
        self.assertEqual(b'older', (self.spool / 'new' / 'a.xml').read_bytes())
        self.assertEqual([], [*self.server.root.iterdir()])

    def test_mistakes(self):
        for mistake, said in (
            ({'occupied': 'overwrite'}, 'is not one of: wait, unique'),
            ({'empty': 'send'}, 'is not one of: take, skip'),
            ({'min_age': '-1'}, 'is not a number of seconds'),
        ):
            with self.subTest(mistake):
                zope.component.testing.tearDown()
                zope.component.testing.setUp()
                code, _, err = self.cli(*self.zcml(**mistake), 'import')
                self.assertEqual(78, code)
                self.assertIn(said, err)

    def test_an_unknown_name(self):
        code, _, err = self.cli(*self.zcml(), 'import', 'out')
        self.assertEqual(64, code)
        self.assertIn("There is no importer 'out'", err)

    def test_without_anything(self):
        code, _, err = self.cli('import')
        self.assertEqual(64, code)
        self.assertIn('Nothing to import: give --zcml FILE, or', err)

    def test_a_lock_is_shown_and_removed(self):
        (self.server.root / 'write').write_bytes(b'the partner')
        code, _, err = self.cli(*self.zcml(), 'import')
        self.assertEqual(75, code)
        self.assertIn('the partner', err)
        code, out, _ = self.cli(*self.zcml(), 'status', '--remote')
        self.assertIn("locked by 'write'", out)
        self.assertEqual(0, self.cli(*self.zcml(), 'unlock', '--yes', 'in')[0])
        self.assertFalse((self.server.root / 'write').exists())

    def test_a_receipt(self):
        self.by_url()
        code, out, _ = self.cli('receipt', '--spool', self.spool, 'a.xml')
        self.assertEqual(0, code)
        self.assertIn('a.xml: imported 1 time', out)
        self.assertIn(f'put into {self.spool}/new/a.xml', out)
        _, out, _ = self.cli('receipt', '--spool', self.spool, '--json', 'a.xml')
        (receipt,) = json.loads(out)
        self.assertEqual(('in', 9, 'a.xml'), tuple(map(receipt.get, ('direction', 'size', 'name'))))

    def test_something_failed(self):
        (self.server.root / 'x\x01').write_bytes(b'')
        code, out, err = self.by_url()
        self.assertEqual((1, ''), (code, out))
        self.assertIn('contains the control character', err)
        self.assertIn('2 files imported (18 B), 1 failed', err)
