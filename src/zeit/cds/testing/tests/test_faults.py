"""The fault server: what it does right, how it lives, what it records."""

import ftplib
import io
import os
import threading
import unittest

from zeit.cds.testing import faults
from zeit.cds.testing.rawclient import RawClient


class ServerCase(unittest.TestCase):
    def serve(self, *args, **kw):
        return self.enterContext(faults.FaultServer(*args, **kw))

    def connect(self, server):
        return self.enterContext(RawClient(server))

    def login(self, server):
        client = self.connect(server)
        client.login()
        return client


class Correct(ServerCase):
    """Without faults."""

    def test_ftplib_uploads_renames_lists_and_downloads(self):
        server = self.serve({'/cds/old.xml': b'old'})
        with ftplib.FTP(timeout=30) as ftp:
            ftp.connect(server.host, server.port)
            ftp.login('test', 'testpw')
            ftp.cwd('/cds')
            self.assertEqual('/cds', ftp.pwd())
            self.assertEqual('/cds/sub "x"', ftp.mkd('sub "x"'))
            ftp.rmd('sub "x"')
            ftp.storbinary('STOR new.part', io.BytesIO(b'n' * 200_000))
            self.assertEqual(200_000, ftp.size('new.part'))
            ftp.rename('new.part', 'new.xml')
            self.assertEqual(['new.xml', 'old.xml'], ftp.nlst())
            facts = dict(ftp.mlsd())
            self.assertEqual(('file', '3'), (facts['old.xml']['type'], facts['old.xml']['size']))
            received = []
            ftp.retrbinary('RETR old.xml', received.append)
            self.assertEqual([b'old'], received)
            ftp.delete('old.xml')
        self.assertEqual({'/cds/new.xml': b'n' * 200_000}, server.files)
        self.assertEqual(['/cds'], server.directories)

    def test_ftplib_can_abort(self):
        # It sends ABOR as urgent data, the end of which would not be in the stream.
        server = self.serve()
        with ftplib.FTP(timeout=30) as ftp:
            ftp.connect(server.host, server.port)
            ftp.login('test', 'testpw')
            self.assertEqual('226', ftp.abort()[:3])

    def test_replies(self):
        server = self.serve({'/a': b'123'}, directories=['/full/sub', '/empty'])
        client = self.login(server)
        for command, code in (
            ('SYST', '215'),
            ('FEAT', '211'),
            ('OPTS UTF8 ON', '200'),
            ('OPTS NONSENSE', '501'),
            ('NOOP', '200'),
            ('SIZE a', '213'),
            ('SIZE nothing', '550'),
            ('MDTM a', '213'),
            ('MLST a', '250'),
            ('CWD a', '550'),
            ('CWD empty', '250'),
            ('PWD', '257'),
            ('CDUP', '250'),
            ('DELE nothing', '550'),
            ('DELE full', '550'),
            ('MKD a', '550'),
            ('RMD full', '550'),
            ('RMD empty', '250'),
            ('RNFR nothing', '550'),
            ('STOR', '501'),
            ('STOR x', '425'),
            ('LIST', '425'),
            ('TYPE X', '504'),
            ('EPSV 2', '522'),
            ('TYPE A', '200'),
            ('SIZE a', '550'),
            ('ABOR', '226'),
            ('STRU F', '200'),
            ('MODE B', '504'),
            ('ALLO 5', '202'),
            ('REST x', '501'),
        ):
            with self.subTest(command):
                self.assertEqual(code, client.say(command)[:3])
        self.assertEqual('221 Goodbye.', client.say('QUIT'))
        self.assertEqual('', client.reply())

    def test_login_is_required_and_checked(self):
        client = self.connect(self.serve())
        client.reply()
        self.assertEqual('530', client.say('PWD')[:3])
        self.assertEqual('503', client.say('PASS testpw')[:3])
        for user, password in (('test', 'wrong'), ('wrong', 'testpw')):
            client.say(f'USER {user}')
            self.assertEqual('530', client.say(f'PASS {password}')[:3])
        self.assertEqual('530', client.say('PWD')[:3])
        client.say('USER test')
        self.assertEqual('230', client.say('PASS testpw')[:3])

    def test_rename_needs_its_source_immediately_before(self):
        client = self.login(self.serve({'/a': b'', '/b': b''}))
        client.say('RNFR a')
        client.say('NOOP')
        self.assertEqual('503', client.say('RNTO c')[:3])
        client.say('RNFR a')
        client.say('RNFR nothing')
        self.assertEqual('503', client.say('RNTO c')[:3])

    def test_commands_in_one_piece_are_obeyed_in_order(self):
        server = self.serve({'/a': b''})
        client = self.login(server)
        client.send('RNFR a', 'RNTO b', 'SIZE b')
        self.assertEqual(['350', '250', '213'], [client.reply()[:3] for _ in range(3)])

    def test_names_are_bytes(self):
        server = self.serve()
        client = self.login(server)
        with client.data():
            client.control.sendall(b'STOR \xff.xml\r\n')
            client.reply()
        client.reply()
        self.assertEqual([b'/\xff.xml'], [os.fsencode(path) for path in server.files])

    def test_connection_limit_counts_those_that_are_open(self):
        server = self.serve(max_connections=1)
        first = self.login(server)
        second = self.connect(server)
        self.assertEqual(['421', ''], [second.reply()[:3], second.reply()])
        first.close()
        server.wait_closed()
        self.assertEqual('220', self.connect(server).reply()[:3])

    def test_ipv6(self):
        try:
            server = self.serve({'/a': b'x'}, host='::1')
        except OSError as error:
            self.skipTest(f'no ::1 here: {error}')
        self.assertEqual((b'x', '226 Transfer complete.'), self.login(server).fetch('RETR a'))


class Life(ServerCase):
    def test_restart_keeps_port_and_files_and_leaves_nothing_behind(self):
        before = set(threading.enumerate())
        server = faults.FaultServer({'/a': b'x'})
        server.start()
        port = server.port
        client = self.login(server)
        with client.data():
            client.send('STOR b')  # and a transfer is under way
            client.reply()
            server.restart()
        self.assertEqual('', client.reply())
        self.assertEqual(port, server.port)
        self.assertEqual('213 1', self.login(server).say('SIZE a'))
        server.stop()
        server.stop()
        self.assertEqual(before, set(threading.enumerate()))
        with self.assertRaises(ConnectionRefusedError):
            RawClient(server)

    def test_errors_in_threads_are_raised_by_stop(self):
        def fail(event):
            raise LookupError(event.verb)

        server = faults.FaultServer(hook=fail)
        server.start()
        self.connect(server).reply()
        with self.assertRaises(ExceptionGroup) as caught:
            server.stop()
        self.assertEqual("(LookupError('GREETING'),)", repr(caught.exception.exceptions))

    def test_errors_in_threads_do_not_hide_that_of_the_test(self):
        with self.assertRaises(KeyError) as caught, faults.FaultServer(hook=lambda e: 1 / 0) as s:
            self.connect(s).reply()
            raise KeyError
        self.assertIn('ZeroDivisionError', caught.exception.__notes__[0])

    def test_a_thread_that_does_not_end_is_an_error(self):
        entered, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def hang(event):
            entered.set()
            release.wait(30)

        server = faults.FaultServer(hook=hang)
        server.start()
        self.connect(server)
        self.assertTrue(entered.wait(30))
        with self.assertRaises(ExceptionGroup) as caught:
            server.stop(timeout=0.05)
        self.assertIn('does not end', str(caught.exception.exceptions))
        release.set()
        server.wait_closed()


class Record(ServerCase):
    def test_commands_connections_and_masked_password(self):
        server = self.serve({'/a': b''})
        self.login(server).say('SIZE a')
        self.login(server).say('DELE a')
        self.assertEqual(['SIZE a', 'DELE a'], server.commands('SIZE', 'DELE'))
        self.assertEqual([1], server.connections('DELE'))
        self.assertEqual(
            ['USER test', 'PASS ***', 'TYPE I', 'SIZE a'], server.commands(connection=0)
        )
        self.assertNotIn('testpw', server.transcript)
        self.assertEqual((1, 'open', ''), server.conversation(1)[0])
        self.assertIn('1 > DELE a\n1 < 250 a: removed.', server.transcript)

    def test_waiting_ends(self):
        server = self.serve()
        client = self.connect(server)
        with self.assertRaises(TimeoutError):
            server.wait_for('NOOP', timeout=0.01)
        client.reply()
        with self.assertRaises(TimeoutError):
            server.wait_closed(timeout=0.01)
        client.say('NOOP')
        server.wait_for('NOOP', timeout=0.01)

    def test_command_during_a_transfer(self):
        server = self.serve()
        client = self.login(server)
        with client.data():
            client.send('STOR a', 'NOOP')
            client.reply()
        self.assertEqual(['226', '200'], [client.reply()[:3], client.reply()[:3]])
        self.assertIn((0, 'early', ''), server.dialogue)
        client.store('b', b'x')
        self.assertEqual(1, [entry.kind for entry in server.dialogue].count('early'))
