"""Large files that are sent without a digest."""

import os
import tempfile
import unittest
from unittest import mock

from zeit.cds import errors
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.tests import remembered
from zeit.cds.tests.scenario import SHORT, Scenario, target
from zeit.cds.tests.test_contract import target as served


#: More bytes than the system takes before the server reads: tcp_wmem(7) of Linux is 4 MiB.
LARGE = 10_000_000


class LargeTests(Scenario, unittest.TestCase):
    def put(self, *names):
        for name in names:
            self.offered[name] = os.urandom(LARGE)
            self.spool.put(name, self.offered[name])

    def export(self, *names, **kw):
        return super().export(*names, **{'digest_limit': 1000, **kw})

    def receipt(self, name):
        return list(remembered.receipts(self.path / '.cds', name))[-1]

    def test_it_arrives_and_its_receipt_has_no_digest(self):
        self.assert_run(0, 'a b', self.export('a', 'b'))
        self.assertEqual('', self.receipt('a')['sha256'])

    def test_up_to_the_limit_it_is_read(self):
        self.assert_run(0, 'a', self.export('a', digest_limit=LARGE))
        self.assertEqual(64, len(self.receipt('a')['sha256']))

    def test_a_lost_data_connection(self):
        for action in (faults.CutData(70_000), faults.CutData(0, control=True), faults.Cut()):
            with self.subTest(action):
                self.prepare()
                self.fault('STOR', action, path='*.part', times=1)
                # All may have been handed to the system before it knew: then the size tells, and
                # it is the next run that sends it again.
                self.assertIn('b', self.export('a', 'b').delivered)
                self.heal()

    def test_the_reason_of_the_server(self):
        self.fault('STOR', faults.Reply('552 Quota exceeded.'), path='*.part')
        report = self.export('a', 'b')
        self.assert_run(69, '', report)
        self.assertIn('552 Quota exceeded.', str(report.error))

    def test_a_server_that_reads_no_more(self):
        self.fault('STOR', faults.StallData(70_000), path='*.part', times=1)
        self.assert_run(0, 'a', self.export('a', **{**SHORT, 'reply_timeout': 0.6}))

    def test_in_doubt_it_is_sent_again(self):
        """The run ended between the upload and the receipt."""
        with mock.patch.object(Spool, 'done', side_effect=errors.SpoolError('No.')):
            self.put('a')
            exporter = Exporter(self.spool, self.goal(), wait=lambda seconds: None)
            with self.assertLogs('zeit.cds'):
                self.assertEqual(78, exporter.run_once().exit_code)
        self.assert_run(0, 'a', self.export())
        self.assertIn('Uploading: a', self.log)

    def goal(self):
        return target(self.server, digest_limit=1000)


class Served(layers.ServerTests):
    def test_a_large_file(self):
        goal = served(self.server, digest_limit=0)
        with tempfile.TemporaryDirectory() as directory:
            spool = Spool(directory)
            data = os.urandom(5_000_001)
            spool.put('large', data)
            self.assertEqual(['large'], Exporter(spool, goal).run_once().delivered)
            self.assertEqual(data, (self.server.root / 'large').read_bytes())


class PyFTPTests(Served, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(Served, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDTests(Served, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(Served, unittest.TestCase):
    layer = layers.PUREFTPD
