"""Two exporters over SFTP, and packets of the one are held back while the other one works."""

import logging
import unittest

from zeit.cds.lock.tests.test_contention import Contention
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.oversftp import target
from zeit.cds.tests.sampling import every


class OpenSSHTests(Contention, layers.ServerTests, unittest.TestCase):
    layer = layers.OPENSSH
    level = 2
    step = every(23)

    def setUp(self):
        super().setUp()
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.numbers = iter(range(10_000))

    def exporter(self, port, *, known):
        """See `Contention`."""
        spool = Spool(in_memory(self))
        # It shows the same key through a relay.
        path = in_memory(self) / 'known_hosts'
        path.write_text(f'[{self.server.host}]:{port} {self.server.host_key}\n')
        goal = target(self.server, port=port, known_hosts=str(path))
        if known:
            with spool.run():
                spool.journal.note('rights', target=goal.url, known=True, guard=self.guard)
        spool.put(f'file-{next(self.numbers)}', b'content')
        return Exporter(spool, goal, wait=lambda seconds: None)

    def garbage(self):
        return {path.name for path in self.server.root.iterdir() if path.name[:4] != 'file'}
