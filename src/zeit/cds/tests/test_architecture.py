"""The rules of the house: who may import whom, and how large a module may be."""

import ast
import functools
import pathlib
import unittest

import zeit.cds


PACKAGE = pathlib.Path(zeit.cds.__file__).parent

#: Each module, and what of this package it may import.  Everything is imported from above only.
ALLOWED = {
    # what can go wrong, and how to say it
    'errors': '',
    'text': '',
    # contracts and values
    'interfaces.spool': '',
    'interfaces.target': '',
    'interfaces.exchange': '',
    'interfaces.application': '',
    'interfaces': ('interfaces.application interfaces.exchange interfaces.spool interfaces.target'),
    'names': 'errors text',
    'forks': '',
    'files': 'forks names text',
    'netrcfile': '',
    'settings': 'errors files netrcfile text',
    'usable': 'interfaces',
    'logfile': 'text',
    'logs': 'logfile',
    'ftp': '',
    'ftp.wire': 'errors text',
    'ftp.oserrors': 'errors',
    # decisions, without input and output
    'progress': 'interfaces',
    'report': 'errors interfaces',
    'plan': 'errors interfaces',
    'ftp.answers': 'errors text ftp.wire',
    'ftp.protocol': 'errors text ftp.answers ftp.wire',
    # the local side
    'uninterrupted': '',
    'group': '',
    'source': 'errors files forks interfaces text',
    'runlock': 'errors files text',
    'entries': 'interfaces names',
    'birth': '',
    'jsonlines': 'text',
    'jsonlog': 'birth errors files forks jsonlines text',
    'precedence': 'errors text',
    'history': 'errors files jsonlines jsonlog text',
    'kinds': 'jsonlines',
    'journal': 'errors files history interfaces jsonlog kinds names text',
    'parking': 'entries errors files kinds names text',
    'incoming': 'errors files forks interfaces source text',
    'scope': 'interfaces',
    'unpublished': 'errors files forks interfaces journal jsonlog text',
    'wake': 'interfaces report scope text',
    'spoolstatus': 'errors files interfaces names text',
    'voted': 'files interfaces kinds',
    'batch': 'entries errors interfaces files forks kinds names text voted',
    'aborted': 'errors',
    'filing': 'entries errors files names source text',
    'indoubt': 'errors interfaces batch entries files scope text voted',
    'sequence': 'errors entries filing files indoubt journal parking text',
    'withdrawal': 'entries errors files kinds parking sequence text',
    'spool': 'errors interfaces aborted batch entries files filing incoming indoubt journal '
    'kinds names parking precedence runlock sequence source spoolstatus text unpublished wake '
    'withdrawal',
    'statistics': 'errors filing journal runlock sequence text',
    'verify': 'errors files filing journal jsonlines jsonlog text',
    'ledger': 'errors interfaces text',
    'arrivals': 'errors files history',
    'failures': 'errors jsonlog',
    'rate': 'errors text',
    # the other side
    'ftp.deadline': 'errors',
    'ftp.resolver': 'ftp.deadline ftp.oserrors',
    'ftp.sockets': 'errors forks text ftp.deadline',
    'ftp.stream': 'errors forks ftp.deadline ftp.oserrors ftp.resolver ftp.sockets',
    'ftp.tls': 'errors files text',
    'ftp.secure': 'errors forks ftp.oserrors ftp.sockets ftp.stream ftp.tls',
    'ftp.settings': 'errors text ftp.tls',
    'ftp.login': 'errors text ftp.answers',
    'ftp.effects': 'errors ftp.answers ftp.wire',
    'ftp.connection': 'errors text ftp.answers ftp.deadline ftp.effects ftp.login ftp.protocol '
    'ftp.secure ftp.settings ftp.stream ftp.tls ftp.wire',
    'ftp.active': 'forks text ftp.oserrors ftp.sockets ftp.stream',
    'ftp.ways': 'errors text',
    'ftp.passive': 'errors text ftp.active ftp.answers ftp.deadline ftp.ways ftp.wire '
    'ftp.connection ftp.effects',
    'ftp.along': 'errors text ftp.answers ftp.deadline ftp.passive',
    'ftp.start': 'errors',
    'ftp.transfers': 'errors text ftp.along ftp.answers ftp.deadline ftp.effects ftp.start '
    'ftp.stream',
    'ftp.listings': 'errors text ftp.answers ftp.transfers ftp.wire',
    'pool': 'errors',
    'effort': '',
    'crew': 'errors interfaces plan pool text',
    'exposed': 'errors text',
    'delivery': 'errors exposed ledger names plan text',
    'presence': 'errors text ftp.answers ftp.listings',
    'holder': 'errors names text',
    'deliveries': 'crew delivery exposed',
    'fetching': 'errors text',
    'quiet': 'fetching',
    'gathering': 'arrivals crew errors fetching plan quiet text',
    'spelling': 'errors names text',
    'link': 'errors presence text ftp.deadline ftp.listings ftp.ways',
    'session': 'errors interfaces deliveries delivery effort gathering ledger link names spelling '
    'text ftp.along ftp.answers',
    'target': 'errors interfaces delivery effort names session text ftp.settings ftp.sockets '
    'ftp.tls ftp.ways',
    'lockfiles': 'errors holder names text',
    'lock': 'errors holder lockfiles names text',
    'leftovers': 'errors exposed holder lockfiles names text',
    'offered': 'errors fetching gathering names text',
    'clearance': 'errors text',
    # one run
    'pace': 'errors',
    'tracing': 'errors text',
    'record': 'errors report scope text tracing',
    'exchange': 'errors history leftovers lock names rate record statistics text usable',
    'transactions': 'interfaces',
    'outbox': 'errors interfaces text transactions wake',
    'publish': 'errors history interfaces kinds pace scope text wake',
    'exporter': 'errors exchange failures group interfaces kinds ledger names plan progress report '
    'scope text uninterrupted',
    'intake': 'errors fetching gathering progress quiet text',
    'importer': 'errors arrivals clearance exchange failures fetching gathering holder intake '
    'interfaces names offered plan progress quiet report text',
    # what calls it again and again
    'thread': 'errors interfaces pace plan scope text',
    'tasks': 'errors files filing interfaces pace plan scope statistics text',
    'undelivered': 'text',
    'unimported': 'undelivered',
    'metrics': 'errors interfaces statistics text unimported',
}

#: The edge may import everything, and nothing imports it.
EDGE = {
    *('main', 'zcml', 'configured', 'directives', 'directives_network', 'fields', 'bar'),
    *('product',),
    *(
        'cli',
        'commands',
        'choice',
        'console',
        'options',
        'output',
        'options_target',
        'signals',
        'status',
        'status_json',
        'status_text',
        'demo',
        'receipts',
        'unlock',
        'watch',
        'arriving',
        'sdnotify',
    ),
}

#: The only way from the edge to the test fixtures.
FIXTURES = {'demo'}

#: What makes a module one with input, output or a clock.
IO_MODULES = {'socket', 'ssl', 'time', 'threading', 'os', 'select', 'asyncio', 'subprocess'}
SANS_IO = {'ftp.wire', 'ftp.answers', 'ftp.protocol', 'plan', 'report'} | {
    name for name in ALLOWED if name.partition('.')[0] == 'interfaces'
}

#: What the FTP client may not know, and what only optional parts may.
ZOPE = {'zope', 'gocept'}
NEVER = {'zeit.cms', 'ftplib', 'ftputil', 'importlib.import_module', 'pkg_resources'}


@functools.cache
def modules():
    """Return (name relative to the package, path) of all modules but tests and fixtures."""
    found = []
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE).with_suffix('').parts
        if parts[0] not in ('tests', 'testing') and parts != ('__init__',):
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


def ours(imported):
    """Return the module of this package that `imported` names, or None."""
    if imported == 'zeit.cds' or not imported.startswith('zeit.cds.'):
        return None
    name = imported.removeprefix('zeit.cds.')
    known = {module for module, _ in modules()}
    while name not in known and '.' in name:
        name = name.rpartition('.')[0]
    return name


class ArchitectureTests(unittest.TestCase):
    def test_every_module_has_its_place(self):
        found = {name for name, _ in modules()}
        edge = {name for name in found if name.partition('.')[0] in EDGE}
        self.assertEqual(set(), found - edge - set(ALLOWED), 'not in the table')

    def test_imports_go_in_one_direction(self):
        order = list(ALLOWED)
        for name, path in modules():
            if name.partition('.')[0] in EDGE:
                continue
            allowed = set(ALLOWED[name].split())
            with self.subTest(name):
                found = {ours(imported) for imported in imports(path)} - {None}
                self.assertEqual(set(), found - allowed)
                later = {other for other in allowed if order.index(other) > order.index(name)}
                self.assertEqual(set(), later, 'the table itself goes in one direction')

    def test_only_the_demo_needs_the_fixtures(self):
        for name, path in modules():
            found = {i for i in imports(path) if i.startswith('zeit.cds.testing')}
            if name not in FIXTURES:
                self.assertEqual(set(), found, name)

    def test_modules_without_input_and_output(self):
        for name, path in modules():
            if name in SANS_IO:
                found = {imported.partition('.')[0] for imported in imports(path)}
                self.assertEqual(set(), found & IO_MODULES, name)

    def test_the_ftp_client_does_not_know_zope(self):
        for name, path in modules():
            if name.partition('.')[0] == 'ftp':
                found = {imported.partition('.')[0] for imported in imports(path)}
                self.assertEqual(set(), found & ZOPE, name)

    def test_what_nobody_imports(self):
        for name, path in modules():
            found = set(imports(path))
            bad = {i for i in found for never in NEVER if i == never or i.startswith(f'{never}.')}
            self.assertEqual(set(), bad | (found & {'__import__'}), name)

    def test_modules_are_small(self):
        for path in [*PACKAGE.rglob('*.py')]:
            if 'tests' not in path.parts:
                lines = len(path.read_text('utf-8').splitlines())
                self.assertLessEqual(lines, 550, path.relative_to(PACKAGE))

    def test_the_namespace_belongs_to_nobody(self):
        self.assertFalse((PACKAGE.parent / '__init__.py').exists())
