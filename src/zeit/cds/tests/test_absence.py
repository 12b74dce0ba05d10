"""What only extras install, or an application has, may be missing: each is made unimportable."""

import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

from zeit.cds.testing import layers


#: What may be missing, and the modules that may need it.
OPTIONAL = {
    'celery': {'drivers.celery_task'},
    'inotify_simple': set(),
    'opentelemetry': set(),
    'prometheus_client': {'monitoring.metrics'},
    'transaction': {'publish.outbox', 'publish.transactions'},
    'zeit.cms': set(),
    'waitress': {'web.server', 'web.serving'},
    'zope.app': set(),
    'zope.security': {'browser.views'},
}

#: Only tests and the demonstration need these.
OTHERS = ('pyftpdlib', 'zope.testrunner', 'hypothesis')

PROGRAM = """
    import importlib, json, pkgutil, sys

    missing = set(sys.argv[2].split(','))

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if any(f'{name}.'.startswith(f'{each}.') for each in missing):
                raise ModuleNotFoundError(f'No module named {name!r}', name=name)

    sys.meta_path.insert(0, Blocker())

    import zeit.cds.zcml.handlers
    zeit.cds.zcml.handlers.load(sys.argv[1])

    import zope.component, zeit.cds.interfaces
    exporter = zope.component.getUtility(zeit.cds.interfaces.IExporter, name='e')
    exporter.spool.put('a.xml', b'<a/>')
    report = exporter.run_once()

    failed = []
    for module in pkgutil.walk_packages(zeit.cds.__path__, 'zeit.cds.'):
        name = module.name.removeprefix('zeit.cds.')
        if not {'tests', 'testing', 'demo', 'vivi'} & set(name.split('.')):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                failed.append(name)
    loaded = [name for name in missing if name in sys.modules]
    print(json.dumps([report.exit_code, sorted(failed), loaded]))
"""

ZCML = """\
<configure
    xmlns="http://namespaces.zope.org/zope"
    xmlns:cds="http://namespaces.zeit.de/cds">
  <include package="zeit.cds" />
  <cds:spool name="s" path="." />
  <utility
      provides="zeit.cds.interfaces.ITarget"
      name="t"
      factory="zeit.cds.testing.memory.MemoryTarget"
      />
  <cds:exporter name="e" spool="s" target="t" />
</configure>
"""


class AbsenceCase(unittest.TestCase):
    layer = layers.QUIET

    def run_without(self, *missing):
        """Load ZCML and export in a process that lacks `missing`; return what cannot be imported.

        That is a set of modules of this package.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = f'{folder}/cds.zcml'
            with open(path, 'w', encoding='utf-8') as file:
                file.write(ZCML)
            done = subprocess.run(
                [sys.executable, '-c', textwrap.dedent(PROGRAM), path, ','.join(missing)],
                env={'PYTHONPATH': ':'.join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                timeout=60,
            )
        self.assertEqual(0, done.returncode, done.stderr)
        exit_code, failed, loaded = json.loads(done.stdout)
        self.assertEqual((0, []), (exit_code, loaded))
        return set(failed)


class EachTests(AbsenceCase):
    level = 2

    def test_each_may_be_missing(self):
        # A core for each; what a process does is nothing to the others.
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = {name: pool.submit(self.run_without, name) for name in OPTIONAL}
        for name, modules in OPTIONAL.items():
            with self.subTest(name):
                self.assertLessEqual(runs[name].result(), modules)


class AbsenceTests(AbsenceCase):
    def test_all_may_be_missing(self):
        allowed = set().union(*OPTIONAL.values())
        self.assertLessEqual(self.run_without(*OPTIONAL, *OTHERS), allowed)
