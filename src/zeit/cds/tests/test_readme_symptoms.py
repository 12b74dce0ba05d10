"""Provokes each line of docs/troubleshooting.txt, as the person who meets it would see it."""

import ast
import re
import socket
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.layers import QUIET
from zeit.cds.testing.tls import TLS
from zeit.cds.tests import docs


DOCUMENT = 'docs/troubleshooting.txt'

COMMAND = (
    'zeit-cds export --spool /var/spool/cds --password-file /etc/zeit.cds/password {options} '
    'ftp://zeit@ftp.example.com/{directory}'
)

_UNKNOWN = faults.Reply('502 Command not implemented.')


def symptoms(text):
    """Return the terms of the section, in their order."""
    section = text.partition('\nTroubleshooting\n')[2].partition('\n\n\n')[0]
    return re.findall(r'^``(.+)``\n  \S', section, re.MULTILINE)


class SymptomsTest(unittest.TestCase):
    """A server that does wrong what a test tells it to, and a spool with one article."""

    layer = QUIET

    def setUp(self):
        super().setUp()
        text = docs.require(self, DOCUMENT)
        self.terms = symptoms(text)
        certificates = self.enterContext(Certificates())
        server = faults.FaultServer(
            user=docs.USER,
            password=docs.PASSWORD,
            directories=[f'/{docs.DIRECTORY}'],
            tls=TLS(certificate=certificates.issue(docs.HOST), minimum='1.3'),
        )
        self.server = self.enterContext(server)
        self.stage = self.enterContext(docs.Stage(server))
        self.stage.write('etc/partner.pem', certificates.ca_file.read_text())
        self.spool = Spool(self.stage.path('/var/spool/cds'))
        self.spool.put('a.xml', b'<article/>')
        self.advice = {
            term: ' '.join(text.partition(f'\n``{term}``\n')[2].partition('\n``')[0].split())
            for term in self.terms
        }

    def export(self, options='', *, directory=docs.DIRECTORY):
        """Return the exit code and what is said on standard error."""
        command = COMMAND.format(options=options, directory=directory)
        outcome = self.stage.call(command, terminal=False)
        self.assertEqual('', outcome.out)
        return outcome.code, outcome.err

    def assert_symptom(self, term, outcome, *, code, parked=False):
        """It is in the document, was said with this exit code, and the file is still there."""
        self.assertIn(term, self.terms)
        self.assertIn(term, outcome[1])
        self.assertEqual(code, outcome[0], outcome[1])
        found = self.spool.status()
        names = [name for name, _ in found.parked] if parked else [e.name for e in found.waiting]
        self.assertIn('a.xml', names)

    def import_(self, options='', *, file='l.xml', modified=1_000_000_000):
        """The same of an import of one more file."""
        self.server.put(f'/in/{file}', b'<letter/>', modified=modified)
        command = COMMAND.replace('export', 'import').format(options=options, directory='in')
        return self.stage.call(command, terminal=False)[::2]

    def assert_cured(self, term, option):
        """What the document advises helps."""
        self.assertIn(option, self.advice[term])
        self.assertEqual((0, ''), self.export(option))

    def test_each_has_a_test(self):
        with open(__file__) as file:
            constants = [n for n in ast.walk(ast.parse(file.read())) if isinstance(n, ast.Constant)]
        tested = {node.value for node in constants}
        self.assertEqual([], [term for term in self.terms if term not in tested])
        self.assertTrue(self.terms)

    def test_locked(self):
        term = "Cannot access CDS FTP server as 'write' lockfile exists"
        self.server.put('/in/write', b'zeit.cds, host archive, pid 4711')
        self.assert_symptom(term, self.export(), code=errors.COME_BACK_LATER)
        # What the document promises about `status --remote`.
        url = 'ftp://zeit@ftp.example.com/in'
        file = '--password-file /etc/zeit.cds/password'
        shown = self.stage.call(f'zeit-cds status --remote --spool /var/spool/cds {file} {url}')
        self.assertRegex(shown.out, 'pid 4711.*since 2')

    def test_login(self):
        self.stage.write('etc/password', 'guess')
        self.assert_symptom('530', self.export(), code=errors.LOGIN_REFUSED)

    def test_directory(self):
        self.server.fault('CWD', faults.Reply('550 No such file or directory.'))
        term = '550 No such file or directory. Check that the directory /out exists'
        self.assert_symptom(term, self.export(directory='out'), code=errors.CONFIGURATION)

    def test_refused(self):
        self.server.stop()
        with socket.socket() as nobody:
            # Or another process could get the port.
            nobody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            nobody.bind((self.server.host, self.server.port))
            outcome = self.export()
        self.assert_symptom('Connection refused', outcome, code=errors.UNAVAILABLE)

    def test_certificate(self):
        outcome = self.export('--tls explicit')
        self.assert_symptom('The certificate of', outcome, code=errors.UNAVAILABLE)
        self.assertIn('of ftp.example.com is refused: unable to get', outcome[1])
        self.assertEqual([], self.server.commands('USER', 'PASS'))
        # What the section TLS of the options advises.
        option = '--ca-file /etc/zeit.cds/partner.pem'
        self.assertIn(option, docs.find('docs/options.txt'))
        self.assertEqual((0, ''), self.export(f'--tls explicit {option}'))

    def test_no_tls(self):
        self.server.fault('AUTH', _UNKNOWN)
        outcome = self.export('--tls explicit')
        self.assert_symptom('The server does not offer TLS', outcome, code=errors.UNAVAILABLE)
        self.assertEqual([], self.server.commands('USER', 'PASS'))

    def test_no_agreement(self):
        outcome = self.export('--tls explicit --tls-maximum 1.2')
        self.assert_symptom('No TLS with', outcome, code=errors.UNAVAILABLE)

    def test_warnings(self):
        for term, option, loopback in (
            ('Without TLS the password and all files can be read', '', False),
            ('THE SERVER IS NOT VERIFIED', '--tls explicit --no-tls-verify', True),
        ):
            self.spool.put('b.xml', b'<article/>')
            with unittest.mock.patch('zeit.cds.target.target.is_loopback', return_value=loopback):
                code, text = self.export(option)
            self.assertEqual((0, 1), (code, len(text.splitlines())), text)
            self.assertIn(term, text)
            self.assertIn(term, self.terms)

    def test_silence(self):
        self.server.fault(faults.GREETING, faults.Silence())
        outcome = self.export('--reply-timeout 0.1 --connect-timeout 1')
        self.assert_symptom('No answer within', outcome, code=errors.UNAVAILABLE)

    def test_no_data_connection(self):
        self.server.fault('EPSV', faults.DataPort('refused'))
        self.server.fault('PASV', faults.DataPort('refused'))
        self.assert_symptom('No data connection', self.export(), code=errors.UNAVAILABLE)

    def test_full(self):
        self.server.fault('STOR', faults.Reply('552 Quota exceeded.'), path='*.part')
        self.assert_symptom('The server has no room', self.export(), code=errors.UNAVAILABLE)

    def test_read_only(self):
        self.server.fault('STOR', faults.Reply('553 Permission denied.'))
        term = "The lock file 'write' cannot be made"
        self.assert_symptom(term, self.export(), code=errors.CONFIGURATION)

    def test_disk_of_the_server(self):
        self.server.fault('STOR', faults.Lie('451 Failure writing to file.'), path='*.part')
        term = 'The server has a problem'
        self.assert_symptom(term, self.export(), code=errors.FILES_FAILED)

    def test_tls_demanded(self):
        self.server.fault('USER', faults.Reply('530 Use encryption.'))
        term = 'The server demands TLS'
        self.assert_symptom(term, self.export(), code=errors.LOGIN_REFUSED)

    def test_no_size(self):
        self.server.fault('SIZE MLSD', _UNKNOWN)
        term = 'The server does not tell the size of the file'
        self.assert_symptom(term, self.export(), code=errors.CONFIGURATION)
        self.assert_cured(term, '--no-size-check')
        self.assertEqual({'/in/a.xml': b'<article/>'}, self.server.files)

    def test_taken_away(self):
        def take(event):
            event.server.delete(event.path)

        self.server.fault('STOR', faults.Call(take, moment='executed'), path='*/a.xml*')
        term = 'the server has no file'
        self.assert_symptom(term, self.export(), code=errors.FILES_FAILED)
        self.assertIn('size_check="no"', self.advice[term])
        self.assertEqual((0, ''), self.export('--no-size-check --no-temporary'))

    def test_short(self):
        self.server.fault('STOR', faults.Alter(keep=2), path='*.part')
        term = 'bytes were sent, but the server has'
        self.assert_symptom(term, self.export(), code=errors.FILES_FAILED)

    def test_no_rename(self):
        self.server.fault('RNFR', _UNKNOWN)
        term = 'For a server that cannot rename, set temporary="no"'
        self.assert_symptom(term, self.export(), code=errors.CONFIGURATION)
        self.assert_cured(term, '--no-temporary')
        self.assertEqual({'/in/a.xml': b'<article/>'}, self.server.files)

    def test_exists(self):
        self.server.put('/in/a.xml', b'<old/>')
        self.server.fault('RNTO', faults.Reply('550 File exists.'), path='*/a.xml', times=1)
        term = 'The server has a file of that name already'
        outcome = self.export('--exists park')
        self.assert_symptom(term, outcome, code=errors.FILES_FAILED, parked=True)
        self.assertIn('``zeit-cds retry NAME``', docs.find('README.txt'))
        self.assertEqual(0, self.stage.call('zeit-cds retry --spool /var/spool/cds a.xml').code)
        self.server.fault('RNTO', faults.Reply('550 File exists.'), path='*/a.xml', times=1)
        self.assertIn('exists="replace"', self.advice[term])
        self.assertEqual((0, ''), self.export('--exists replace'))
        self.assertEqual({'/in/a.xml': b'<article/>'}, self.server.files)

    def test_names(self):
        self.spool.path.joinpath('new', 'a.xml').rename(self.spool.path / 'new' / 'Write')
        code, text = self.export()
        self.assertIn('Not delivered: Write: The name', self.terms)
        self.assertIn('Not delivered: Write: The name', text)
        self.assertEqual((errors.FILES_FAILED, {}), (code, self.server.files))

    def test_left_behind(self):
        self.server.fault('STOR', faults.Alter(keep=2), path='*.part')
        self.server.fault('DELE', faults.Reply('550 No.'), path='*.part')
        term = 'Left on the server, for the next run to delete'
        self.assert_symptom(term, self.export(), code=errors.FILES_FAILED)
        self.assertRegex(' '.join(self.server.files), r'^/in/a\.xml\.cds\S+\.part')

    def test_another_name(self):
        self.server.stored_as = lambda path: path.replace('"', '')
        self.spool.put('"a".xml', b'<article/>')
        term = 'The server would give it another name'
        code, said = self.export()
        self.assertIn(term, self.terms)
        self.assertIn(term, said)
        self.assertEqual((errors.FILES_FAILED, {'/in/a.xml'}), (code, set(self.server.files)))
        self.assertEqual(['"a".xml'], [entry.name for entry in self.spool.status().waiting])

    def test_lock_left_behind(self):
        self.server.fault('STOR', faults.Reply('553 No.'), path='*.part')
        self.server.fault('DELE', faults.Reply('550 No.'), path='*/write')
        term = "The lock file 'write' could not be removed"
        self.assert_symptom(term, self.export(), code=errors.LOCK_LEFT_BEHIND)

    def test_rights(self):
        term = 'was not made, as the account may not'
        self.server.fault('DELE', faults.Reply('550 Permission denied.'))
        code, said = self.export()
        self.assert_symptom(term, (code, said), code=errors.CONFIGURATION)
        (stays,) = self.server.files
        self.assertIn(f"'{stays.removeprefix('/in/')}', which locks nobody", said)
        self.server.clear_faults()
        self.assertEqual((0, ''), self.export())
        self.assertEqual({'/in/a.xml'}, set(self.server.files))

    def test_collected(self):
        def collect(event):
            event.server.delete(event.path)

        term = "Our lock file 'write' has disappeared from the server"
        self.server.fault('RNTO', faults.Call(collect, moment='executed'), path='*/write')
        for quietly in ('', '-q'):
            self.assert_symptom(term, self.export(quietly), code=errors.CONFIGURATION)
        self.assertEqual({}, self.server.files)

    def test_a_lock_that_was_not_found(self):
        term = 'was not found when it was to be removed'
        self.assertEqual((0, ''), self.export())  # so that all rights are known
        self.spool.put('a.xml', b'<article/>')
        self.server.fault('STOR', faults.Reply('553 No.'), path='*.part')
        self.server.fault('RETR', faults.Reply('550 What?'), path='*/write', nth=1)
        self.server.fault('SIZE', faults.Reply('550 What?'), path='*/write', nth=1)
        self.server.fault('MLSD NLST', faults.Alter(keep=0), nth=3)
        self.assert_symptom(term, self.export(), code=errors.LOCK_LEFT_BEHIND)
        self.assertIn('/in/write', self.server.files)
        self.server.clear_faults()
        self.stage.path('/var/spool/cds/new/a.xml').unlink()
        self.assertEqual((0, ''), self.export())
        self.assertEqual({'/in/a.xml'}, set(self.server.files))

    def test_a_directory_that_is_not_listed(self):
        term = 'The server does not list the directory'
        listed = ('MLSD NLST', faults.Reply('550 Permission denied.'))
        for fault in (listed, ('MLSD NLST', _UNKNOWN)):
            with self.subTest(fault):
                self.server.fault(*fault)
                self.assert_symptom(term, self.import_(), code=errors.CONFIGURATION)
                self.server.clear_faults()
        self.server.fault(*listed)
        self.assertIn('``The listing is empty``', self.advice[term])
        self.assertIn('The listing is empty: ', self.import_('--dry-run')[1])

    def test_one_file_of_which_nothing_is_told(self):
        self.server.fault('SIZE', faults.Reply('450 In use.'), path='*/l.xml')
        self.server.fault('MLSD NLST', faults.Alter(keep=0), nth=3)
        term = 'The server does not tell whether there is'
        self.assert_symptom(term, self.import_(), code=errors.FILES_FAILED)

    def test_may_not_be_read(self):
        self.server.fault('RETR', faults.Reply('550 Permission denied.'), path='*/l.xml')
        term = 'The server shows it, but does not send it'
        outcome = self.import_()
        self.assert_symptom(term, outcome, code=errors.FILES_FAILED)
        self.assertEqual(1, outcome[1].splitlines()[0].count('l.xml'))

    def test_part_of_a_file_arrives(self):
        self.server.fault('RETR', faults.Alter(keep=2), path='*/l.xml')
        term = 'bytes arrived, but the server has'
        self.assert_symptom(term, self.import_(), code=errors.FILES_FAILED)

    def test_disappeared(self):
        gone = faults.Call(lambda *_: self.server.delete('/in/l.xml'))
        self.server.fault('RETR', gone, path='*/l.xml')
        term = 'Disappeared from the server'
        self.assert_symptom(term, self.import_('-v'), code=errors.DONE)

    def test_imported_and_not_deleted(self):
        self.server.fault('DELE', faults.Reply('550 Permission denied.'), path='*/l.xml')
        term = 'It is imported, but stays on the server'
        outcome = self.import_()
        self.assert_symptom(term, outcome, code=errors.FILES_FAILED)
        self.assertIn('Let the account delete files there; the next run tries again.', outcome[1])
        self.server.clear_faults()
        self.assertEqual((0, ''), self.import_())
        self.assertEqual({}, self.server.files)

    def test_occupied(self):
        self.spool.put('l.xml', b'<older/>')
        term = 'the name is still taken in new/'
        self.assert_symptom(term, self.import_('-v'), code=errors.DONE)
        self.assertIn('``--occupied unique``', self.advice[term])
        self.assertEqual((0, ''), self.import_('--occupied unique'))
        self.assertEqual({}, self.server.files)

    def test_encoding(self):
        term = 'Its names are in another encoding'
        file = 'lat\udcfcn.xml'
        self.assert_symptom(term, self.import_(file=file), code=errors.FILES_FAILED)
        self.assertIn('``--encoding latin-1``', self.advice[term])
        self.assertEqual((0, ''), self.import_('--encoding latin-1', file=file))
        self.assertEqual({}, self.server.files)

    def test_no_spool(self):
        before = self.stage.path('/var/spool/cds')
        before.rename(before.with_name('away'))
        outcome = self.export()
        before.with_name('away').rename(before)
        self.assert_symptom('There is no spool at', outcome, code=errors.CONFIGURATION)

    def test_unusable_spool(self):
        cur = self.spool.path / 'cur'
        cur.rmdir()
        cur.touch()
        outcome = self.export()
        cur.unlink()
        cur.mkdir()
        self.assert_symptom('The spool cannot be used', outcome, code=errors.CONFIGURATION)
