"""The thread in a server that loads the application, and then forks: gunicorn with 4 workers."""

import http.client
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

from zeit.cds.drivers.tests import gunicornapp
from zeit.cds.drivers.tests.test_drivers import TIMEOUT, ApplicationCase
from zeit.cds.spool.spool import Spool
from zeit.cds.tests import application, diary


#: Seconds: what ends sooner was not waited for in vain, as that takes `graceful_timeout`.
STOP = 25

#: More than all workers say, in bytes.
CHUNK = 1024


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self.host)


class GunicornCase(ApplicationCase):
    #: The kind of the workers.
    kind = 'sync'

    def setUp(self):
        super().setUp()
        self.zcml = application.write(self.folder, self.server)
        self.address = self.folder / 'socket'
        module = 'zeit.cds.drivers.tests.gunicornapp'
        command = [*'-m gunicorn -c'.split(), f'python:{module}', '-b', f'unix:{self.address}']
        command += ['-k', self.kind]
        self.log = self.folder / 'log'
        reading, writing = os.pipe()
        ready = self.enterContext(open(reading, 'rb', buffering=0))
        with open(self.log, 'wb') as log, open(writing, 'wb') as theirs:
            self.process = subprocess.Popen(
                [sys.executable, *command, '--no-control-socket', f'{module}:app'],
                env=self.environ(
                    ZEIT_CDS_TEST_ZCML=str(self.zcml), ZEIT_CDS_TEST_READY=str(writing)
                ),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.workers = self.started(ready)
        self.names = []

    def started(self, ready):
        """Return the process ids (text) of all workers, which have said that they are ready.

        gunicorn starts them one by one, and takes its time: the first serves long before the last
        is there, and a signal to one that is not ready is lost.
        """
        found = b''
        while found.count(b'\n') < gunicornapp.workers:
            some = select.select([ready], [], [], TIMEOUT)[0] and ready.read(CHUNK)
            self.assertTrue(some, self.log.read_text())
            found += some
        return set(found.decode().split())

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

    def end(self):
        """End the server; all its processes are gone, and had no trouble."""
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(0, self.process.wait(TIMEOUT), self.log.read_text())
        for pid in map(int, self.workers):
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        trouble = 'still running|tried again|Exception in thread|WORKER TIMEOUT|SIGKILL'
        self.assertNotRegex(self.log.read_text(), trouble)


class GunicornTests(GunicornCase):
    def test_one_exporter_at_a_time_and_a_clean_end(self):
        self.publish(*range(30))
        self.assert_delivered(*self.names)
        self.publish(*range(30, 40))  # some of these are at work when the end comes
        pid = self.process.pid
        children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
        self.assertEqual(self.workers, {*children})
        before = time.monotonic()
        self.end()
        self.assertLess(time.monotonic() - before, STOP)
        runs, processes = diary.check(self, self.diary)
        self.assertGreater(runs, 1)
        self.assertLessEqual(processes, self.workers)
        # No lock on either side; nothing is lost.
        spool = Spool(self.folder / 'spool')
        status = spool.status()
        self.assertEqual('', status.active)
        self.assertEqual(self.filed(), self.remote())
        waiting = [entry.name for entry in status.waiting]
        self.assertEqual(sorted(self.names), sorted([*waiting, *self.filed()]))


class GeventTests(GunicornCase):
    """Threads are greenlets of gevent, and what waits must let others go on."""

    kind = 'gevent'

    def test_a_run_over_several_connections(self):
        spool, names = Spool(self.folder / 'spool'), [f'{number}.xml' for number in range(40)]
        for name in names:
            spool.put(name, b'<a />')
        self.publish(1)
        self.assert_delivered(*self.names, *names)
        self.assertEqual([], spool.status().waiting)
        self.end()
