"""How often a run waits for the server: what is asked together, costs one round trip."""

import unittest
from unittest import mock

from zeit.cds.run.exporter import Exporter
from zeit.cds.sftp.ssh import Channel
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.oversftp import target


class RoundTripTests(layers.ServerTests, unittest.TestCase):
    layer = layers.OPENSSH

    def deliver(self, *names):
        """Deliver files; return how often requests were sent."""
        for name in names:
            self.spool.put(name, b'x' * 4096)
        with mock.patch.object(Channel, 'write', autospec=True, side_effect=Channel.write) as sent:
            report = Exporter(self.spool, target(self.server, connections=1)).run_once()
        self.assertEqual((0, [*names]), (report.exit_code, sorted(report.delivered)))
        return sent.call_count

    def setUp(self):
        super().setUp()
        self.spool = Spool(in_memory(self))
        self.deliver('first.xml')  # which proves the rights of the account

    def test_one_article(self):
        # The version; the directory; a listing.  Lock: directories, OPEN, token, guard, look, name.
        # File: OPEN, bytes, name.  Release: OPEN, READ, REMOVE.
        # Some more where answers, such as the end of a listing, come in packets of their own.
        self.assertIn(self.deliver('a.xml'), range(15, 20))
