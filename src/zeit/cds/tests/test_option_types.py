"""Each option has all of its faces, they take the same values, and documents say the same."""

import contextlib
import dataclasses
import re
import textwrap
import unittest

import zope.component
import zope.schema

from zeit.cds import errors
from zeit.cds.cli.commands import group
from zeit.cds.credentials import Secret
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.ftp.tls import TLS
from zeit.cds.interfaces import IExporter, IImporter, IProductConfiguration, ISpool, ITarget
from zeit.cds.option_types import SECONDS, YES_NO, options, require_fit, whole
from zeit.cds.sftp.connection_options import PASSPHRASE_FILE, SFTP_ONLY
from zeit.cds.sftp.connection_options import Settings as SFTPSettings
from zeit.cds.target.delivery_options import Delivery
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import docs
from zeit.cds.values.run_options import ImportOptions, Keep, Options
from zeit.cds.zcml import schemas
from zeit.cds.zcml.tests.test_handlers import SPOOL, TARGET, ZCMLTests


#: The classes of options: the command that has those of each, and the directive.
FACES = {
    Options: ('export', schemas.IExporterDirective),
    ImportOptions: ('import', schemas.IImporterDirective),
    Delivery: ('export', schemas.ITargetDirective),
    TLS: ('export', schemas.ITargetDirective),
    Settings: ('export', schemas.ITargetDirective),
    SFTPSettings: ('export', schemas.ISFTPTargetDirective),
    Keep: ('prune', schemas.ISpoolDirective),
}

DIRECTIVES = {
    'spool': schemas.ISpoolDirective,
    'target': schemas.ITargetDirective,
    'sftp_target': schemas.ISFTPTargetDirective,
    'exporter': schemas.IExporterDirective,
    'importer': schemas.IImporterDirective,
}

#: Values of which each option takes one, and what some options need beside them.
VALUES = ('/7', '7', 'yes', 'no', 'latin-1')
SPECIAL = {
    'bind_address': '127.0.0.1',
    'keep': '7d',
    'give_up_after': '7d',
    'bandwidth': '2M 08:00-20:00',
    'priority': 'a*=1',
    'host_key': f'SHA256:{"A" * 43}',
    'proxy_jump': 'u@jump:2222,[::1]',
}
BESIDE = {'key': {'certificate': '/c'}, 'ssh_certificate': {'ssh_key': '/k'}}


def known():
    """Yield (class, field, option) for all that there are."""
    for kind in FACES:
        for field, option in options(kind).items():
            if kind is not SFTPSettings or field in SFTP_ONLY:
                yield kind, field, option


def other(option):
    """Return a text that stands for another value than the default."""
    if option.name in SPECIAL:
        return SPECIAL[option.name]
    for text in (*VALUES, *option.kind.metavar.strip('[]').split('|')):
        with contextlib.suppress(ValueError):
            if option.kind.read(text) != option.default:
                return text
    raise AssertionError(option)


class KindTests(unittest.TestCase):
    layer = QUIET

    def test_what_does_not_fit_is_refused_and_wanted_is_said(self):
        for kind, text in (
            (SECONDS, '0'), (SECONDS, 'nan'), (SECONDS, 'inf'), (SECONDS, '1e9'), (SECONDS, 'x'),
            (whole(1), '0'), (whole(1), '1.5'), (YES_NO, 'maybe'), (YES_NO, ''),
        ):  # fmt: skip
            with self.subTest(kind.wanted, text=text):
                with self.assertRaises(ValueError) as caught:
                    kind.read(text)
                self.assertEqual(f"'{text}' is not {kind.wanted}", str(caught.exception))

    def test_a_secret_is_not_repeated(self):
        kind = SECONDS._replace(secret=True)
        with self.assertRaises(ValueError) as caught:
            kind.read('geheim')
        self.assertNotIn('geheim', str(caught.exception))

    def test_what_code_gives_is_looked_at_as_well(self):
        for make, values in (
            (Options, {'order': 'size'}),
            (Options, {'max_files': 0}),
            (Options, {'wanted': ' '}),
            (Options, {'max_files': '3'}),
            (Settings, {'host': 'h', 'directory': None}),
            (Settings, {'host': 'h', 'reply_timeout': None}),
            (ImportOptions, {'empty': 'send'}),
            (Delivery, {'connections': 0}),
            (TLS, {'mode': 'yes'}),
            (Settings, {'host': 'h', 'keepalive': -1}),
            (Settings, {'host': 'h', 'reply_timeout': float('nan')}),
            (Settings, {'host': 'h', 'bind_address': 7}),
            (SFTPSettings, {'host': 'h', 'user': 'u', 'known_hosts': '/k', 'bind_address': 'x'}),
        ):
            with self.subTest(values), self.assertRaises(errors.ConfigurationError) as caught:
                make(**values)
            self.assertIn([*values][-1].replace('mode', 'tls'), str(caught.exception))

    def test_the_defaults_fit(self):
        for make in (Options, ImportOptions, Delivery, TLS, Keep):
            require_fit(make())


class ValuesTests(unittest.TestCase):
    layer = QUIET

    def test_they_are_given_by_name(self):
        for make, values in (
            (Settings, {}),
            (Settings, {'host': 'h', 'hots': 'h'}),
            (SFTPSettings, {'host': 'h', 'known_hosts': '/k'}),
        ):
            with self.subTest(values), self.assertRaises(TypeError):
                make(**values)
        with self.assertRaises(TypeError):
            TLS('explicit')

    def test_they_are_not_changed(self):
        options = Options(max_files=3)
        with self.assertRaises(dataclasses.FrozenInstanceError):
            options.max_files = 4
        with self.assertRaises(dataclasses.FrozenInstanceError):
            del options.max_files
        self.assertEqual(3, options.max_files)
        other = dataclasses.replace(options, strict=True)
        self.assertEqual((3, True), (other.max_files, other.strict))

    def test_they_are_compared_by_value_but_for_who_watches(self):
        alike = Options(strict=True, progress=1), Options(strict=True, progress=2)
        self.assertEqual(*alike)
        self.assertEqual(1, len({*alike}))
        self.assertNotEqual(Options(), Options(strict=True))
        self.assertNotEqual(Keep(), Delivery())

    def test_secrets_are_not_shown(self):
        settings = Settings(host='h', password=Secret('geheim'))
        self.assertIn("host='h'", repr(settings))
        self.assertNotIn('password', repr(settings))


class FaceTests(ZCMLTests):
    def test_the_field_has_the_default_and_its_text_stands_for_it(self):
        for kind, field, option in known():
            with self.subTest(option.name):
                self.assertEqual(option.default, getattr(kind, field, None))
                if option.default is not None:
                    self.assertEqual(option.default, option.kind.read(option.shown))

    def test_on_the_command_line(self):
        for kind, _, option in known():
            command = group.cli.get_command(None, FACES[kind][0])
            found = {name: each for each in command.params for name in each.opts}
            with self.subTest(option.name):
                self.assertEqual(option.cli, option.flag in found)
                if not option.cli:
                    continue
                text = other(option)
                said = [option.flag, text]
                if option.kind is YES_NO:
                    said = [option.flag if text == 'yes' else f'--no-{option.flag[2:]}']
                parsed = command.make_context('x', said).params
                self.assertEqual(option.kind.read(text), parsed[option.name])
                # What is not said leaves the choice to ZCML, or to the class.
                self.assertIsNone(command.make_context('x', []).params[option.name])
                self.assertIn(option.help, found[option.flag].help)
                self.assertIn(f'Default: {option.shown}.', found[option.flag].help)

    def test_zcml_and_the_product_configuration_have_it(self):
        for kind, field, option in known():
            self.assertEqual(option.zcml, option.name in FACES[kind][1], option.name)
            if not option.zcml or option.needed:
                continue
            text = other(option)
            for place in 'attribute', 'product configuration':
                with self.subTest(option.name, place=place):
                    values = {option.name: text, **BESIDE.get(option.name, {})}
                    if kind is TLS:
                        values = {'tls': 'explicit', **values}
                    made = self.made(kind, values, product=place != 'attribute')
                    self.assertEqual(option.kind.read(text), getattr(made, field))

    def made(self, kind, values, *, product):
        """Return what ZCML makes of the texts `values` for the options of this class."""
        zope.component.testing.tearDown()
        zope.component.testing.setUp()
        given = ' '.join(f'{name}="{value}"' for name, value in values.items())
        if product:
            section = {f'x-{name.replace("_", "-")}': value for name, value in values.items()}
            zope.component.provideUtility(lambda _, key: section.get(key), IProductConfiguration)
            given = 'product_config="p/x"'
        if kind in (Options, ImportOptions):
            what, interface = (
                ('exporter', IExporter) if kind is Options else ('importer', IImporter)
            )
            self.read(SPOOL, TARGET, f'<cds:{what} name="x" spool="s" target="t" {given} />')
            return zope.component.getUtility(interface, name='x').options
        if kind is Keep:
            path = '' if product else 'path="/tmp"'
            if product:
                section['x'] = '/tmp'
            self.read(f'<cds:spool name="x" {path} {given} />')
            return zope.component.getUtility(ISpool, name='x').keep
        if kind is SFTPSettings:
            if 'known_hosts' not in values:
                given += ' known_hosts="/k"'
            given += ' user="u" directory="/" host="localhost"'
            self.read(f'<cds:sftp_target name="x" {given} />')
            return zope.component.getUtility(ITarget, name='x').settings
        self.read(f'<cds:target name="x" host="localhost" directory="/" {given} />')
        target = zope.component.getUtility(ITarget, name='x')
        return {Delivery: target.delivery, TLS: target.settings.tls}.get(kind, target.settings)

    def test_a_target_takes_all_of_them_by_name(self):
        for kind, field, option in known():
            if kind in (Delivery, Settings) and not option.needed:
                value = option.kind.read(other(option))
                target = FTPTarget.from_options(host='h', **{option.name: value})
                place = target.delivery if kind is Delivery else target.settings
                self.assertEqual(value, getattr(place, field), option.name)


class TableTests(unittest.TestCase):
    """The tables of the documents are these, to the letter: what is printed can be pasted."""

    layer = QUIET

    def assert_shown(self, name, table):
        text = docs.require(self, name)
        self.assertTrue(table in text, f'{name} does not have this table:\n{table}')

    def test_options(self):
        export, fetch = ({*options(kind).values()} for kind in (Options, ImportOptions))
        runs = [each for _, _, each in known() if each in export | fetch]
        server = [each for kind in (Delivery, TLS, Settings) for each in options(kind).values()]
        for described in (
            dict.fromkeys(each for each in runs if each in export & fetch),
            [each for each in runs if each in export - fetch],
            [each for each in runs if each in fetch - export],
            server,
            [*(each for kind, _, each in known() if kind is SFTPSettings), PASSPHRASE_FILE],
            options(Keep).values(),
        ):
            self.assert_shown('docs/options.txt', table(('option',), flags(described)))
        # An import has them but for some, which a sentence names.
        flagged = {each.flag for each in server if each.cli}
        missing = flagged - {each.opts[0] for each in group.cli.get_command(None, 'import').params}
        text = ' '.join(docs.find('docs/options.txt').split())
        (sentence,) = re.findall('An import has ([^.]*)[.]', text)
        self.assertEqual(missing, {*re.findall('``(--[a-z-]+)``', sentence)})

    def test_attributes(self):
        self.assert_shown('docs/zcml.txt', table(('directive', 'attribute'), attributes()))


def flags(described):
    """Yield (name,), option as the command line has them."""
    for option in described:
        if option.cli:
            name = option.flag
            if option.kind is YES_NO and option.zcml:
                name = f'--[no-]{name[2:]}'
            yield (f'``{name} {option.kind.metavar}'.strip() + '``',), option


def attributes():
    """Yield (directive, attribute), option for what is in ZCML alone."""
    yield from ((('all', f'``{each.name}``'), each) for each in schemas.COMMON)
    elsewhere = {each.name for _, _, each in known() if each.cli}
    elsewhere.update(each.name for each in schemas.COMMON)
    for directive, schema in DIRECTIVES.items():
        for name, field in zope.schema.getFieldsInOrder(schema):
            if name not in elsewhere:
                yield (f'``cds:{directive}``', f'``{name}``'), field.option


def table(heads, rows, *, width=100):
    """Return a table of reStructuredText."""
    cells = [(*names, *_default(option)) for names, option in rows]
    heads = *heads, 'default', 'meaning'
    columns = [max(map(len, column)) for column in zip(heads, *cells, strict=True)][:-1]
    rest = width - sum(columns) - len(columns)
    line = ' '.join('=' * each for each in (*columns, rest))
    found = [line, _row(columns, heads), line]
    for *names, text in cells:
        for each in textwrap.wrap(text, rest, break_long_words=False, break_on_hyphens=False):
            found.append(_row(columns, (*names, each)))
            names = [''] * len(names)
    return '\n'.join([*found, line]) + '\n'


def _row(columns, cells):
    *others, last = cells
    padded = [f'{cell:{width}}' for cell, width in zip(others, columns, strict=True)]
    return ' '.join([*padded, last])


def _default(option):
    """Return the default, and the help; with the default at its end if that is a long one."""
    text = re.sub(' +', ' ', option.help)
    if option.needed or option.name == 'name':
        return '(required)', text
    shown = '' if option.shown == 'none' else option.shown
    if len(shown) <= 12:
        return shown, text
    return '', f'{text} Default: {shown if option.default is None else f"``{shown}``"}.'
