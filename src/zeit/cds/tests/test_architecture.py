"""The rules of the house: which wing may import which, and what no wing may do."""

import ast
import functools
import graphlib
import pathlib
import unittest

import zeit.cds


PACKAGE = pathlib.Path(zeit.cds.__file__).parent

#: The wings, the lowest first, and which of those below it each may import. What stands at the top
#: of the package and belongs to no wing is the ground: everybody may import it.
WINGS = {
    'system': '',
    'values': '',
    'network': 'system',
    'ftp': 'system network',
    'journal': 'system',
    'spool': 'system values journal',
    'target': 'system values network ftp journal',
    'sftp': 'system values network ftp target',
    'lock': 'target',
    'monitoring': 'system journal spool',
    'run': 'system values ftp journal spool target lock monitoring',
    'check': 'values ftp spool target run',
    'publish': 'values journal spool',
    'drivers': 'system values spool target',
    'zcml': 'system values ftp sftp spool target',
    'cli': 'system values ftp sftp journal spool target lock monitoring run check publish drivers'
    ' zcml',
    'browser': 'system values journal spool lock monitoring publish cli',
    'vivi': 'monitoring publish browser',
    'web': 'drivers cli browser',
    'commands': 'values journal monitoring run cli web',
    'main': 'system values spool target run cli',
}

#: The doors of the command line: what they open is below, `zeit-cds serve` among it.
COMMANDS = ('cli.commands', 'cli.main', 'cli.manual')

#: The ground, the lowest first.
GROUND = (
    'interfaces',
    'errors',
    'text',
    'digests',
    'names',
    'scope',
    'option_types',
    'credentials',
    'urls',
    'usable',
)

#: What of the ground looks further than the ground.
DEEPER = {'credentials': 'system'}

#: The only way to the test fixtures.
FIXTURES = {'cli.demo'}

#: What makes a module one with input, output or a clock.
IO_MODULES = {'socket', 'ssl', 'time', 'threading', 'os', 'select', 'asyncio', 'subprocess'}
SANS_IO = ('ftp.parsing', 'ftp.reply_errors', 'ftp.protocol', 'values', 'interfaces')

#: The only wing that knows zeit.cms: ZCML includes it where that is installed; nobody imports it.
VIVI = 'vivi'

#: What the FTP client may not know, and what nobody imports.
ZOPE = {'zope', 'gocept'}
NEVER = {'zeit.cms', 'ftplib', 'ftputil', 'importlib.import_module', 'pkg_resources'}


@functools.cache
def modules():
    """Return (name relative to the package, path) of all modules but tests and fixtures."""
    found = []
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE).with_suffix('').parts
        if not {'tests', 'testing'} & set(parts) and parts[0] not in ('__init__', '__main__'):
            found.append(('.'.join(part for part in parts if part != '__init__'), path))
    return found


@functools.cache
def imports(path):
    """Return the full names of what the module imports, wherever in it."""
    return frozenset(_imports(path))


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}:{node.lineno}: absolute imports only'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') == '__import__':
            yield '__import__'


def ours(path):
    """Return the modules of this package that the one at `path` imports."""
    known = {module for module, _ in modules()}
    found = set()
    for imported in imports(path):
        if imported.startswith('zeit.cds.'):
            name = imported.removeprefix('zeit.cds.')
            while name not in known and '.' in name:
                name = name.rpartition('.')[0]
            found.add(name)
    return found - {'__version__'}


def wing(name):
    if name.startswith(COMMANDS):
        return 'commands'
    return name.partition('.')[0]


class ArchitectureTests(unittest.TestCase):
    def test_every_module_is_in_a_wing_or_on_the_ground(self):
        self.assertEqual({*WINGS, *GROUND}, {wing(name) for name, _ in modules()})

    def test_every_wing_says_what_it_is_for(self):
        for name in WINGS:
            path = PACKAGE / name / '__init__.py'
            if path.exists():
                with self.subTest(name):
                    tree = ast.parse(path.read_text('utf-8'))
                    self.assertGreater(len(ast.get_docstring(tree).split()), 20)
                    self.assertEqual(1, len(tree.body), 'a face that imports costs every start')

    def test_imports_go_down_only(self):
        order = [*GROUND, *WINGS]
        for name, path in modules():
            found = {wing(other) for other in ours(path)} - {wing(name)}
            if wing(name) in WINGS:
                allowed = {*GROUND, *WINGS[wing(name)].split()}
            else:
                allowed = set(GROUND[: GROUND.index(wing(name))])
                allowed.update(DEEPER.get(wing(name), '').split())
            with self.subTest(name):
                self.assertEqual(set(), found - allowed - {'testing'})
        for name, below in WINGS.items():
            for other in below.split():
                self.assertLess(order.index(other), order.index(name), 'the table itself')

    def test_inside_a_wing_nothing_goes_in_a_circle(self):
        graph = {name: ours(path) - {name} for name, path in modules()}
        graphlib.TopologicalSorter(graph).prepare()

    def test_only_the_demo_needs_the_fixtures(self):
        for name, path in modules():
            found = {i for i in imports(path) if i.startswith('zeit.cds.testing')}
            if name not in FIXTURES:
                self.assertEqual(set(), found, name)

    def test_modules_without_input_and_output(self):
        for name, path in modules():
            if name.startswith(SANS_IO):
                found = {imported.partition('.')[0] for imported in imports(path)}
                self.assertEqual(set(), found & IO_MODULES, name)

    def test_the_ftp_client_does_not_know_zope(self):
        for name, path in modules():
            if wing(name) in ('network', 'ftp'):
                found = {imported.partition('.')[0] for imported in imports(path)}
                self.assertEqual(set(), found & ZOPE, name)

    def test_what_nobody_imports(self):
        for name, path in modules():
            found = set(imports(path))
            never = NEVER - {'zeit.cms'} if wing(name) == VIVI else NEVER
            bad = {i for i in found for each in never if i == each or i.startswith(f'{each}.')}
            self.assertEqual(set(), bad | (found & {'__import__'}), name)

    def test_the_namespace_belongs_to_nobody(self):
        self.assertFalse((PACKAGE.parent / '__init__.py').exists())
