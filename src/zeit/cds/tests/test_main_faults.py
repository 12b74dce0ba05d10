"""`export` against a server that misbehaves: nothing is in `cur/` that is not complete there."""

import unittest
from unittest import mock

from zeit.cds import main
from zeit.cds.credentials import Secret
from zeit.cds.errors import SourceUnreadable
from zeit.cds.network import connecting
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool import source
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import faults
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests.maincase import MainCase


class FaultTest(MainCase, unittest.TestCase):
    layer = QUIET

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer())
        self.publish('a', content=b'<article>a</article>')

    def assert_kept(self):
        """What was not delivered waits, and nothing of it is to be seen on the server."""
        self.assertEqual((['a'], []), (self.names('new'), self.names('cur')))
        self.assertEqual({}, self.server.files)

    def assert_delivered(self):
        self.assertEqual(([], ['a']), (self.names('new'), self.names('cur')))
        self.assertEqual({'/a': b'<article>a</article>'}, self.server.files)

    def test_fewer_bytes_than_sent_are_no_delivery(self):
        self.server.fault('STOR', faults.Alter(keep=3), path='*.part')
        self.assertEqual(1, self.call(main.cds_export))
        self.assert_kept()

    def test_more_bytes_than_sent_are_no_delivery(self):
        self.server.fault('SIZE', faults.Reply('213 21'), path='*.part')
        self.assertEqual(1, self.call(main.cds_export))
        self.assert_kept()

    def test_a_final_reply_that_says_no_is_no_delivery(self):
        # Everything is there: only the server knows why that is not enough.
        for reply in ('426 Broken.', '451 Failed.', '550 Quarantined.'):
            with self.subTest(reply):
                rule = self.server.fault('STOR', faults.Lie(reply), path='*.part')
                self.assertNotEqual(0, self.call(main.cds_export))
                self.assert_kept()
                self.server.remove_fault(rule)
        self.assertEqual(0, self.call(main.cds_export))
        self.assert_delivered()

    def test_a_file_that_cannot_be_read_to_its_end_is_no_upload_for_the_server(self):
        # Larger than what is sent before the server has said yes: so it says how it ended, too.
        self.publish('a', content=bytes(100_000))
        readinto = source.Source.readinto
        reads = []

        def read_once(source, buffer):
            if source.size == 100_000:
                reads.append(source)
            if len(reads) > 1:
                raise SourceUnreadable('The file cannot be read: the disk is broken')
            return readinto(source, buffer)

        with mock.patch.object(source.Source, 'readinto', read_once):
            self.assertEqual(1, self.call(main.cds_export))
        self.assert_kept()
        # Closed in order, it would have been taken for the end of the file.
        self.server.wait_closed()
        number = self.server.connections('STOR')[1]
        said = [entry.text for entry in self.server.conversation(number)]
        sent = next(n for n, line in enumerate(said) if line.endswith('.part'))
        self.assertNotIn('226 Transfer complete.', said[sent:])
        self.assertIn('426 Connection closed; transfer aborted.', said[sent:])

    def test_after_an_upload_that_failed_the_work_goes_on_over_a_new_connection(self):
        self.publish('b')
        self.server.fault('STOR', faults.Lie('451 Failed.'), path='/a.*')
        self.assertEqual(1, self.call(main.cds_export))
        self.assertEqual((['a'], ['b']), (self.names('new'), self.names('cur')))
        *locks, first, second = self.server.connections('STOR')
        self.assertEqual({first}, {*locks})
        self.assertNotEqual(first, second)

    def test_the_real_name_appears_by_renaming_only(self):
        self.assertEqual(0, self.call(main.cds_export))
        self.assert_delivered()
        for line in self.server.commands('STOR'):
            self.assertRegex(line, r'^STOR (a\.cds[0-9a-f]{16}-\d+\.part|write\.cds[0-9a-f]{16})$')
        self.assertIn('RNTO a', self.server.commands('RNTO'))

    def test_data_goes_to_the_server_itself_whatever_address_it_tells(self):
        self.server.fault('EPSV', faults.Reply('500 Unknown.'))
        # TEST-NET-1 of RFC 5737: nobody's.
        self.server.fault('PASV', faults.Announce(host='192.0.2.1'))
        connected = []
        dial = connecting.dial

        def record(address, **kw):
            connected.append(address[4][0])
            self.assertEqual('127.0.0.1', address[4][0])
            return dial(address, **kw)

        with mock.patch.object(connecting, 'dial', record):
            self.assertEqual(0, self.call(main.cds_export))
        self.assertEqual({'127.0.0.1'}, set(connected))
        self.assert_delivered()

    def test_a_file_that_stands_there_is_parked_if_so_configured(self):
        self.server.put('/a', b'older')
        self.server.fault('RNTO', faults.Reply('553 It exists.'), path='*/a', times=1)
        target = FTPTarget.from_options(
            host=self.server.host,
            port=self.server.port,
            user='test',
            password=Secret('testpw'),
            exists='park',
        )
        report = Exporter(Spool(self.spool), target).run_once()
        self.assertEqual((1, ['parked']), (report.exit_code, [r.status for r in report.results]))
        self.assertEqual({'/a': b'older'}, self.server.files)
        self.assertEqual(['a'], [n for n in self.names('parked') if not n.startswith('.')])

    def test_a_file_that_stands_there_is_replaced(self):
        self.server.put('/a', b'older')
        self.server.fault('RNTO', faults.Reply('553 It exists.'), path='*/a', times=1)
        self.assertEqual(0, self.call(main.cds_export))
        self.assert_delivered()
