"""Several connections in a process that gevent has patched: its other greenlets go on meanwhile."""

import socket
import subprocess
import sys
import textwrap
import threading
import unittest

from zeit.cds.testing import faults
from zeit.cds.tests.scenario import PATIENCE, Scenario, content


PROGRAM = """
    import gevent.monkey

    gevent.monkey.patch_all()

    import socket, sys, types

    from zeit.cds.run.exporter import Exporter
    from zeit.cds.spool.spool import Spool
    from zeit.cds.tests.scenario import target

    path, port, number = sys.argv[1], *map(int, sys.argv[2:])
    other = socket.socket(fileno=number)
    greenlet = gevent.spawn(lambda: other.sendall(other.recv(1)))
    goal = target(types.SimpleNamespace(host='127.0.0.1', port=port), connections=4)
    report = Exporter(Spool(path), goal).run_once()
    greenlet.join()
    sys.exit(report.exit_code)
"""


class GeventTests(Scenario, unittest.TestCase):
    def test_other_greenlets_go_on_while_all_connections_wait(self):
        ours, theirs = map(self.enterContext, socket.socketpair())
        ours.settimeout(PATIENCE)
        together = threading.Barrier(4)
        heard = []

        def wait(event):
            if together.wait(PATIENCE) == 0:
                ours.sendall(b'x')
                heard.append(ours.recv(1))
            together.wait(PATIENCE)

        names = [f'file-{number}' for number in range(8)]
        self.put(*names)
        for name in names[:4]:
            self.fault('STOR', faults.Call(wait), path=f'/cds/{name}*', times=1)
        done = subprocess.run(
            [
                *(sys.executable, '-c', textwrap.dedent(PROGRAM), self.path),
                *map(str, (self.server.port, theirs.fileno())),
            ],
            env={'PYTHONPATH': ':'.join(filter(None, sys.path))},
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual([b'x'], heard)
        self.assertEqual(names, self.section('cur'))
        self.assertEqual({name: content(name) for name in names}, self.remote)
