"""In a process that gevent has patched: several runs at a time, and other greenlets go on."""

import os
import subprocess
import sys
import textwrap
import unittest

from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.sftpfaults import SFTPFaultServer
from zeit.cds.tests.folders import in_memory


PROGRAM = """
    import gevent.monkey

    gevent.monkey.patch_all()

    import sys, types

    from zeit.cds.run.exporter import Exporter
    from zeit.cds.spool.spool import Spool
    from zeit.cds.tests.oversftp import scripted_target

    port, key, password, *paths = sys.argv[1:]
    server = types.SimpleNamespace(
        host='127.0.0.1', port=int(port), user='test', password=password, fingerprint=key
    )

    def run(number):
        goal = scripted_target(server, directory=f'/{number}', connections=4)
        return Exporter(Spool(paths[number]), goal).run_once().exit_code

    def count():
        while True:
            gevent.sleep(0.001)
            turns.append(1)

    turns = []
    counting = gevent.spawn(count)
    runs = [gevent.spawn(run, number) for number in range(len(paths))]
    gevent.joinall(runs, raise_error=True)
    counting.kill()
    print([each.value for each in runs], len(turns) > 0)
"""


class GeventTests(unittest.TestCase):
    layer = layers.QUIET

    def test_several_runs_at_a_time_while_other_greenlets_go_on(self):
        names = [f'{number}.xml' for number in range(10)]
        spools = [Spool(in_memory(self)) for _ in range(2)]
        for spool in spools:
            for name in names:
                spool.put(name, b'x' * 5000)
        with SFTPFaultServer(directories=['/0', '/1']) as server:
            self.assertEqual('test', server.user)
            done = subprocess.run(
                [
                    *(sys.executable, '-c', textwrap.dedent(PROGRAM), str(server.port)),
                    *(server.fingerprint, server.password),
                    *(str(spool.path) for spool in spools),
                ],
                env={'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertEqual(('[0, 0] True\n', ''), (done.stdout, done.stderr))
            there = {f'/{number}/{name}' for number in range(2) for name in names}
            self.assertEqual(there, {*server.files})
