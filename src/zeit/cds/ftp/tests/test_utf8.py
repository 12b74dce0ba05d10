"""Names beyond ASCII: OPTS UTF8 ON, when it matters and not before."""

from zeit.cds.credentials import Secret
from zeit.cds.ftp.tests.test_network import FaultCase
from zeit.cds.target.tests.test_upload import Source
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import faults
from zeit.cds.testing.memory import NoLedger
from zeit.cds.values.plan import Job, Plan


class UTF8Tests(FaultCase):
    def asked(self):
        return self.server.commands('OPTS')

    def test_utf8_is_not_asked_for_where_names_are_ascii(self):
        session = self.open()
        session.store('b.xml', b'content')
        session.names()
        self.assertEqual([], self.asked())

    def test_utf8_is_asked_for_once_for_each_connection(self):
        self.server.fault('OPTS', faults.Reply('200 UTF8 is on.'))
        session = self.open()
        for name in ('ä.xml', 'ö.xml'):
            session.store(name, b'content')
            session.rename(name, f'{name}.done')
        session.reconnect()
        session.delete('ä.xml.done')
        self.assertEqual(['OPTS UTF8 ON'] * 2, self.asked())
        self.assertIn('/ö.xml.done', self.server.files)

    def test_before_a_name_whose_temporary_is_in_ascii(self):
        """It is so long that a hash takes its place until it is complete."""
        self.server.fault('OPTS', faults.Reply('200 UTF8 is on.'))
        plan = Plan([Job(name='ä' * 120, size=3, open=lambda: Source(b'abc'))])
        (outcome,) = upload_files(self.open(), plan, ledger=NoLedger())
        self.assertIsNone(outcome.error)
        said = [text.split()[0] for text in self.server.commands('OPTS', 'RNTO')]
        self.assertEqual(['OPTS', 'RNTO'], said, self.server.transcript)

    def test_before_the_directory(self):
        self.server.fault('OPTS', faults.Reply('200 UTF8 is on.'))
        self.server.put('/ä/a.xml', b'content')
        self.assertEqual({'a.xml'}, self.open(directory='/ä').names())
        said = [text.split()[0] for text in self.server.commands('OPTS', 'CWD')]
        self.assertEqual(['OPTS', 'CWD'], said)

    def test_utf8_is_not_asked_for_because_of_a_password(self):
        self.server = self.enterContext(faults.FaultServer(password='pässword'))
        self.open(password=Secret('pässword'))
        self.assertEqual([], self.asked())

    def test_a_refusal_is_no_error(self):
        self.server.fault('OPTS', faults.Reply('501 Not understood.'))
        session = self.open()
        session.store('ä.xml', b'content')
        self.assertEqual(b'content', self.server.files['/ä.xml'])

    def test_utf8_is_not_asked_for_in_another_encoding(self):
        session = self.open(encoding='latin-1')
        session.store('ä.xml', b'content')
        self.assertEqual({'a.xml', 'ä.xml'}, session.names())
        self.assertEqual([], self.asked())

    def test_not_for_a_listing_in_utf_8(self):
        self.server.put('/ä.xml', b'content')
        self.assertEqual({'a.xml', 'ä.xml'}, self.open().names())
        self.assertEqual([], self.asked())

    def test_for_a_listing_that_is_not(self):
        names = 'type=file; b\xe4.xml\r\n'
        self.server.fault('OPTS', faults.Reply('200 UTF8 is on.'))
        for encoding, times in (('latin-1', 1), ('utf-8', None)):
            self.server.fault(
                'MLSD', faults.Alter(keep=0, extra=names.encode(encoding)), times=times
            )
        session = self.open()
        self.assertEqual({'bä.xml'}, session.names())
        self.assertEqual(2, len(self.server.commands('MLSD')))
        session.names()
        self.assertEqual(['OPTS UTF8 ON'], self.asked())
