"""The thread in a server that loads the application, and then forks: gunicorn with 4 workers."""

import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from zeit.cds.spool import Spool
from zeit.cds.tests import application, diary
from zeit.cds.tests.test_drivers import TIMEOUT, ApplicationCase


#: Seconds for an end in order.
STOP = 5


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self.host)


class GunicornTests(ApplicationCase):
    def setUp(self):
        super().setUp()
        self.zcml = application.write(self.folder, self.server)
        self.address = self.folder / 'socket'
        module = 'zeit.cds.tests.gunicornapp'
        command = [*'-m gunicorn -c'.split(), f'python:{module}', '-b', f'unix:{self.address}']
        self.log = self.folder / 'log'
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, '--no-control-socket', f'{module}:app'],
                env=self.environ(ZEIT_CDS_TEST_ZCML=str(self.zcml)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.wait_until(lambda: self.process.poll() is None and self.request('first'))
        self.names = ['{urn:uuid:first}.xml']

    def request(self, name):
        """Return whether an article was published."""
        connection = Connection(str(self.address))
        try:
            connection.request('GET', f'/{name}')
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def publish(self, *numbers):
        for number in numbers:
            self.assertTrue(self.request(str(number)), self.log.read_text())
            self.names.append(f'{{urn:uuid:{number}}}.xml')

    def test_one_exporter_at_a_time_and_a_clean_end(self):
        self.publish(*range(30))
        self.assert_delivered(*self.names)
        self.publish(*range(30, 40))  # some of these are at work when the end comes
        pid = self.process.pid
        workers = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
        self.assertEqual(4, len(workers))
        before = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(0, self.process.wait(TIMEOUT), self.log.read_text())
        self.assertLess(time.monotonic() - before, STOP)
        runs, processes = diary.check(self, self.diary)
        self.assertGreater(runs, 1)
        self.assertLessEqual(processes, {*workers})
        for pid in map(int, workers):
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        # No lock on either side; nothing is lost.
        spool = Spool(self.folder / 'spool')
        status = spool.status()
        self.assertEqual('', status.active)
        self.assertEqual(self.filed(), self.remote())
        waiting = [entry.name for entry in status.waiting]
        self.assertEqual(sorted(self.names), sorted([*waiting, *self.filed()]))
        trouble = 'still at work|tried again|Exception in thread|WORKER TIMEOUT|SIGKILL'
        self.assertNotRegex(self.log.read_text(), trouble)
