"""What somebody else has made: it is used as it is, and its mistakes are told as such."""

import os
import signal
import sys
import textwrap
import time
import unittest.mock

import zope.component.testing

from zeit.cds.cli.tests.test_command_line import CommandLine
from zeit.cds.drivers import watch
from zeit.cds.interfaces import IWakeUp


ZCML = """\
<configure xmlns="http://namespaces.zope.org/zope">
  <include package="zeit.cds" />
  <utility provides="zeit.cds.interfaces.{interface}" name="mine" factory="foreign_part.Mine" />
</configure>
"""

#: `{run}` is the body of its `run_once`.
MODULE = """\
import zope.interface
from zeit.cds.interfaces import IExporter, IImporter
from zeit.cds.values.report import Report
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.memory import MemoryTarget


@zope.interface.implementer(IExporter, IImporter)
class Mine:

    spool = Spool({path!r})
    target = MemoryTarget()
    options = {options}

    def run_once(self, options=None):
        {run}
"""


BROKEN = """
class Broken(Spool):

    def status(self):
        raise LookupError('no disk')
"""


class ForeignTests(CommandLine):
    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        self.enterContext(unittest.mock.patch.object(sys, 'path', [str(self.folder), *sys.path]))
        self.addCleanup(sys.modules.pop, 'foreign_part', None)

    def write(self, *, run='return Report()', options='None', interface='IExporter', **changes):
        text = MODULE.format(path=str(self.path), run=run, options=options)
        for old, new in changes.items():
            text = text.replace(old, new)
        sys.modules.pop('foreign_part', None)
        (self.folder / 'foreign_part.py').write_text(textwrap.dedent(text))
        self.zcml = self.folder / 'cds.zcml'
        self.zcml.write_text(ZCML.format(interface=interface))

    def run_command(self, *arguments):
        zope.component.testing.tearDown()
        zope.component.testing.setUp()
        return self.call('--zcml', self.zcml, *arguments)

    def outcomes(self, *, word):
        """Yield what becomes of one run by each command that makes one."""
        ended = unittest.mock.patch.object(watch.Watch, '_watch', one_round)
        with ended, unittest.mock.patch.object(watch, 'replace'):
            yield 'watch', self.run_command('watch')
        yield word, self.run_command(word)

    def test_options_of_its_own_kind_are_passed_on(self):
        for interface, word in (('IExporter', 'export'), ('IImporter', 'import')):
            for options in ({'quota': 100}, {}, 'quick'):
                self.write(
                    run='assert options is self.options; return Report()',
                    options=repr(options),
                    interface=interface,
                )
                for command, outcome in self.outcomes(word=word):
                    with self.subTest(command=command, options=options):
                        self.assertEqual('', outcome.err)
                        self.assertEqual(0, outcome.code)

    def test_the_command_line_has_no_options_for_it(self):
        self.write(options={'quota': 100})
        for command in ('export', 'watch'):
            outcome = self.run_command(command, '--max-files', '5')
            self.assert_line(outcome, 64, '--max-files cannot be used with Mine')

    def test_its_mistakes_are_no_bugs_of_ours(self):
        place = rf'{self.folder}/foreign_part.py, line 16'
        for run, pattern in (
            ('raise LookupError("the quota")', f'failed in {place} .*: LookupError: the quota'),
            ('return int("x")', f'failed in {place} .*: ValueError: invalid literal'),
            ('return zope.component.getUtility(IExporter, "no")', f'failed in {place} .*: Comp'),
            ('pass', 'Mine.run_once returned no report: None. It must return'),
        ):
            more = 'import zope.component, zope.interface'
            self.write(run=run, **{'import zope.interface': more})
            for command, outcome in self.outcomes(word='export'):
                with self.subTest(run=run, command=command):
                    self.assertRegex(outcome.err, f'^zeit-cds: mine: .*{pattern}')
                    self.assertEqual(0 if command == 'watch' else 78, outcome.code)

    def test_what_it_lacks_is_told_with_file_and_line(self):
        for lacks in ('target =', 'def run_once'):
            self.write(**{lacks: lacks.replace('target', 'aim').replace('run_once', 'go')})
            for command in ('export', 'watch'):
                with self.subTest(lacks=lacks, command=command):
                    outcome = self.run_command(command)
                    self.assert_line(outcome, 78, r'cds\.zcml, line 3: .*Mine.*IExporter')

    def test_what_a_part_of_it_lacks(self):
        self.write(
            interface='ITarget',
            **{'IExporter, IImporter\n': 'ITarget\n', '(IExporter, IImporter)': '(ITarget)'},
        )
        self.zcml.write_text(
            self.zcml.read_text().replace(
                '</configure>',
                f"""
                <configure xmlns="http://namespaces.zeit.de/cds">
                  <spool name="articles" path="{self.path}" />
                  <exporter name="articles" spool="articles" target="mine" />
                </configure>
                </configure>""",
            )
        )
        for command in ('export', 'watch'):
            outcome = self.run_command(command)
            self.assert_line(outcome, 78, r'cds\.zcml, line 3: .*Mine.*ITarget')

    def test_one_that_cannot_be_looked_at_does_not_hide_the_others(self):
        self.write(**{'target = MemoryTarget()': '', 'spool = Spool': 'other = Spool'})
        text = (self.folder / 'foreign_part.py').read_text()
        for what in ('spool', 'target'):
            text += f'\n    @property\n    def {what}(self):\n        raise LookupError("no")\n'
        (self.folder / 'foreign_part.py').write_text(text)
        self.zcml.write_text(
            self.zcml.read_text().replace(
                '</configure>',
                f"""
                <configure xmlns="http://namespaces.zeit.de/cds">
                  <spool name="articles" path="{self.path}" />
                  <target name="t" host="127.0.0.1" port="1" directory="/" />
                  <exporter name="articles" spool="articles" target="t" />
                </configure>
                </configure>""",
            )
        )
        outcome = self.run_command('status')
        self.assertIn('mine: Mine has no spool or target: LookupError: no', outcome.err)
        self.assertIn('waiting    2 files', outcome.out)
        self.assertEqual(0, self.run_command('watch', 'articles', '--check').code)
        self.assertEqual(69, self.run_command('export', 'articles').code)
        self.assert_line(self.run_command('export', 'mine'), 78, 'foreign_part.py.* LookupError')

    def test_a_spool_that_fails(self):
        self.write(**{'spool = Spool(': 'spool = Broken(', '\n\n@zope': f'\n\n{BROKEN}\n\n@zope'})
        outcome = self.run_command('status')
        self.assertEqual(78, outcome.code)
        self.assertIn('It cannot be read: LookupError: no disk', outcome.out)

    def test_an_exit_code_of_its_own(self):
        self.write(
            run='return Own()',
            **{'\n\n@zope': '\n\nclass Own(Report):\n    exit_code = 3\n\n\n@zope'},
        )
        self.assertEqual(3, self.run_command('export').code)


def one_round(self, arriving, heartbeat):
    """Let each have one turn, in place of `Watch._watch`."""
    for turn in self._turns:
        turn.take(self._clock)


class CheckTests(unittest.TestCase):
    """What is read before a reload may do as it likes."""

    def test_what_it_says(self):
        self.assertEqual('', watch.why_not(str))
        self.assertEqual('no', watch.why_not(lambda: 'no'))

    def test_an_empty_registry(self):
        def known():
            return ' '.join(str(each) for each, _ in zope.component.getUtilitiesFor(IWakeUp))

        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        zope.component.provideUtility(object(), IWakeUp, name='mine')
        self.assertEqual('', watch.why_not(known))
        self.assertEqual('mine', known())

    def test_what_it_raises(self):
        self.assertRegex(watch.why_not(lambda: 1 / 0), 'ZeroDivisionError: division')

    def test_its_end(self):
        self.assertRegex(watch.why_not(lambda: os._exit(3)), 'ended with 3')
        self.assertRegex(watch.why_not(lambda: os.kill(os.getpid(), signal.SIGTERM)), 'with -15')

    def test_a_check_that_hangs_is_given_up(self):
        with unittest.mock.patch.object(watch, 'CHECK_TIMEOUT', 0.1):
            self.assertRegex(watch.why_not(lambda: time.sleep(60)), 'took longer than 0.1 s')
