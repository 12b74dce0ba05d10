"""Set zeit.cds up in this folder: `python3 bootstrap.py`.

Makes a private Python environment in .venv, installs the versions of versions.cfg there and
lets buildout generate bin/. Run again, it compares a hash of its inputs and leaves everything
alone if they are the same; what an interrupted run left behind is repaired.

What only developers need is not installed before bin/test, bin/lint or bin/bench is called: they
call `require_tests`.

This file parses under every Python since 2.7, so that it can say which one it needs. That is
why it has no f-strings and why some imports stand in functions.
"""

from __future__ import print_function

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys


OLDEST = (3, 11)
INPUTS = ('bootstrap.py', 'buildout.cfg', 'pyproject.toml', 'setup.py', 'versions.cfg')
# These build the others and are installed before them.
BUILDERS = ('packaging', 'pip', 'setuptools', 'wheel')
# A hanging mirror must not hang us: no step takes that many seconds on a slow line.
STEP_TIMEOUT = 1800
# What pip writes when nobody answers, as opposed to an index that lacks a version.
NO_NETWORK = (
    'Connection broken',
    'ConnectionError',
    'ConnectTimeout',
    'NewConnectionError',
    'ProxyError',
    'ReadTimeout',
    'Temporary failure in name resolution',
    'connection broken by',
    'timed out',
)
# What bin/test ends with where it lacks its requirements, see sysexits.h.
EX_CONFIG = 78
# The kernel cuts longer #! lines (127 bytes before Linux 5.1) and splits them at blanks.
SHEBANG_LIMIT = 127


class Failure(Exception):
    """Something that one line can explain, with what to do about it."""


def check_python():
    """Raise Failure if this Python or system cannot run zeit.cds."""
    if os.name != 'posix':
        raise Failure('zeit.cds runs on Linux, macOS and other POSIX systems, not on this one.')
    if sys.version_info[:2] < OLDEST:
        raise Failure(
            'zeit.cds needs Python 3.11 or newer, this is {0}.{1}: '
            'try for example `python3.13 bootstrap.py`.'.format(*sys.version_info[:2])
        )


def check_ensurepip():
    """Raise Failure if this Python cannot make environments (Debian splits that off)."""
    import importlib.util

    if not all(importlib.util.find_spec(name) for name in ('ensurepip', 'venv')):
        raise Failure(
            'This Python cannot make private environments, it lacks ensurepip: on Debian and '
            'Ubuntu `sudo apt install python{0}.{1}-venv`, then run bootstrap.py again.'.format(
                *sys.version_info[:2]
            )
        )


class Checkout(object):
    """The folder that is set up, and what bootstrap.py keeps in it."""

    def __init__(self, path):
        self.path = path
        self.venv = os.path.join(path, '.venv')
        self.python = os.path.join(self.venv, 'bin', 'python')
        self.log = os.path.join(self.venv, 'bootstrap.log')
        self.stamp = os.path.join(self.venv, 'bootstrap.json')
        self.tests = os.path.join(self.venv, 'tests.txt')
        self.bin = os.path.join(path, 'bin')

    def lock(self):
        """Return an open file that holds the lock, which ends with the process at the latest."""
        import fcntl

        held = open(os.path.join(self.path, 'bootstrap.py'))
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return held
        except BlockingIOError:
            held.close()
        raise Failure('Another bootstrap.py is at work here: wait until it is done.')

    def state(self):
        """Return what the result depends on: the inputs' hash, the Python, the folder."""
        digest = hashlib.sha256()
        for name in INPUTS:
            with open(os.path.join(self.path, name), 'rb') as source:
                content = source.read()
            digest.update('{0} {1}\n'.format(name, len(content)).encode('ascii') + content)
        return {
            'inputs': digest.hexdigest(),
            'python': sys.implementation.cache_tag,
            'folder': self.path,
        }

    def recorded(self):
        """Return what the last complete run recorded, {} without one or if it is unusable."""
        try:
            with open(self.stamp) as source:
                found = json.load(source)
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict) or not os.path.exists(self.python):
            return {}
        return found

    def record(self, state):
        # Renamed into place: half a record is none.
        with open(self.stamp + '.new', 'w') as target:
            json.dump(state, target, indent=1, sort_keys=True)
        os.rename(self.stamp + '.new', self.stamp)

    def is_complete(self, recorded, state):
        scripts = recorded.get('scripts') or []
        return (
            all(recorded.get(key) == state[key] for key in state)
            and bool(scripts)
            and all(os.path.exists(os.path.join(self.bin, name)) for name in scripts)
        )

    def clear(self):
        """Empty .venv. Only the log stays: it is the sign that the folder is ours."""
        if not os.path.isdir(self.venv):
            os.mkdir(self.venv)
        names = os.listdir(self.venv)
        if names and os.path.basename(self.log) not in names:
            raise Failure(
                '{0} was not made by bootstrap.py: move it away and try again.'.format(self.venv)
            )
        open(self.log, 'w').close()
        for name in names:
            path = os.path.join(self.venv, name)
            if path == self.log:
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.remove(path)


def pins(path, section='versions'):
    """Return {distribution: version} of a section of versions.cfg."""
    import configparser

    config = configparser.ConfigParser(interpolation=None)
    config.optionxform = str
    with open(os.path.join(path, 'versions.cfg')) as source:
        config.read_file(source)
    return dict(config[section])


def environment():
    """Return the environment variables for pip: the caller's, less what would lead it astray."""
    env = dict(os.environ)
    for name in ('PYTHONHOME', 'PYTHONPATH', 'PIP_PREFIX', 'PIP_ROOT', 'PIP_TARGET'):
        env.pop(name, None)
    env.update(
        PIP_DISABLE_PIP_VERSION_CHECK='1',
        PIP_NO_BUILD_ISOLATION='0',
        PIP_NO_INPUT='1',
        PIP_USER='0',
    )
    env.setdefault('PIP_RETRIES', '2')
    env.setdefault('PIP_DEFAULT_TIMEOUT', '15')
    return env


def run(checkout, command, what):
    """Run a command, its output in the log. Raises Failure with the likely reason."""
    with open(checkout.log, 'ab') as log:
        start = log.tell()
        log.write('\n$ {0}\n'.format(' '.join(command)).encode('utf-8'))
        log.flush()
        try:
            code = subprocess.call(
                command,
                cwd=checkout.path,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=STEP_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            code = 'no end in {0} s'.format(STEP_TIMEOUT)
    if code == 0:
        return
    with open(checkout.log, 'rb') as log:
        log.seek(start)
        output = log.read().decode('utf-8', 'replace')
    raise Failure(explain(output, what, code) + ' Details: ' + checkout.log)


def explain(output, what, code):
    """Return one line on why a command failed, from what it wrote and its exit code."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith('error')] or lines[-1:]
    if any(sign in output for sign in NO_NETWORK):
        return (
            'No connection to the package index: check the network, a proxy (HTTPS_PROXY) or '
            'your mirror (PIP_INDEX_URL), then run bootstrap.py again.'
        )
    missing = [line for line in errors if 'No matching distribution' in line]
    if missing:
        return (
            'The package index lacks a version of versions.cfg, or cannot be reached '
            '({0}): check your mirror (PIP_INDEX_URL, `pip config list`).'.format(missing[0])
        )
    return '{0} failed ({1}): {2}'.format(what, code, errors[-1] if errors else 'no output.')


def requirements(versions, names):
    return ['{0}=={1}'.format(name, versions[name]) for name in sorted(names)]


def pip(checkout, arguments):
    options = ['--no-deps', '--no-build-isolation']
    run(checkout, [checkout.python, '-m', 'pip', 'install'] + options + arguments, 'pip')


def install(checkout):
    """Install exactly the versions of versions.cfg into the private environment."""
    versions = pins(checkout.path)
    for names in (BUILDERS, set(versions) - set(BUILDERS)):
        pip(checkout, requirements(versions, names))


def install_tests(checkout):
    """Install what the tests need in addition, if it is not there."""
    versions = pins(checkout.path, 'test-versions')
    wanted = '\n'.join(requirements(versions, versions)) + '\n'
    if os.path.exists(checkout.tests):
        with open(checkout.tests) as source:
            if source.read() == wanted:
                return
    with checkout.lock():
        print('Installing the test requirements of versions.cfg in .venv (once) ...')
        sys.stdout.flush()
        with open(checkout.tests + '.new', 'w') as target:
            target.write(wanted)
        pip(checkout, ['-r', target.name])
        os.rename(target.name, checkout.tests)


def require_tests():
    """Make sure that the tests can be run; end the process with 78 if they cannot."""
    try:
        install_tests(Checkout(os.path.dirname(os.path.realpath(__file__))))
    except (Failure, EnvironmentError) as error:
        print('The test requirements cannot be installed. {0}'.format(error), file=sys.stderr)
        sys.exit(EX_CONFIG)


def generate(checkout):
    """Let buildout write bin/, from what is installed; return the names of the scripts."""
    start = 'import zc.buildout.buildout as b; b.main()'
    config = os.path.join(checkout.path, 'buildout.cfg')
    # -U: no defaults of the user, -o: no network, this is where pip's index was asked.
    run(checkout, [checkout.python, '-c', start, '-U', '-o', '-c', config], 'buildout')
    return [
        name
        for name in sorted(os.listdir(checkout.bin))
        if adopt_script(os.path.join(checkout.bin, name), checkout.python)
    ]


def adopt_script(path, python):
    """Return whether buildout generated this script, and make sure that it can be started.

    The kernel cannot where the path of its Python has blanks or too many bytes: sh does then.
    """
    import shlex

    line = '#!' + python + '\n'
    with open(path, 'rb') as source:
        content = source.read()
    if not content.startswith(os.fsencode(line)):
        return False
    if len(os.fsencode(line)) > SHEBANG_LIMIT or set(python) & set(' \t'):
        # For sh this is `exec python script`, for Python a string.
        start = "#!/bin/sh\n'''exec' {0} \"$0\" \"$@\"\n' '''\n".format(shlex.quote(python))
        with open(path, 'wb') as target:
            target.write(os.fsencode(start) + content[len(os.fsencode(line)) :])
    return True


def set_up(checkout, recorded, state):
    """Bring .venv and bin/ up to date, from scratch where the last state is unknown."""
    same = all(recorded.get(key) == state[key] for key in ('python', 'folder'))
    if same:
        print('Bringing zeit.cds in .venv and bin up to date ...')
    else:
        print('Setting up zeit.cds in .venv and bin (once, about a minute) ...')
    sys.stdout.flush()
    if not same:
        checkout.clear()
        base = getattr(sys, '_base_executable', None) or sys.executable
        run(checkout, [base, '-m', 'venv', checkout.venv], 'The private environment')
    else:
        os.remove(checkout.stamp)
    print('  Python {0}.{1} environment: ready'.format(*sys.version_info[:2]))
    sys.stdout.flush()
    try:
        install(checkout)
    except Failure:
        if same:
            # pip changes nothing before it has everything: the old state still works.
            checkout.record(recorded)
        raise
    print('  packages of versions.cfg: installed')
    sys.stdout.flush()
    state['scripts'] = generate(checkout)
    checkout.record(state)
    print('  scripts: ' + ', '.join('bin/' + name for name in state['scripts']))
    print('Done. Next: `bin/zeit-cds demo` shows the main job, `bin/test` runs the tests.')


def main():
    try:
        check_python()
        checkout = Checkout(os.path.dirname(os.path.realpath(__file__)))
        with checkout.lock():
            state = checkout.state()
            recorded = checkout.recorded()
            if checkout.is_complete(recorded, state):
                print('zeit.cds is set up, nothing to do.')
                return 0
            check_ensurepip()
            # Sent to us alone it would leave pip running.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            set_up(checkout, recorded, state)
    except Failure as error:
        print(error, file=sys.stderr)
        return 1
    except EnvironmentError as error:
        print('Cannot set up zeit.cds here: {0}'.format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('Interrupted: the next run of bootstrap.py repairs it.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
