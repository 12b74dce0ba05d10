"""What is shipped: the wheel, the sdist, and that `zeit` stays a namespace for others."""

import configparser
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import venv
import zipfile

import zeit.cds


ROOT = pathlib.Path(zeit.cds.__file__).parents[3]
SHIPPED = ('.zcml', '.txt')
TIMEOUT = 120


def shipped_data():
    """Return the paths, relative to src, of the files besides Python that must be installed."""
    return {
        str(path.relative_to(ROOT / 'src'))
        for path in (ROOT / 'src' / 'zeit').rglob('*')
        if path.suffix in SHIPPED
    }


def source_tree(target):
    """Copy what a checkout holds, so that no build leaves anything in it."""
    ignore = shutil.ignore_patterns('__pycache__', '*.egg-info')
    for name in ('src', 'docs'):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix in ('.py', '.toml', '.cfg', '.txt', '.in'):
            shutil.copy(path, target)
    return target


def other_distribution(target):
    """Write a second distribution that shares the namespace, as zeit.cms does."""
    package = target / 'src' / 'zeit' / 'other'
    package.mkdir(parents=True)
    (package / '__init__.py').write_text('NAME = "other"\n')
    (target / 'setup.py').write_text(
        'from setuptools import find_namespace_packages, setup\n'
        'setup(name="zeit.other", version="1", package_dir={"": "src"},\n'
        '      packages=find_namespace_packages("src", include=["zeit.*"]))\n'
    )
    return target


def python(interpreter, *arguments, cwd):
    """Run Python without network; return what it printed."""
    # What the caller's environment says about pip and paths must not decide a test.
    env = {key: os.environ[key] for key in os.environ if not key.startswith(('PIP_', 'PYTHON'))}
    env.update(PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX='1', PIP_DISABLE_PIP_VERSION_CHECK='1')
    process = subprocess.run(
        [interpreter, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    if process.returncode:
        raise AssertionError(f'{arguments} failed:\n{process.stdout}')
    return process.stdout


def normal(name):
    """Return the name of a distribution as it is compared (PEP 503)."""
    return re.sub(r'[-_.]+', '-', name).lower()


def needed(name, *extras):
    """Return the names of all that a distribution needs with these extras, but itself."""
    from packaging.requirements import Requirement

    found, todo = set(), [(name, extras)]
    while todo:
        name, extras = todo.pop()
        for text in importlib.metadata.requires(name) or ():
            each = Requirement(text)
            marker = each.marker
            if marker is not None and not any(marker.evaluate({'extra': e}) for e in ('', *extras)):
                continue
            if normal(each.name) not in found:
                found.add(normal(each.name))
                todo.append((each.name, each.extras))
    return found


class Sources:
    """Layer: both source trees in a temporary folder. (zope.testrunner ignores setUpClass.)"""

    __name__ = 'Sources'
    __bases__ = ()

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix='zeit.cds-packaging-')
        self.folder = pathlib.Path(os.path.realpath(self.temporary.name))
        self.ours = self.folder / 'zeit.cds'
        self.ours.mkdir()
        source_tree(self.ours)
        self.theirs = other_distribution(self.folder / 'zeit.other')

    def tearDown(self):
        self.temporary.cleanup()


class PackagingCase(unittest.TestCase):
    layer = Sources()

    def setUp(self):
        missing = [name for name in ('pip', 'setuptools') if not importlib.util.find_spec(name)]
        if not (ROOT / 'setup.py').exists():
            missing.append('the checkout')
        if missing:
            self.skipTest(f'cannot build without {", ".join(missing)}')
        self.folder = self.layer.folder
        self.ours = self.layer.ours
        self.theirs = self.layer.theirs

    def install(self, *requirements):
        """Install both distributions into an environment of its own; return its Python."""
        target = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        venv.create(target, symlinks=True)
        interpreter = str(target / 'bin' / 'python')
        # pip and setuptools at hand are borrowed: without network there are no others.
        tools = {
            str(pathlib.Path(importlib.util.find_spec(name).origin).parents[1])
            for name in ('pip', 'setuptools')
        }
        program = 'import sysconfig; print(sysconfig.get_path("purelib"))'
        site = pathlib.Path(python(interpreter, '-c', program, cwd=target).strip())
        borrowed = site / 'borrowed.pth'
        borrowed.write_text('\n'.join(sorted(tools)) + '\n')
        options = ['--no-deps', '--no-build-isolation', '--ignore-installed', '--quiet']
        python(interpreter, '-m', 'pip', 'install', *options, *requirements, cwd=target)
        borrowed.unlink()
        return interpreter

    def assert_side_by_side(self, *requirements):
        interpreter = self.install(*requirements)
        program = (
            'import zeit.other, zeit.cds, zeit, importlib.resources as r\n'
            'assert not hasattr(zeit, "__file__") or zeit.__file__ is None, zeit.__file__\n'
            'print(zeit.other.NAME, zeit.cds.__file__)\n'
            f'for name in {sorted(shipped_data())!r}:\n'
            '    name = name.removeprefix("zeit/cds/")\n'
            '    assert r.files("zeit.cds").joinpath(name).is_file(), name\n'
        )
        # -I: neither the current folder nor PYTHONPATH help.
        output = python(interpreter, '-I', '-c', program, cwd=self.folder)
        self.assertIn(f'other {self.folder}', output)


class PackagingTest(PackagingCase):
    def build(self, kind):
        """Build 'wheel' or 'sdist' with the setuptools at hand; return the file."""
        target = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        program = f'import sys, setuptools.build_meta as b; b.build_{kind}(sys.argv[1])'
        python(sys.executable, '-c', program, str(target), cwd=self.ours)
        (path,) = target.iterdir()
        return path

    def test_the_wheel_carries_all_zcml_and_no_zeit_package(self):
        with zipfile.ZipFile(self.build('wheel')) as wheel:
            names = set(wheel.namelist())
            (metadata,) = (name for name in names if name.endswith('.dist-info/METADATA'))
            described = wheel.read(metadata).decode()
            (license,) = (name for name in names if name.endswith('/LICENSE.txt'))
            words = ' '.join(wheel.read(license).decode().split())
        for field in ('Author', 'License', 'License-File', 'Home-page'):
            self.assertIn(f'\n{field}: ', described.partition('\n\n')[0])
        # The license itself, from its name to its end, and not where it is.
        self.assertRegex(
            words,
            '^Zope Public License .ZPL. Version 2.1 .*'
            '3. Names of the copyright holders must not be used to endorse .*'
            'EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.$',
        )
        # No Python is too new.
        self.assertIn('\nRequires-Python: >=3.11\n', described)
        self.assertIn('zeit/cds/__init__.py', names)
        self.assertNotIn('zeit/__init__.py', names)
        self.assertEqual(set(), shipped_data() - names)
        self.assertFalse([name for name in names if name.endswith(('.pth', '.pyc'))])
        self.assertFalse([name for name in names if 'namespace_packages' in name])
        source = self.ours / 'src'
        modules = {str(path.relative_to(source)) for path in source.rglob('*.py')}
        self.assertEqual(set(), modules - names)
        pages = [name for name in names if name.endswith('/share/man/man1/zeit-cds.1')]
        self.assertEqual(1, len(pages))
        # The documents come with it, in their folders.
        docs = {path.relative_to(ROOT) for path in (ROOT / 'docs').rglob('*') if path.is_file()}
        docs |= {pathlib.Path('README.txt'), pathlib.Path('CHANGES.txt')}
        data = {name.partition('.data/data/share/doc/zeit.cds/')[2] for name in names}
        self.assertEqual(set(), {*map(str, docs)} - data)

    def test_the_constraints_are_the_versions_that_are_tested(self):
        tested = configparser.ConfigParser(delimiters='=', interpolation=None)
        tested.optionxform = normal
        tested.read(ROOT / 'versions.cfg')
        tested = {**tested['versions'], **tested['test-versions']}
        lines = (ROOT / 'docs' / 'packaging' / 'constraints.txt').read_text().splitlines()
        pinned = dict(line.split(' == ') for line in lines if not line.startswith('#'))
        pinned = {normal(name): version for name, version in pinned.items()}
        self.assertEqual({name: tested[name] for name in pinned}, pinned)
        # All that is needed at run time has one.
        self.assertEqual(set(), needed('zeit.cds', 'watch', 'metrics', 'transaction') - {*pinned})

    def test_the_sdist_carries_readme_changes_and_docs(self):
        with tarfile.open(self.build('sdist')) as sdist:
            names = {name.partition('/')[2] for name in sdist.getnames()}
        expected = {'setup.py', 'pyproject.toml', 'bootstrap.py', 'buildout.cfg', 'versions.cfg'}
        docs = [path for path in (ROOT / 'docs').rglob('*') if path.is_file()]
        texts = [*ROOT.glob('*.txt'), *docs]
        expected |= {str(path.relative_to(ROOT)) for path in texts}
        expected |= {f'src/{name}' for name in shipped_data()}
        self.assertEqual(set(), expected - names)
        self.assertNotIn('src/zeit/__init__.py', names)


class SideBySideTest(PackagingCase):
    """Both work, whichever of them is editable."""

    level = 2

    def test_installed_beside_an_installed_one(self):
        self.assert_side_by_side(str(self.ours), str(self.theirs))

    def test_editable_beside_an_editable_one(self):
        self.assert_side_by_side('-e', str(self.ours), '-e', str(self.theirs))

    def test_editable_beside_an_installed_one(self):
        self.assert_side_by_side('-e', str(self.ours), str(self.theirs))

    def test_installed_beside_an_editable_one(self):
        self.assert_side_by_side(str(self.ours), '-e', str(self.theirs))
