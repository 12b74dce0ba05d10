"""Fifty browsers look at `zeit-cds serve` while a large export runs."""

import os
import pathlib
import re
import threading
import time

from zeit.cds.cli.tests.test_command_line import PASSWORD
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.web.tests.test_serve import ServeCase


CLIENTS = 50
INTERVAL = 5
FILES = 5000
SECONDS = 60

#: Of one core, for all of the clients.
SHARE = 0.1


class LoadTests(ServeCase):
    level = 3

    def setUp(self):
        super().setUp()
        partner = self.enterContext(PyFTPServer(user='test', password=PASSWORD))
        self.configure(partner.port)
        self.answers, self.errors = [], []
        self.stopped = threading.Event()

    def put(self):
        for number in range(FILES):
            (self.path / 'new' / f'{number:05}.xml').write_bytes(b'x' * 4096)

    def export(self):
        """Return the seconds that it takes."""
        begun = time.monotonic()
        process = self.start('--zcml', self.zcml, '-q', 'export')
        out, err = process.communicate(timeout=600)
        self.assertEqual((0, '', ''), (process.returncode, out, err))
        return time.monotonic() - begun

    def look(self, here, delay):
        """Ask for what a browser asks for, again and again."""
        self.stopped.wait(delay)
        while not self.stopped.is_set():
            begun = time.monotonic()
            try:
                status, _, body = here.ask()
            except OSError as error:
                self.errors.append(error)
            else:
                self.answers.append((status, len(body), time.monotonic() - begun))
            self.stopped.wait(max(0, begun + INTERVAL - time.monotonic()))

    def test_fifty_browsers(self):
        self.put()
        alone = self.export()
        self.put()
        process, here = self.serve()
        before, begun = cpu(process.pid), time.monotonic()
        clients = [
            threading.Thread(target=self.look, args=(here, number * INTERVAL / CLIENTS))
            for number in range(CLIENTS)
        ]
        for each in clients:
            each.start()
        try:
            together = self.export()
            self.stopped.wait(max(0, begun + SECONDS - time.monotonic()))
        finally:
            self.stopped.set()
            for each in clients:
                each.join()
        share = (cpu(process.pid) - before) / (time.monotonic() - begun)
        slowest = max(seconds for _, _, seconds in self.answers)
        print(
            f'\n{len(self.answers)} answers, the slowest in {slowest:.2f} s; {share:.0%} of a core;'
            f' {FILES} files in {alone:.1f} s alone, in {together:.1f} s with {CLIENTS} browsers'
        )
        self.assertEqual([], self.errors)
        self.assertEqual({200}, {status for status, _, _ in self.answers})
        self.assertGreater(len(self.answers), CLIENTS * SECONDS / INTERVAL / 2)
        self.assertLess(share, SHARE)
        self.assertEqual([], os.listdir(self.path / 'new'))


def cpu(pid):
    """Return the seconds of processor time that a process has used: proc(5)."""
    text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    user, system = re.sub(r'.*\)', '', text, flags=re.DOTALL).split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')
