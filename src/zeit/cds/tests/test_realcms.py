"""Inside of what zeit.cms is made of: z3c.celery, zope.sqlalchemy, ZODB, PostgreSQL; all real.

`.ci/servers` brings them; the scenarios are in `realcms`.
"""

import contextlib
import os
import pathlib
import pwd
import socket
import subprocess
import tempfile
import unittest

import zeit.cds
from zeit.cds.testing import daemon
from zeit.cds.testing.process import Daemon


TIMEOUT = 60


def find_python():
    """Return the Python of the environment with the packages.  Raises ServerUnavailable."""
    found = daemon.servers_directory() / 'zope' / 'bin' / 'python'
    if not found.exists():
        raise daemon.ServerUnavailable(f'z3c.celery is not installed: run {daemon.REMEDY}')
    return found


def find_postgres():
    """Return the directory with PostgreSQL's programs.  Raises ServerUnavailable."""
    unpacked = daemon.servers_directory() / 'postgresql' / 'usr'
    for root in unpacked, pathlib.Path('/usr'):
        for found in sorted(root.glob('lib/postgresql/*/bin')):
            if (found / 'initdb').exists():
                return found
    raise daemon.ServerUnavailable(f'PostgreSQL is not installed: run {daemon.REMEDY}')


class Postgres:
    """A layer with a server, whose socket is in `folder/sql`; `missing` says why there is none."""

    missing = None

    @classmethod
    def setUp(cls):
        """Start it; see zope.testrunner."""
        with contextlib.ExitStack() as resources:
            try:
                cls.python, programs = find_python(), find_postgres()
            except daemon.ServerUnavailable as error:
                cls.missing = error
            else:
                cls.folder = pathlib.Path(resources.enter_context(tempfile.TemporaryDirectory()))
                _serve(cls.folder, programs, resources)
            cls.resources = resources.pop_all()

    @classmethod
    def tearDown(cls):
        """Stop it."""
        cls.resources.close()


def _serve(folder, programs, resources):
    """Start PostgreSQL in the `folder`, until the end of `resources`."""
    folder.chmod(0o755)
    data, sockets = folder / 'data', folder / 'sql'
    data.mkdir(mode=0o700)
    sockets.mkdir()
    user = []
    if os.geteuid() == 0:  # which it refuses to run as
        account = pwd.getpwnam(daemon.ACCOUNT)
        user = ['setpriv', f'--reuid={account.pw_uid}', f'--regid={account.pw_gid}']
        user.append('--clear-groups')
        for each in data, sockets:
            os.chown(each, account.pw_uid, account.pw_gid)
    options = ['--auth=trust', '--username=test', '--no-sync', '--encoding=UTF8', '--locale=C']
    command = [*user, programs / 'initdb', *options, data]
    subprocess.run(command, check=True, capture_output=True, cwd='/', timeout=TIMEOUT)
    settings = ['listen_addresses=', f'unix_socket_directories={sockets}', 'fsync=off']
    words = [word for setting in settings for word in ('-c', setting)]
    server = Daemon(
        [*user, str(programs / 'postgres'), '-D', str(data), *words],
        log=folder / 'log',
        directories=[folder],
    )
    resources.callback(server.stop)
    server.start()
    path = str(sockets / '.s.PGSQL.5432')
    server.wait_until(lambda: _listens(path), timeout=TIMEOUT)


def _listens(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    return True


class RealTests(unittest.TestCase):
    layer = Postgres
    level = 2

    def setUp(self):
        if self.layer.missing is not None:
            raise self.layer.missing

    def run_scenario(self, name):
        """Let it run in a process of its own, with a database of its own."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / 'sql').symlink_to(self.layer.folder / 'sql')
        source = pathlib.Path(zeit.cds.__file__).parents[2]
        result = subprocess.run(
            [self.layer.python, '-m', 'zeit.cds.tests.realcms', name, folder],
            env=os.environ | {'PYTHONPATH': str(source)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(0, result.returncode, result.stderr[-3000:])

    def test_an_error_in_an_adapter(self):
        self.run_scenario('adapter')

    def test_an_error_in_a_subscriber(self):
        self.run_scenario('subscriber')

    def test_an_outbox_beside_a_task_that_was_delayed(self):
        self.run_scenario('outbox')

    def test_a_thread(self):
        self.run_scenario('thread')

    def test_a_worker(self):
        self.run_scenario('worker')

    def test_what_comes_with_us_for_zeit_cms(self):
        self.run_scenario('vivi')

    def test_an_eager_task(self):
        self.run_scenario('eager')

    def test_a_publication_that_sees_the_past(self):
        self.run_scenario('snapshot')

    def test_a_transaction_that_takes_long(self):
        self.run_scenario('long')
