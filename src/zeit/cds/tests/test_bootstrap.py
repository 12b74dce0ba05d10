"""What a person meets who runs bootstrap.py: each hindrance is one line that says what to do."""

import ast
import contextlib
import fcntl
import glob
import importlib.metadata
import importlib.util
import io
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import zeit.cds


ROOT = pathlib.Path(zeit.cds.__file__).parents[3]
TIMEOUT = 120


def load(path):
    spec = importlib.util.spec_from_file_location('bootstrap_under_test', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def older_pythons():
    """Return the interpreters of this machine that zeit.cds does not support."""
    home = os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv')
    found = {
        minor: paths[-1]
        for minor in ('2.7', '3.4', '3.5', '3.6', '3.7', '3.8', '3.9', '3.10')
        if (paths := glob.glob(f'{glob.escape(home)}/versions/{minor}.*/bin/python'))
    }
    for minor in ('2.7', '3.8', '3.9', '3.10'):
        path = f'/usr/bin/python{minor}'
        if minor not in found and os.path.exists(path):
            found[minor] = path
    return found


class Tree(unittest.TestCase):
    """A folder with the inputs of bootstrap.py, without anything that it makes."""

    def setUp(self):
        if not (ROOT / 'bootstrap.py').exists():
            self.skipTest('bootstrap.py belongs to the checkout, which is not here')
        self.module = load(ROOT / 'bootstrap.py')
        temporary = tempfile.TemporaryDirectory(prefix='zeit.cds with blanks ')
        self.addCleanup(temporary.cleanup)
        self.path = pathlib.Path(os.path.realpath(temporary.name))
        for name in self.module.INPUTS:
            shutil.copy(ROOT / name, self.path)
        self.module.__file__ = str(self.path / 'bootstrap.py')
        self.checkout = self.module.Checkout(str(self.path))

    def start(self, *, prelude='', python=sys.executable, **env):
        """Run the tree's bootstrap.py to its end in a process of its own."""
        script = str(self.path / 'bootstrap.py')
        program = f'{prelude}\nimport runpy\nrunpy.run_path({script!r}, run_name="__main__")'
        return subprocess.run(
            [python, '-c', program] if prelude else [python, script],
            capture_output=True,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=TIMEOUT,
        )

    def assert_one_line(self, process, *parts):
        self.assertEqual(1, process.returncode, process)
        self.assertEqual(1, len(process.stderr.splitlines()), process.stderr)
        self.assertNotIn('Traceback', process.stdout + process.stderr)
        for part in parts:
            self.assertIn(part, process.stderr)

    def call(self):
        """Return exit code and output of main, called in this process on the tree."""
        text = io.StringIO()
        self.module.__file__ = str(self.path / 'bootstrap.py')
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                return self.module.main(), text.getvalue()
        finally:
            signal.signal(signal.SIGTERM, handler)

    def contents(self):
        return {
            str(path): (path.lstat().st_mtime_ns, path.lstat().st_size)
            for path in self.path.rglob('*')
        }


class HindranceTest(Tree):
    def test_an_older_python_is_told_which_one_is_needed(self):
        prelude = "import sys; sys.version_info = (3, 10, 2, 'final', 0)"
        process = self.start(prelude=prelude)
        self.assert_one_line(process, 'needs Python 3.11 or newer', 'this is 3.10')

    def test_no_python_is_too_new(self):
        with unittest.mock.patch.object(sys, 'version_info', (3, 99, 0, 'final', 0)):
            self.module.check_python()

    def test_the_older_pythons_of_this_machine_can_read_the_file(self):
        for minor, python in older_pythons().items():
            with self.subTest(python=python):
                process = self.start(python=python)
                self.assert_one_line(process, f'this is {minor}:')
                self.assertEqual('', process.stdout)

    def test_nothing_in_the_file_is_newer_than_python_2_7(self):
        # The older interpreters are not on every machine; this is.
        source = (ROOT / 'bootstrap.py').read_text('ascii')
        newer = (
            ast.AnnAssign,
            ast.AsyncFunctionDef,
            ast.Await,
            ast.JoinedStr,
            ast.Match,
            ast.MatMult,
            ast.NamedExpr,
            ast.Nonlocal,
            ast.YieldFrom,
        )
        for node in ast.walk(ast.parse(source)):
            line = getattr(node, 'lineno', 0)
            self.assertNotIsInstance(node, newer, f'line {line}')
            if isinstance(node, ast.Raise):
                self.assertIsNone(node.cause, f'line {line}: raise ... from')
            elif isinstance(node, ast.FunctionDef):
                self.assertEqual([], node.args.kwonlyargs, f'line {line}')
                self.assertIsNone(node.returns, f'line {line}')
            elif isinstance(node, ast.arg):
                self.assertIsNone(node.annotation, f'line {line}')
            elif isinstance(node, ast.Call):
                self.assertNotIn('end', [key.arg for key in node.keywords], f'line {line}')

    def test_modules_unknown_to_python_2_7_are_imported_late(self):
        tree = ast.parse((ROOT / 'bootstrap.py').read_text('ascii'))
        names = {
            alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        }
        known = {'hashlib', 'json', 'os', 'shutil', 'signal', 'subprocess', 'sys'}
        self.assertEqual(known, names)

    def test_without_ensurepip_the_debian_package_is_named(self):
        process = self.start(prelude="import sys; sys.modules['ensurepip'] = None")
        name = 'python{}.{}-venv'.format(*sys.version_info)
        self.assert_one_line(process, 'lacks ensurepip', f'sudo apt install {name}')
        self.assertFalse((self.path / '.venv').exists())

    def test_other_systems_are_turned_down(self):
        with unittest.mock.patch.object(self.module.os, 'name', 'nt'):
            with self.assertRaisesRegex(self.module.Failure, 'POSIX'):
                self.module.check_python()

    def test_somebody_elses_environment_is_left_alone(self):
        theirs = self.path / '.venv' / 'precious'
        theirs.parent.mkdir()
        theirs.touch()
        self.assert_one_line(self.start(), 'was not made by bootstrap.py')
        self.assertTrue(theirs.exists())

    def test_two_at_a_time_are_one_too_many(self):
        with open(self.path / 'bootstrap.py') as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.assert_one_line(self.start(), 'Another bootstrap.py is at work')

    def test_a_folder_that_cannot_be_written_to(self):
        # A file in the way stands for all of them: root may write everywhere.
        (self.path / '.venv').write_text('')
        self.assert_one_line(self.start(), 'Cannot set up zeit.cds here', '.venv')

    def test_the_reason_of_a_failed_step_is_put_into_one_line(self):
        for output, expected in (
            ("WARNING: Retrying after connection broken by 'X'\nERROR: y", 'No connection'),
            ('ERROR: No matching distribution found for a==1', 'lacks a version'),
            ('one\nERROR: disk full\ntwo', 'pip failed (2): ERROR: disk full'),
            ('one\ntwo\n\n', 'pip failed (2): two'),
            ('', 'pip failed (2): no output.'),
        ):
            with self.subTest(output=output):
                self.assertIn(expected, self.module.explain(output, 'pip', 2))


class NetworkTest(Tree):
    """With the real steps, of which the first one takes seconds."""

    level = 2

    def test_without_network_it_says_so_and_leaves_a_state_that_is_repaired(self):
        if importlib.util.find_spec('ensurepip') is None:
            self.skipTest('this Python lacks ensurepip')
        with socket.create_server(('127.0.0.1', 0)) as closed:
            url = f'http://127.0.0.1:{closed.getsockname()[1]}/simple'
        process = self.start(
            PIP_CONFIG_FILE=os.devnull,
            PIP_EXTRA_INDEX_URL='',
            PIP_FIND_LINKS='',
            PIP_INDEX_URL=url,
            PIP_NO_CACHE_DIR='1',
            PIP_RETRIES='1',
            no_proxy='127.0.0.1',
        )
        self.assert_one_line(process, 'No connection to the package index', 'PIP_INDEX_URL')
        self.assertFalse(os.path.exists(self.checkout.stamp))
        self.assertTrue(os.path.exists(self.checkout.log))


class StateTest(Tree):
    """The steps are replaced by what they leave behind, so that each can be cut."""

    def setUp(self):
        super().setUp()
        self.steps = []
        self.cut_at = None
        self.fail_at = None
        patcher = unittest.mock.patch.object(self.module, 'run', self.run_step)
        patcher.start()
        self.addCleanup(patcher.stop)

    def run_step(self, checkout, command, what):
        self.steps.append(what)
        python = pathlib.Path(checkout.python)
        if '-m' in command and 'venv' in command:
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)
        if len(self.steps) == self.cut_at:
            raise KeyboardInterrupt
        if len(self.steps) == self.fail_at:
            raise self.module.Failure('No connection')
        if what == 'buildout':
            pathlib.Path(checkout.bin).mkdir(exist_ok=True)
            script = pathlib.Path(checkout.bin, 'test')
            script.write_text(f'#!{python}\nimport sys\nsys.exit(len(sys.argv))\n')
            script.chmod(0o755)

    def set_up(self):
        self.steps.clear()
        code, output = self.call()
        self.assertEqual(0, code, output)
        return list(self.steps)

    FROM_SCRATCH = ['The private environment', 'pip', 'pip', 'buildout']
    IN_PLACE = ['pip', 'pip', 'buildout']

    def test_the_second_run_changes_nothing(self):
        self.assertEqual(self.FROM_SCRATCH, self.set_up())
        before = self.contents()
        # A process of its own, unpatched: it would fail if it started a step.
        process = self.start(PYTHONDONTWRITEBYTECODE='1', PIP_NO_INDEX='1')
        self.assertEqual(0, process.returncode, process)
        self.assertEqual('zeit.cds is set up, nothing to do.\n', process.stdout)
        self.assertEqual(before, self.contents())

    def test_every_input_counts(self):
        self.set_up()
        for name in self.module.INPUTS:
            if name == 'versions.cfg':
                content = (self.path / name).read_text() + 'another = 1\n'
            else:
                content = (self.path / name).read_text() + '# changed\n'
            (self.path / name).write_text(content)
            with self.subTest(name=name):
                self.assertEqual(self.IN_PLACE, self.set_up())
                self.assertEqual([], self.set_up())

    def test_a_missing_script_comes_back(self):
        self.set_up()
        (self.path / 'bin' / 'test').unlink()
        self.assertEqual(self.IN_PLACE, self.set_up())

    def test_another_python_means_from_scratch(self):
        self.set_up()
        with unittest.mock.patch.object(sys.implementation, 'cache_tag', 'other-1'):
            self.assertEqual(self.FROM_SCRATCH, self.set_up())
            self.assertEqual([], self.set_up())

    def test_a_copied_folder_means_from_scratch(self):
        self.set_up()
        with tempfile.TemporaryDirectory() as other:
            copy = pathlib.Path(os.path.realpath(other), 'copy')
            shutil.copytree(self.path, copy, symlinks=True)
            self.path = copy
            self.assertEqual(self.FROM_SCRATCH, self.set_up())

    def test_a_python_that_was_removed_means_from_scratch(self):
        self.set_up()
        os.unlink(self.checkout.python)
        os.symlink(self.path / 'gone', self.checkout.python)
        self.assertEqual(self.FROM_SCRATCH, self.set_up())

    def test_an_unreadable_record_means_from_scratch(self):
        for text in ('', '[]', '{', '{}'):
            self.set_up()
            pathlib.Path(self.checkout.stamp).write_text(text)
            with self.subTest(text=text):
                self.assertEqual(self.FROM_SCRATCH, self.set_up())

    def test_what_is_interrupted_at_any_step_is_repaired_by_the_next_run(self):
        for step in range(1, len(self.FROM_SCRATCH) + 1):
            with self.subTest(step=step):
                (self.path / 'setup.py').write_text(f'# {step}')
                self.cut_at, self.steps = step, []
                pathlib.Path(self.checkout.stamp).unlink(missing_ok=True)
                code, output = self.call()
                self.assertEqual(130, code)
                self.assertIn('Interrupted: the next run of bootstrap.py repairs it.', output)
                self.cut_at = None
                self.assertEqual(self.FROM_SCRATCH, self.set_up())
                self.assertEqual([], self.set_up())

    def test_an_update_that_is_interrupted_starts_from_scratch(self):
        self.set_up()
        (self.path / 'setup.py').write_text('# changed')
        self.cut_at, self.steps = 2, []
        self.assertEqual(130, self.call()[0])
        self.cut_at = None
        self.assertEqual(self.FROM_SCRATCH, self.set_up())

    def test_an_update_without_network_leaves_what_works(self):
        self.set_up()
        before = pathlib.Path(self.checkout.stamp).read_text()
        (self.path / 'setup.py').write_text('# changed')
        self.fail_at, self.steps = 1, []
        code, output = self.call()
        self.assertEqual(1, code)
        self.assertEqual('No connection', output.splitlines()[-1])
        self.assertEqual(before, pathlib.Path(self.checkout.stamp).read_text())
        self.fail_at = None
        self.assertEqual(self.IN_PLACE, self.set_up())

    def test_scripts_start_although_the_path_has_blanks(self):
        self.set_up()
        self.assertIn(' ', self.checkout.python)
        process = subprocess.run([self.path / 'bin' / 'test', 'a b', 'c'], timeout=TIMEOUT)
        self.assertEqual(3, process.returncode)

    def test_scripts_start_although_the_path_is_long(self):
        with tempfile.TemporaryDirectory(prefix='without-blanks-') as other:
            self.path = pathlib.Path(os.path.realpath(other), 'x' * 250)
            self.path.mkdir()
            for name in self.module.INPUTS:
                shutil.copy(ROOT / name, self.path)
            self.set_up()
            process = subprocess.run([self.path / 'bin' / 'test'], timeout=TIMEOUT)
        self.assertEqual(1, process.returncode)


    def require_tests(self):
        """Return the exit code of `require_tests`, None if it returns, and its output."""
        self.steps.clear()
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            try:
                self.module.require_tests()
            except SystemExit as error:
                return error.code, text.getvalue()
        return None, text.getvalue()

    def test_what_tests_need_is_installed_once(self):
        self.set_up()
        code, output = self.require_tests()
        self.assertEqual((None, 1, ['pip']), (code, len(output.splitlines()), self.steps))
        self.assertEqual((None, ''), self.require_tests())
        self.assertEqual([], self.steps)
        with open(self.path / 'versions.cfg', 'a') as file:
            file.write('another = 1\n')
        self.assertEqual(None, self.require_tests()[0])
        self.assertEqual(['pip'], self.steps)

    def test_without_what_tests_need_there_are_none(self):
        self.set_up()
        self.fail_at = 1
        for _ in range(2):
            code, output = self.require_tests()
            self.assertEqual((78, ['pip']), (code, self.steps))
            self.assertIn('No connection', output.splitlines()[-1])
        self.fail_at = None
        self.assertEqual(None, self.require_tests()[0])

    def test_what_tests_need_is_installed_by_one(self):
        self.set_up()
        with self.checkout.lock():
            code, output = self.require_tests()
        self.assertEqual((78, []), (code, self.steps))
        self.assertIn('Another bootstrap.py', output)


class PinsTest(unittest.TestCase):
    def setUp(self):
        if not (ROOT / 'bootstrap.py').exists():
            self.skipTest('bootstrap.py belongs to the checkout, which is not here')
        self.module = load(ROOT / 'bootstrap.py')
        self.installed = self.module.pins(str(ROOT))
        self.tests = self.module.pins(str(ROOT), 'test-versions')

    def test_every_distribution_has_one_version(self):
        self.assertLessEqual({'zc.buildout', *self.module.BUILDERS}, set(self.installed))
        self.assertEqual(set(), set(self.installed) & set(self.tests))
        for name, version in {**self.installed, **self.tests}.items():
            self.assertRegex(version, r'^[0-9]+(\.[0-9]+)+(\.post[0-9]+)?$', name)

    def test_whatever_we_require_has_a_version(self):
        pinned = {canonicalize_name(name) for name in (*self.installed, *self.tests)}
        for line in importlib.metadata.requires('zeit.cds'):
            self.assertIn(canonicalize_name(Requirement(line).name), pinned)

    def test_an_operator_has_no_use_for_these(self):
        self.assertEqual(set(), {'celery', 'gunicorn', 'hypothesis', 'ruff'} & set(self.installed))
