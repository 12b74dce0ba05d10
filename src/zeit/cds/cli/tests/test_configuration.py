"""Which ZCML file a command reads, and what it does with all that is in it."""

import os
import sys
import unittest
import unittest.mock

import zope.component
import zope.component.testing
import zope.interface

from zeit.cds.cli import configuration
from zeit.cds.cli.tests.test_command_line import CommandLine, ServerCase
from zeit.cds.interfaces import IExporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers


ZCML = """\
<configure xmlns="http://namespaces.zeit.de/cds">
  <spool name="first" path="{first}" />
  <spool name="second" path="{second}" />
  <target name="nobody" directory="/" host="127.0.0.1" port="1" user="me" password="" />
  <target name="partner" directory="/"
      host="{server.host}" port="{server.port}" user="{server.user}"
      password_env="ZEIT_CDS_PASSWORD" />
  <exporter name="first" spool="first" target="nobody" />
  <exporter name="second" spool="second" target="partner" />
</configure>
"""

ONE = '<configure xmlns="http://namespaces.zeit.de/cds"><spool name="{0}" path="{1}" /></configure>'


class PathTests(unittest.TestCase):
    layer = layers.QUIET

    def found(self, given=None, *, usual='/nowhere/cds.zcml', environ=(), **about):
        with (
            unittest.mock.patch.object(configuration, 'USUAL', usual),
            unittest.mock.patch.dict(os.environ, dict(environ), clear=True),
        ):
            return configuration.path(given, **about)

    def test_the_option_comes_first_then_the_variable_then_the_usual_place(self):
        named = {'ZEIT_CDS_ZCML': '/named.zcml'}
        self.assertEqual('/given', self.found('/given', environ=named))
        self.assertEqual('/named.zcml', self.found(environ=named, usual=__file__))
        self.assertEqual(__file__, self.found(usual=__file__))
        self.assertIsNone(self.found())

    def test_an_empty_variable_reads_none(self):
        self.assertIsNone(self.found(usual=__file__, environ={'ZEIT_CDS_ZCML': ''}))

    def test_a_spool_or_a_url_does_without(self):
        self.assertIsNone(self.found(usual=__file__, spool='/spool'))
        self.assertIsNone(self.found(usual=__file__, names=['ftp://me@h/in']))
        self.assertEqual(__file__, self.found(usual=__file__, names=['http://xml.zeit.de/a']))
        self.assertEqual('/given', self.found('/given', spool='/spool'))

    def test_one_that_cannot_be_looked_at_is_there(self):
        with unittest.mock.patch('os.stat', side_effect=PermissionError):
            self.assertEqual('/closed/cds.zcml', self.found(usual='/closed/cds.zcml'))


class ReadTests(CommandLine):
    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)

    def write(self, name):
        path = self.folder / f'{name}.zcml'
        path.write_text(ONE.format(name, self.path))
        return path

    def test_errors_name_the_file_and_why_it_is_read(self):
        self.environ['ZEIT_CDS_ZCML'] = str(self.folder / 'none.zcml')
        pattern = 'none.zcml: No such file.*ZEIT_CDS_ZCML'
        self.assert_line(self.call('status'), 78, pattern)
        outcome = self.call('status', '--zcml', self.folder / 'other.zcml')
        self.assert_line(outcome, 78, 'other.zcml: No such file')
        self.assertNotIn('ZEIT_CDS_ZCML', outcome.err)
        self.environ['ZEIT_CDS_ZCML'] = str(self.write('articles'))
        self.assert_line(self.call('status', 'nix'), 64, "'nix' in .*articles.zcml")
        self.assert_line(self.call('export', '--ca-file', 'x'), 64, 'ca-file.*articles.zcml')

    def test_it_is_read(self):
        self.environ['ZEIT_CDS_ZCML'] = str(self.write('articles'))
        self.assertIn('Spool articles: ', self.call('status').out)
        self.assertNotIn('articles', self.call('status', '--spool', self.path).out)
        with unittest.mock.patch.object(configuration, 'USUAL', str(self.write('usual'))):
            self.assertIn('Spool articles: ', self.call('status').out)

    def test_the_module_is_the_command(self):
        self.environ['ZEIT_CDS_ZCML'] = str(self.write('articles'))
        program = [sys.executable, '-m', 'zeit.cds']
        outcome = self.finish(self.start('status', program=program))
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertIn('Spool articles: ', outcome.out)


class AllTests(ServerCase):
    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        second = self.folder / 'second'
        second.mkdir()
        self.second = Spool(second)
        self.second.put('c.xml', b'c')
        path = self.folder / 'cds.zcml'
        path.write_text(ZCML.format(first=self.path, second=second, server=self.server))
        self.environ['ZEIT_CDS_ZCML'] = str(path)

    def test_one_that_fails_stops_no_other(self):
        outcome = self.call('export', '--all')
        self.assertEqual(69, outcome.code)
        self.assertRegex(outcome.err, '^zeit-cds: first: Could not connect')
        self.assertEqual(['c.xml'], os.listdir(self.server.root))
        self.assertEqual(['a.xml', 'b.xml'], self.names('new'))

    def test_nor_does_one_that_somebody_else_made_and_that_lacks_something(self):
        @zope.interface.implementer(IExporter)
        class Incomplete:
            __module__ = 'somebody.else'

        zope.component.provideUtility(Incomplete(), IExporter, name='another')
        outcome = self.call('export', '--all')
        self.assertEqual(78, outcome.code)
        self.assertRegex(outcome.err, '(?m)^zeit-cds: another: .*run_once')
        self.assertEqual(['c.xml'], os.listdir(self.server.root))

    def test_without_it_one_is_to_be_named(self):
        self.assert_line(self.call('export'), 64, 'has 2 exporters; name one, or pass --all')
        self.assertEqual(0, self.call('export', 'second').code)

    def test_wrong_use(self):
        self.assert_line(self.call('export', '--all', 'first'), 64, '--all cannot be combined')
        url = self.url
        outcome = self.call('import', '--all', '--spool', self.path, url)
        self.assert_line(outcome, 64, '--all cannot be combined')
        self.assert_line(self.call('import', '--all'), 64, 'There is no importer in .*cds.zcml')
