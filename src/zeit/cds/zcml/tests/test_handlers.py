"""The directives, what they say about mistakes, and what an integrator can replace."""

import functools
import pathlib
import socket
import subprocess
import sys
import tempfile
import textwrap
import traceback
import unittest
import unittest.mock

import zope.component
import zope.component.testing
import zope.interface
from zope.configuration import xmlconfig
from zope.configuration.config import ConfigurationMachine
from zope.configuration.exceptions import ConfigurationError as ZCMLError

from zeit.cds import errors
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.ftp.tls import TLS
from zeit.cds.interfaces import IExporter, ISpool, ITarget
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import Delivery
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.test_main_password import chain, raised, variables
from zeit.cds.values.report import Report
from zeit.cds.zcml import handlers, schemas


SECRET = 'hunter2 &amp; more'
REVEALED = 'hunter2 & more'

SPOOL = '<cds:spool name="s" path="spool" />'
TARGET = f'<cds:target name="t" directory="/" host="h" user="u" password="{SECRET}" />'
EXPORTER = '<cds:exporter name="e" spool="s" target="t" />'

#: The directives of a test begin in this line of their file.
FIRST = 5


def somewhere(target):
    """Return the attributes of a target with a directory."""
    return target if 'directory=' in target else f'{target} directory="/"'


class ZCMLTests(unittest.TestCase):
    """An empty registry, a folder, and ZCML files in it."""

    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        # Its real path is what the messages name.
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder).resolve()

    def write(self, *lines, name='cds.zcml'):
        """Write a ZCML file of these directives; return its path."""
        head = [
            '<configure xmlns="http://namespaces.zope.org/zope"',
            '    xmlns:cds="http://namespaces.zeit.de/cds">',
            '',
            '<include package="zeit.cds" />',
        ]
        path = self.folder / name
        path.write_text('\n'.join([*head, *lines, '</configure>\n']), 'utf-8')
        return str(path)

    def read(self, *lines):
        """Read ZCML as an application does."""
        return xmlconfig.file(self.write(*lines))

    def problem(self, *lines):
        """Return what `load` says about a file with a mistake, without the folder."""
        path = self.write(*lines)
        with self.assertRaises(errors.ConfigurationError) as caught:
            handlers.load(path)
        self.caught = caught.exception
        self.assertEqual(errors.CONFIGURATION, self.caught.exit_code)
        return str(self.caught).replace(f'{self.folder}/', '')


class DirectiveTests(ZCMLTests):
    def test_spool_with_a_path_relative_to_the_file(self):
        self.read(SPOOL)
        spool = zope.component.getUtility(ISpool, name='s')
        self.assertEqual(self.folder / 'spool', spool.path)
        self.assertIsInstance(spool, Spool)

    def test_target_has_the_defaults_of_its_classes(self):
        self.read('<cds:target name="t" directory="/" host="ftp.example.com" />')
        target = zope.component.getUtility(ITarget, name='t')
        self.assertEqual(Settings(host='ftp.example.com'), target.settings)
        self.assertEqual(Delivery(), target.delivery)

    def test_target_takes_every_attribute(self):
        self.read(
            '<cds:target name="t" host="h" port="2121" user="u" directory="/a" temporary="no"',
            '  size_check="false" exists="park" encoding="latin-1" connect_timeout="1"',
            '  reply_timeout="2.5" data_timeout="3" />',
        )
        target = zope.component.getUtility(ITarget, name='t')
        self.assertEqual(
            Settings(
                host='h',
                port=2121,
                user='u',
                directory='/a',
                encoding='latin-1',
                connect_timeout=1,
                reply_timeout=2.5,
                data_timeout=3,
            ),
            target.settings,
        )
        expected = Delivery(temporary=False, size_check=False, exists='park')
        self.assertEqual(expected, target.delivery)

    def test_exporter_has_the_defaults_of_its_options(self):
        self.read(SPOOL, TARGET, EXPORTER)
        self.assertEqual(Options(), zope.component.getUtility(IExporter, name='e').options)

    def test_exporter_takes_every_attribute(self):
        self.read(
            SPOOL,
            TARGET,
            '<cds:exporter name="e" spool="s" target="t" order="name" strict="yes"',
            '  max_files="10" max_bytes="1000000" empty="park"',
            '  park_after="2" deadline="0" />',
        )
        self.assertEqual(
            Options(
                order='name',
                strict=True,
                max_files=10,
                max_bytes=1_000_000,
                empty='park',
                park_after=2,
                deadline=0,
            ),
            zope.component.getUtility(IExporter, name='e').options,
        )

    def test_tls(self):
        self.read(
            '<cds:target name="t" directory="/"'
            ' host="h" tls="implicit" tls_verify="no" tls_minimum="1.3"',
            '  tls_maximum="1.3" tls_curve="any" ca_file="ca.pem"',
            '  certificate="our.pem" key="our.key" />',
        )
        settings = zope.component.getUtility(ITarget, name='t').settings
        self.assertEqual(
            TLS(
                mode='implicit',
                verify=False,
                minimum='1.3',
                maximum='1.3',
                curve='any',
                ca_file=str(self.folder / 'ca.pem'),
                certificate=str(self.folder / 'our.pem'),
                key=str(self.folder / 'our.key'),
            ),
            settings.tls,
        )
        self.assertEqual(990, settings.port)

    def test_one_warning_for_a_target_without_tls(self):
        with self.assertLogs('zeit.cds', 'WARNING') as caught:
            self.read(
                TARGET,
                '<cds:target name="a" directory="/" host="127.0.0.1" />',
                '<cds:target name="b" directory="/" host="h" tls="explicit" />',
            )
        (record,) = caught.records
        self.assertRegex(record.getMessage(), 'Without TLS .* on the way to h:')

    def test_no_warning_for_one_that_was_overridden(self):
        self.write(TARGET, name='base.zcml')
        self.write(
            '<cds:target name="t" directory="/" host="h" tls="explicit" />', name='overrides.zcml'
        )
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')

    def test_every_attribute_says_what_it_is_for(self):
        for schema in (
            schemas.ISpoolDirective,
            schemas.ITargetDirective,
            schemas.ISFTPTargetDirective,
            schemas.IExporterDirective,
        ):
            for name, field in zope.schema.getFieldsInOrder(schema):
                self.assertTrue(field.title, name)

    def test_nothing_is_used_while_zcml_is_read(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            listener.setblocking(False)
            self.read(
                SPOOL,
                '<cds:target name="t" directory="/"'
                f' host="127.0.0.1" port="{listener.getsockname()[1]}"',
                '  user="u" password_file="missing" />',
                EXPORTER,
            )
            with self.assertRaises(BlockingIOError):
                listener.accept()
        self.assertEqual(['cds.zcml'], [path.name for path in self.folder.iterdir()])


class IncludeTests(ZCMLTests):
    def test_twice_from_two_files_and_beside_the_directives_of_zope(self):
        self.write(name='other.zcml')
        self.read(
            '<include package="zope.component" file="meta.zcml" />',
            '<include package="zope.component" />',
            '<include package="zeit.cds" file="meta.zcml" />',
            '<include package="zeit.cds" />',
            '<include file="other.zcml" />',
            SPOOL,
        )
        self.assertIsNotNone(zope.component.queryUtility(ISpool, name='s'))

    def test_by_two_applications_in_one_process(self):
        self.read(SPOOL)
        self.read(SPOOL)

    def test_the_adapter_is_the_exporter(self):
        self.read(SPOOL, TARGET)
        spool = zope.component.getUtility(ISpool, name='s')
        target = zope.component.getUtility(ITarget, name='t')
        found = zope.component.getMultiAdapter((spool, target), IExporter)
        self.assertIs(Exporter, type(found))

    def test_without_zope_security_and_with_subscribers_called(self):
        (self.folder / 'site_of_mine.py').write_text('def told(event): print("told")\n')
        (self.folder / 'spool').mkdir()
        path = self.write(
            SPOOL,
            '<cds:target name="t" directory="/" host="127.0.0.1" />',
            EXPORTER,
            '<subscriber for="zeit.cds.interfaces.IExchangeFinished"',
            '  handler="site_of_mine.told" />',
        )
        program = """
            import sys
            sys.modules['zope.security'] = None
            sys.path[:0] = sys.argv[2:]
            import zeit.cds.zcml.handlers
            zeit.cds.zcml.handlers.load(sys.argv[1])
            import zope.component, zeit.cds.interfaces
            exporter = zope.component.getUtility(zeit.cds.interfaces.IExporter, name='e')
            print(exporter.run_once().exit_code)
        """
        done = subprocess.run(
            [sys.executable, '-c', textwrap.dedent(program), path, str(self.folder), *sys.path],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((0, 'told\n0\n'), (done.returncode, done.stdout), done.stderr)


class PasswordTests(ZCMLTests):
    def password(self, attribute):
        self.read(
            f'<cds:target name="t" directory="/" host="h.example.com" user="u" {attribute} />'
        )
        return zope.component.getUtility(ITarget, name='t').settings.password

    def test_as_an_attribute(self):
        self.assertEqual(REVEALED, self.password(f'password="{SECRET}"').reveal())

    def test_an_empty_one_is_one(self):
        self.assertEqual('', self.password('password=""').reveal())

    def test_from_a_file_beside_the_zcml(self):
        path = self.folder / 'pw'
        path.touch(mode=0o600)
        path.write_text('from file\nsecond line\n')
        self.assertEqual('from file', self.password('password_file="pw"').reveal())

    def test_from_the_environment_when_it_is_needed(self):
        password = self.password('password_env="ZEIT_CDS_TEST"')
        with self.assertRaises(errors.ConfigurationError):
            password.reveal()
        with unittest.mock.patch.dict('os.environ', ZEIT_CDS_TEST='from environment'):
            self.assertEqual('from environment', password.reveal())

    def test_from_netrc_for_this_host_and_user(self):
        path = self.folder / 'netrc'
        path.touch(mode=0o600)
        path.write_text('machine h.example.com login u password from-netrc\n')
        self.assertEqual('from-netrc', self.password('netrc="netrc"').reveal())

    def test_is_in_no_error_and_no_repr(self):
        lines = {
            'bad value': [
                f'<cds:target name="t" directory="/" host="h" password="{SECRET}" port="x" />'
            ],
            'missing': [f'<cds:target name="t" directory="/" password="{SECRET}" />'],
            'typing error': [f'<cds:target name="t" directory="/" host="h" pasword="{SECRET}" />'],
            'line end': [
                f'<cds:target name="t" directory="/" host="h" user="u" password="&#10;{SECRET}" />'
            ],
            'two sources': [
                f'<cds:target name="t" directory="/" host="h" netrc="a" password="{SECRET}" />'
            ],
            'not a variable': [
                f'<cds:target name="t" directory="/" host="h" password_env="{SECRET}" />'
            ],
            'no address': [
                '<cds:target name="t" directory="/" host="h" user="u" bind_address="x"'
                f' password="{SECRET}" />'
            ],
            'conflict': [TARGET, TARGET],
            'conflict with a utility': [
                TARGET,
                '<utility provides="zeit.cds.interfaces.ITarget" name="t"',
                f'  factory="{__name__}.memory_target" />',
            ],
            'bad XML': [
                f'<cds:target name="t" directory="/" host="h" user="u" password="{SECRET} />'
            ],
            'bad reference': [TARGET + '<cds:exporter name="e" spool="x" target="t" />' + TARGET],
        }
        for case, mistake in lines.items():
            with self.subTest(case):
                self.problem(*mistake)
                self.assertNotIn('hunter2', ''.join(traceback.format_exception(self.caught)))
                caught = raised(functools.partial(self.read, *mistake))
                self.assertIsInstance(caught, ZCMLError)
                self.assertNotIn('hunter2', ''.join(traceback.format_exception(caught)))
                self.assertNotIn('hunter2', repr(caught))
                for error in chain(caught):
                    self.assertNotIn('hunter2', ' '.join(variables(error)))
        machine = ConfigurationMachine()
        xmlconfig.registerCommonDirectives(machine)
        xmlconfig.include(machine, self.write(SPOOL, TARGET, EXPORTER))
        self.assertNotIn('hunter2', repr(machine.actions) + str(machine.actions))
        machine.execute_actions()
        registered = zope.component.getSiteManager().registeredUtilities()
        self.assertNotIn('hunter2', ' '.join(map(repr, registered)))

    def test_is_not_quoted_by_a_failing_action(self):
        # What `utility` does with it may fail in somebody else's registry.
        machine = ConfigurationMachine()
        xmlconfig.registerCommonDirectives(machine)
        xmlconfig.include(machine, self.write(TARGET))
        (ours,) = [a for a in machine.actions if a['discriminator'] == ('utility', ITarget, 't')]
        ours['callable'] = lambda *args, **kw: 1 / 0
        with self.assertRaises(ZCMLError) as caught:
            machine.execute_actions()
        text = str(caught.exception)
        self.assertIn(f'File "{self.folder}/cds.zcml", line {FIRST}.0', text)
        self.assertIn('ZeroDivisionError', text)
        self.assertNotIn('hunter2', text)


class MistakeTests(ZCMLTests):
    def test_conditions(self):
        (self.folder / 'broken_part.py').write_text('1 / 0\n')
        (self.folder / 'ending_part.py').write_text('raise SystemExit("no quota")\n')
        self.enterContext(unittest.mock.patch.object(sys, 'path', [*sys.path, str(self.folder)]))
        for condition, expected in (
            ('instaled zeit.cms', "ValueError: Invalid ZCML condition: 'instaled zeit.cms'"),
            ('installed', "ValueError: Package name missing: 'installed'"),
            ('have a b', "ValueError: Only one feature allowed: 'have a b'"),
            ('', 'IndexError: pop from empty list'),
            ('installed broken_part', 'ZeroDivisionError: division by zero'),
            ('installed ending_part', 'SystemExit: no quota'),
        ):
            mistake = (
                '<configure xmlns:zcml="http://namespaces.zope.org/zcml"'
                f' zcml:condition="{condition}" />'
            )
            with self.subTest(condition):
                self.assertEqual(
                    f'cds.zcml, line {FIRST + 1}: {expected}', self.problem('', mistake)
                )
                self.write('', '', mistake, name='inner.zcml')
                problem = self.problem('<include file="inner.zcml" />')
                self.assertEqual(f'inner.zcml, line {FIRST + 2}: {expected}', problem)

    def test_a_signal_while_it_is_read(self):
        (self.folder / 'ended_part.py').write_text('raise SystemExit(128 + 15)\n')
        self.enterContext(unittest.mock.patch.object(sys, 'path', [*sys.path, str(self.folder)]))
        with self.assertRaises(SystemExit):
            handlers.load(self.write('<include package="ended_part" />'))

    def test_what_other_peoples_code_raises(self):
        (self.folder / 'broken_part.py').write_text(
            'def factory():\n    raise LookupError("no quota")\n'
        )
        self.enterContext(unittest.mock.patch.object(sys, 'path', [*sys.path, str(self.folder)]))
        self.addCleanup(sys.modules.pop, 'broken_part', None)
        problem = self.problem(
            '',
            '<utility provides="zeit.cds.interfaces.IWakeUp" factory="broken_part.factory" />',
        )
        self.assertRegex(problem, f'^cds.zcml, line {FIRST + 1}: .*LookupError: .*no quota')

    def test_bad_values(self):
        start = '<cds:target name="t" directory="/" host="h" '
        for mistake, said in {
            start + 'port="ftp" />': "'port': 'ftp' is not a port: a number from 1 to 65535",
            start + 'port="0" />': "'port': '0' is not a port: a number from 1 to 65535",
            start + 'port="65536" />': "'port': '65536' is not a port: a number from 1 to 65535",
            start + 'exists="x" />': "'exists': 'x' is not one of: replace, park",
            start + 'temporary="maybe" />': "'temporary': 'maybe' is not yes or no",
            start + 'user="" />': "'user': '' is not a non-empty text on one line",
            start + 'user="a&#13;b" />': "'user': 'a\\rb' is not a non-empty text on one line",
            start + 'reply_timeout="0" />': (
                "'reply_timeout': '0' is not a number of seconds above 0, at most 86400"
            ),
            start + 'data_timeout="nan" />': (
                "'data_timeout': 'nan' is not a number of seconds above 0, at most 86400"
            ),
            start + 'encoding="klingon" />': (
                "'encoding': 'klingon' is not an encoding that includes ASCII"
            ),
            start + 'encoding="rot13" />': (
                "'encoding': 'rot13' is not an encoding that includes ASCII"
            ),
            '<cds:spool name="s" path="" />': "'path': '' is not a path",
            '<cds:spool name=" " path="x" />': (
                "'name': ' ' is not a name: some characters on one line"
            ),
            '<cds:exporter name="e" spool="s" target="t" max_files="0" />': (
                "'max_files': '0' is not a whole number, at least 1"
            ),
            '<cds:exporter name="e" spool="s" target="t" park_after="-1" />': (
                "'park_after': '-1' is not a whole number, at least 0"
            ),
            '<cds:exporter name="e" spool="s" target="t" deadline="nan" />': (
                "'deadline': 'nan' is not a number of seconds from 0 to 86400"
            ),
            '<cds:exporter name="e" spool="s" target="t" empty="" />': (
                "'empty': '' is not one of: send, park, skip"
            ),
        }.items():
            with self.subTest(mistake):
                expected = f'cds.zcml, line {FIRST}: Invalid value for {said}'
                self.assertEqual(expected, self.problem(mistake))

    def test_two_places_for_a_password(self):
        self.assertEqual(
            f'cds.zcml, line {FIRST + 1}: '
            'Give the password in one place, not in password_file and netrc',
            self.problem(
                '', '<cds:target name="t" directory="/" host="h" netrc="a" password_file="b" />'
            ),
        )

    def test_attributes_and_directives_that_do_not_exist_or_are_missing(self):
        for mistake, said in {
            '<cds:target name="t" directory="/" host="h" size-check="no" />': (
                'Unrecognized parameters: size-check'
            ),
            '<cds:target name="t" directory="/" />': "Missing parameter: 'host'",
            '<cds:target name="t" host="h" user="u" />': "Missing parameter: 'directory'",
            '<cds:target name="t" directory="/" host="h" password="x" />': (
                'Missing parameter \'user\'; use user="anonymous" if there is no account'
            ),
            '<cds:target name="t" directory="/" host="ftp://h" user="u" />': (
                'The host is a URL, or a part of one, not the name of a server. Give the name '
                'or address alone; port, user and directory are separate settings, '
                'ftpes:// is tls="explicit" and ftps:// tls="implicit".'
            ),
            '<cds:porter />': 'Unknown directive: http://namespaces.zeit.de/cds: porter',
            '<cds:spool name="s" path="x"><cds:spool name="t" path="y"/></cds:spool>': (
                "Invalid directive ('http://namespaces.zeit.de/cds', 'spool')"
            ),
        }.items():
            with self.subTest(mistake):
                self.assertEqual(f'cds.zcml, line {FIRST}: {said}', self.problem(mistake))

    def test_what_an_application_is_told(self):
        with self.assertRaises(ZCMLError) as caught:
            self.read('<cds:target name="t" directory="/" host="h"', '  port="ftp" />')
        self.assertEqual(
            "Invalid value for 'port'\n"
            f'    File "{self.folder}/cds.zcml", line {FIRST}.0-{FIRST + 1}.15\n'
            '    zope.schema._bootstrapinterfaces.ValidationError: '
            "'ftp' is not a port: a number from 1 to 65535",
            str(caught.exception),
        )

    def test_the_same_name_twice(self):
        self.assertEqual(
            f'cds.zcml, line {FIRST + 1}: This is registered already, in cds.zcml, line {FIRST}: '
            "('utility', <InterfaceClass zeit.cds.interfaces.spool.ISpool>, 's')",
            self.problem(SPOOL, SPOOL),
        )

    def test_several_names_twice(self):
        two = [SPOOL, SPOOL.replace('"s"', '"a"').replace('path="', 'path="a')]
        self.assertEqual(
            f'cds.zcml, line {FIRST + 3}: This is registered already, in cds.zcml, line '
            f"{FIRST + 1}: ('utility', <InterfaceClass zeit.cds.interfaces.spool.ISpool>, 'a')",
            self.problem(*two, *two),
        )

    def test_no_xml(self):
        self.assertEqual(
            f'cds.zcml, line {FIRST}: This is no XML: unbound prefix',
            self.problem('<dcs:spool name="s" path="x" />'),
        )

    def test_the_innermost_file_is_named(self):
        self.write('', TARGET.replace('/>', 'prot="21" />'), name='inner.zcml')
        self.assertEqual(
            f'inner.zcml, line {FIRST + 1}: Unrecognized parameters: prot',
            self.problem('<include file="inner.zcml" />'),
        )

    def test_what_other_directives_refuse(self):
        self.assertEqual(
            f"cds.zcml, line {FIRST}: TypeError: Missing 'provides' attribute",
            self.problem('<utility component="json" name="x" />'),
        )
        self.assertEqual(
            f'cds.zcml, line {FIRST}: ZeroDivisionError: division by zero',
            self.problem(
                f'<utility factory="{__name__}.failing" provides="zeit.cds.interfaces.ISpool" />'
            ),
        )

    def test_files_that_cannot_be_read(self):
        (self.folder / 'cds.zcml.in').write_text('<configure />')
        (self.folder / 'latin.zcml').write_bytes(b'<!-- \xfc hunter2 --><configure />')
        for name, said in {
            'cds.zcml': 'cds.zcml: No such file or directory',
            '': 'Is a directory',
            'latin.zcml': 'latin.zcml: it is not a text in UTF-8',
        }.items():
            with self.subTest(name), self.assertRaises(errors.ConfigurationError) as caught:
                handlers.load(self.folder / name)
            self.assertTrue(str(caught.exception).endswith(said), caught.exception)


class ReferenceTests(ZCMLTests):
    def test_files_that_would_go_round(self):
        importer = '<cds:importer name="i" spool="s" target="t" />'
        again = [
            '<cds:target name="t2" directory="/"'
            f' host="h" user="u" tls="explicit" password="{SECRET}" />',
            '<cds:importer name="i" spool="s" target="t2" />',
        ]
        for lines in ([importer], again):
            with self.subTest(lines):
                said = self.problem(SPOOL, TARGET, EXPORTER, *lines)
                self.assertIn("'e': The importer 'i' has the same spool and target", said)
                self.assertIn('Import into another spool.', said)
                zope.component.testing.tearDown()
                zope.component.testing.setUp()
        elsewhere = '<cds:target name="o" host="h" directory="/out" />'
        self.read(SPOOL, TARGET, EXPORTER, elsewhere, importer.replace('"t"', '"o"'))

    #: Targets that are the directory of TARGET, and some that are another one.
    SAME = (
        'host="H" user="u"',
        'host="h." user="u" port="21"',
        'host="h" user="u" tls="implicit"',
        'host="h" user="u" tls="explicit" directory="//"',
        'host="h" user="u" directory="/in/.."',
    )
    OTHER = (
        'host="h2" user="u"',
        'host="h" user="u2"',
        'host="h" user="u" port="2121"',
        'host="h" user="u" directory="/in"',
        'host="h" user="U"',
    )

    def both_ways(self, target, *, again='', importer='two_way="no"'):
        path = self.folder / 'other'
        path.mkdir(exist_ok=True)
        zope.component.testing.tearDown()
        zope.component.testing.setUp()
        return [
            *(SPOOL, EXPORTER, f'<cds:spool name="s2" path="{path}" />'),
            again or TARGET,
            f'<cds:target name="t2" {somewhere(target)} password="{SECRET}" />',
            f'<cds:importer name="i" spool="s2" target="t2" {importer} />',
        ]

    def test_an_import_from_where_an_exporter_delivers_to(self):
        for target in self.SAME:
            with self.subTest(target):
                said = self.problem(*self.both_ways(target))
                self.assertIn("Exporter 'e': The importer 'i' has the same directory", said)
                self.read(*self.both_ways(target, importer='two_way="yes"'))
        for target in self.OTHER:
            with self.subTest(target):
                self.read(*self.both_ways(target))

    def test_an_import_as_another_user_may_be_from_there(self):
        """Only a person knows whether their accounts see the same files."""
        target = 'host="h" user="u2" tls="explicit"'
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            self.read(*self.both_ways(target))
        about = [line for line in logs.output if 'same directory' in line]
        self.assertEqual(1, len(about), logs.output)
        for text in "The exporter 'e' has", "another user: 'u', not 'u2'", 'two_way="yes"':
            self.assertIn(text, about[0])
        for lines in (
            self.both_ways(target, importer='two_way="yes"'),
            self.both_ways(f'{target} directory="/in"'),
        ):
            with self.assertNoLogs('zeit.cds.zcml.configured', 'WARNING'):
                self.read(*lines)

    def test_a_directory_is_what_it_is_however_it_is_written(self):
        for one, other in (
            ('host="127.0.0.1"', 'host="localhost"'),
            ('host="::1"', 'host="0:0:0:0:0:0:0:1"'),
            ('host="2001:db8::1"', 'host="2001:DB8:0::0:1"'),
            ('host="b\xfccher.example"', 'host="xn--bcher-kva.example"'),
            ('host="h" directory="/in/"', 'host="h" directory="in"'),
            ('host="h" directory="/a b"', 'host="h" directory="/a b/."'),
        ):
            with self.subTest(one, other=other):
                again = f'<cds:target name="t" {somewhere(one)} user="u" password="{SECRET}" />'
                lines = self.both_ways(f'{other} user="u"', again=again)
                self.assertIn('has the same directory on the server', self.problem(*lines))

    def test_two_ways_with_one_spool_are_never_allowed(self):
        importer = '<cds:importer name="i" spool="s" target="t" two_way="yes" />'
        said = self.problem(SPOOL, TARGET, EXPORTER, importer)
        self.assertIn('has the same spool and target', said)

    def test_the_order_in_the_file_does_not_matter(self):
        self.read(EXPORTER, TARGET, SPOOL)
        self.assertIsNotNone(zope.component.queryUtility(IExporter, name='e'))

    def test_an_unknown_spool_is_an_error(self):
        self.assertEqual(
            f"cds.zcml, line {FIRST + 1}: Exporter 'e': There is no spool 's'; none is defined",
            self.problem(TARGET, EXPORTER),
        )

    def test_an_unknown_target_is_an_error_that_names_the_known_ones(self):
        self.assertEqual(
            f"cds.zcml, line {FIRST}: Exporter 'e': There is no target 't'; there are 'T'",
            self.problem(EXPORTER, SPOOL, TARGET.replace('"t"', '"T"')),
        )

    def test_an_application_is_told_file_and_line(self):
        with self.assertRaises(ZCMLError) as caught:
            self.read(SPOOL, EXPORTER)
        self.assertEqual(
            "Exporter 'e': There is no target 't'; none is defined\n"
            f'    File "{self.folder}/cds.zcml", line {FIRST + 1}.0-{FIRST + 1}.46',
            str(caught.exception),
        )

    def test_what_plain_utilities_register_in_another_file_is_accepted(self):
        self.write(
            '<utility provides="zeit.cds.interfaces.ITarget" name="t"',
            f'  factory="{__name__}.memory_target" />',
            name='other.zcml',
        )
        self.read(SPOOL, EXPORTER, '<include file="other.zcml" />')

    def test_what_is_in_the_registry_is_accepted(self):
        zope.component.provideUtility(MemoryTarget(), ITarget, name='t')
        self.read(SPOOL, EXPORTER)

    def test_an_overridden_exporter_may_refer_to_nothing(self):
        self.write(EXPORTER.replace('"s"', '"nothing"'), name='base.zcml')
        self.write(EXPORTER, SPOOL, TARGET, name='overrides.zcml')
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')

    def test_two_exporters_of_one_spool_to_one_target_are_refused(self):
        second = '<cds:exporter name="f" spool="s" target="t" />'
        said = self.problem(SPOOL, TARGET, EXPORTER, second)
        self.assertIn("line 7: Exporter 'e': spool and target are also those of exporter 'f'", said)

    def test_two_exporters_of_one_spool_are_two_partners(self):
        self.read(
            SPOOL,
            TARGET,
            EXPORTER,
            '<cds:target name="u" host="other.example" directory="/" />',
            '<cds:exporter name="f" spool="s" target="u" wanted="*.xml" />',
        )
        spool = zope.component.getUtility(ISpool, name='s')
        found = [zope.component.getUtility(IExporter, name=name) for name in 'ef']
        self.assertEqual(['e', 'f'], [each.spool.name for each in found])
        self.assertEqual([spool] * 2, [each.spool.shared for each in found])
        self.assertEqual(['*', '*.xml'], [each.terms.wanted for each in found])
        self.assertIs(found[0].spool, found[0].spool)

    def test_an_importer_into_a_spool_of_two_partners_is_refused(self):
        said = self.problem(
            SPOOL,
            TARGET,
            EXPORTER,
            '<cds:target name="u" host="other.example" directory="/" />',
            '<cds:target name="v" host="third.example" directory="/" />',
            '<cds:exporter name="f" spool="s" target="u" />',
            '<cds:importer name="i" spool="s" target="v" />',
        )
        self.assertIn("Exporter 'e': its spool has several exporters, and is filled by", said)

    def test_two_exporters_of_one_spool_of_somebody_else_are_refused(self):
        other = zope.interface.implementer(ISpool)(type('Spool', (), {'path': '.'}))()
        zope.component.provideUtility(other, ISpool, name='s')
        second = '<cds:exporter name="f" spool="s" target="u" />'
        other = '<cds:target name="u" host="other.example" directory="/" />'
        said = self.problem(TARGET, other, EXPORTER, second)
        self.assertIn("Exporter 'e': its spool is also that of exporter 'f'", said)

    def test_but_not_if_one_was_overridden_or_is_of_somebody_else(self):
        other = '<cds:spool name="other" path="other" />'
        self.write(SPOOL, other, TARGET, EXPORTER, name='base.zcml')
        self.write(
            '<cds:exporter name="e" spool="other" target="t" />',
            '<cds:exporter name="f" spool="s" target="t" />',
            name='overrides.zcml',
        )
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')
        spool = zope.component.getUtility(ISpool, name='s')
        zope.component.provideUtility(Exporter(spool, MemoryTarget()), IExporter, name='mine')
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')

    def test_two_spools_in_one_directory_are_refused(self):
        (self.folder / 'spool').mkdir()
        (self.folder / 'link').symlink_to('spool')
        for path in ('spool', './x/../spool/', 'link'):
            with self.subTest(path):
                said = self.problem(SPOOL, f'<cds:spool name="r" path="{path}" />')
                self.assertRegex(said, "Spool '.': .*spool is also the directory of spool '.'")

    def test_without_the_adapter(self):
        self.read(SPOOL, TARGET)
        zope.component.getSiteManager().unregisterAdapter(Exporter)
        path = self.folder / 'meta_only.zcml'
        path.write_text(
            '<configure xmlns:cds="http://namespaces.zeit.de/cds">'
            '<include package="zeit.cds" file="meta.zcml" />' + EXPORTER + '</configure>'
        )
        with self.assertRaisesRegex(ZCMLError, 'No exporter is registered for <Spool'):
            xmlconfig.file(str(path))

    def test_what_disappears_later_is_in_the_report(self):
        self.read(SPOOL, TARGET, EXPORTER)
        exporter = zope.component.getUtility(IExporter, name='e')
        zope.component.getSiteManager().unregisterUtility(provided=ITarget, name='t')
        with self.assertLogs('zeit.cds', 'ERROR') as logs:
            report = exporter.run_once()
        self.assertEqual(errors.CONFIGURATION, report.exit_code)
        self.assertEqual("There is no target 't'; none is defined", str(report.error))
        self.assertEqual(['Exiting with exception:'], [r.getMessage() for r in logs.records])


class IntegrationTests(layers.ServerTests, ZCMLTests):
    """Everything in ZCML, a server at the other end."""

    layer = layers.PYFTPD

    def setUp(self):
        super().setUp()
        (self.folder / 'spool').mkdir()
        Spool(self.folder / 'spool').put('a.xml', b'<a />')
        self.target = (
            '<cds:target name="t" directory="/"'
            f' host="{self.server.host}" port="{self.server.port}"'
            f' user="{self.server.user}" password="{self.server.password}" />'
        )

    def run_once(self, options=None):
        with self.assertLogs('zeit.cds', 'INFO') as self.logs:
            return zope.component.getUtility(IExporter, name='e').run_once(options)

    def on_server(self):
        return sorted(path.name for path in self.server.root.iterdir())

    def test_delivers(self):
        self.read(SPOOL, self.target, EXPORTER)
        report = self.run_once()
        self.assertEqual((0, ['a.xml']), (report.exit_code, report.delivered))
        self.assertEqual(b'<a />', (self.server.root / 'a.xml').read_bytes())
        self.assertEqual(['a.xml'], [p.name for p in (self.folder / 'spool' / 'cur').iterdir()])

    def test_the_command_line_reads_the_same_file(self):
        handlers.load(self.write(SPOOL, self.target, EXPORTER))
        self.assertEqual(['a.xml'], self.run_once().delivered)

    def test_a_file_without_includes_is_enough_for_the_command_line(self):
        path = self.folder / 'short.zcml'
        path.write_text(
            '<configure xmlns:cds="http://namespaces.zeit.de/cds">'
            f'{SPOOL}{self.target}{EXPORTER}</configure>'
        )
        handlers.load(path)
        self.assertEqual(['a.xml'], self.run_once().delivered)

    def test_the_options_of_the_directive_are_used(self):
        Spool(self.folder / 'spool').put('b.xml', b'<b />')
        self.read(SPOOL, self.target, EXPORTER.replace('/>', 'max_files="1" />'))
        self.assertEqual(['a.xml'], self.run_once().delivered)

    def test_the_options_of_a_call_are_used_instead(self):
        self.read(SPOOL, self.target, EXPORTER.replace('/>', 'max_files="1" />'))
        report = self.run_once(Options(dry_run=True))
        self.assertEqual(['planned'], [result.status for result in report.results])
        self.assertEqual([], self.on_server())

    def test_a_replaced_target_is_used(self):
        self.write(
            '<utility provides="zeit.cds.interfaces.ITarget" name="t"',
            f'  factory="{__name__}.memory_target" />',
            name='overrides.zcml',
        )
        self.write(SPOOL, self.target, EXPORTER, name='base.zcml')
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')
        self.run_once()
        target = zope.component.getUtility(ITarget, name='t')
        self.assertIsInstance(target, MemoryTarget)
        self.assertEqual({'a.xml': b'<a />'}, target.files)
        self.assertEqual([], self.on_server())

    def test_a_replaced_spool_is_used(self):
        other = self.folder / 'other'
        other.mkdir()
        Spool(other).put('b.xml', b'<b />')
        self.write('<cds:spool name="s" path="other" />', name='overrides.zcml')
        self.write(SPOOL, self.target, EXPORTER, name='base.zcml')
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')
        self.assertEqual(['b.xml'], self.run_once().delivered)
        self.assertEqual(['b.xml'], self.on_server())

    def test_a_replaced_exporter_is_used(self):
        self.write(
            '<utility provides="zeit.cds.interfaces.IExporter" name="e"',
            f'  factory="{__name__}.OtherExporter" />',
            name='overrides.zcml',
        )
        self.write(SPOOL, self.target, EXPORTER, name='base.zcml')
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')
        exporter = zope.component.getUtility(IExporter, name='e')
        self.assertIsInstance(exporter, OtherExporter)
        self.assertEqual([], exporter.run_once().results)

    def test_a_replaced_adapter_is_used(self):
        self.write(f'<adapter factory="{__name__}.OtherExporter" />', name='overrides.zcml')
        self.write(SPOOL, self.target, EXPORTER, name='base.zcml')
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')
        report = zope.component.getUtility(IExporter, name='e').run_once()
        self.assertEqual([], report.results)
        self.assertEqual([], self.on_server())

    def test_what_is_replaced_after_the_exporter_was_taken_is_used(self):
        self.read(SPOOL, self.target, EXPORTER)
        exporter = zope.component.getUtility(IExporter, name='e')
        target = MemoryTarget()
        zope.component.provideUtility(target, ITarget, name='t')
        with self.assertLogs('zeit.cds', 'INFO'):
            exporter.run_once()
        self.assertIs(target, exporter.target)
        self.assertEqual({'a.xml': b'<a />'}, target.files)

    def test_a_subscriber_is_told_and_one_that_raises_changes_nothing(self):
        told = []
        self.enterContext(unittest.mock.patch(f'{__name__}.told', told.append))
        self.read(
            SPOOL,
            self.target,
            EXPORTER,
            *subscriber('IExchangeEvent', 'tell'),
            *subscriber('IFileExported', 'fail'),
            *subscriber('IExchangeFinished', 'fail'),
        )
        report = self.run_once()
        self.assertEqual((0, ['a.xml'], None), (report.exit_code, report.delivered, report.error))
        self.assertEqual(['a.xml'], self.on_server())
        exported, finished = told
        self.assertEqual('a.xml', exported.result.name)
        self.assertIs(report, finished.report)
        failed = [r.getMessage() for r in self.logs.records if r.exc_info]
        self.assertEqual(
            [
                'A subscriber of FileExported failed.',
                'A subscriber of ExchangeFinished failed.',
            ],
            failed,
        )


# What the ZCML of these tests names


def subscriber(interface, handler):
    return [
        f'<subscriber for="zeit.cds.interfaces.{interface}"',
        f'  handler="{__name__}.{handler}" />',
    ]


def memory_target():
    return MemoryTarget()


def failing():
    return 1 / 0


@zope.interface.implementer(IExporter)
@zope.component.adapter(ISpool, ITarget)
class OtherExporter:
    def __init__(self, spool=None, target=None):
        self.spool, self.target = spool, target

    def run_once(self, options=None):
        return Report()


def told(event):
    """Replaced by the test."""


def tell(event):
    told(event)


def fail(event):
    raise RuntimeError('a subscriber')
