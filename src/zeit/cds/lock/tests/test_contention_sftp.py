"""Two exporters over SFTP, and packets of the one are held back while the other one works."""

import unittest

from zeit.cds.lock.tests.test_contention import Contention
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
        self.prepare()

    def target(self, port):
        """See `Contention`."""
        # It shows the same key through a relay.
        path = in_memory(self) / 'known_hosts'
        path.write_text(f'[{self.server.host}]:{port} {self.server.host_key}\n')
        return target(self.server, port=port, known_hosts=str(path))

    def garbage(self):
        return {path.name for path in self.server.root.iterdir() if path.name[:4] != 'file'}
