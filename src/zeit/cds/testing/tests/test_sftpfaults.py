"""The scripted SFTP server, with a plain client: what other tests rely on."""

import asyncio
import threading
import unittest

import asyncssh

from zeit.cds.testing import layers
from zeit.cds.testing.sftpfaults import Answer, Call, Cut, Delay, SFTPFaultServer, Silence, Status


class FaultServerTests(unittest.TestCase):
    layer = layers.QUIET

    def serve(self, *args, **options):
        self.server = self.enterContext(SFTPFaultServer(*args, **options))
        return self.server

    def ask(self, question, **options):
        """Return what `question(sftp)` does, over a session."""
        login = {
            'username': 'test',
            'password': 'testpw',
            'known_hosts': str(self.server.known_hosts),
            'client_keys': [],
            'config': None,
            'agent_path': None,
            **options,
        }

        async def session():
            async with (
                asyncssh.connect(self.server.host, self.server.port, **login) as connection,
                connection.start_sftp_client() as sftp,
            ):
                return await question(sftp)

        return asyncio.run(asyncio.wait_for(session(), 30))

    async def put(self, sftp, path='/a', data=b'content', flags='wb'):
        async with sftp.open(path, flags, encoding=None) as file:
            await file.write(data)

    async def get(self, sftp, path='/a'):
        async with sftp.open(path, 'rb', encoding=None) as file:
            return await file.read()

    def refused(self, question):
        with self.assertRaises(asyncssh.SFTPError) as caught:
            self.ask(question)
        return caught.exception.code

    def test_files_come_and_go(self):
        self.serve({'/cds/old': b'old' * 100_000})

        async def work(sftp):
            await self.put(sftp, '/cds/new')
            await sftp.mkdir('/cds/d')
            await sftp.rename('/cds/new', '/cds/d/newer')
            found = await self.get(sftp, '/cds/old')
            await sftp.remove('/cds/old')
            return found, sorted(await sftp.listdir('/cds'))

        self.assertEqual((b'old' * 100_000, ['.', '..', 'd']), self.ask(work))
        self.assertEqual({'/cds/d/newer': b'content'}, self.server.files)
        self.assertEqual(['/cds', '/cds/d'], self.server.directories)

    def test_it_refuses_what_openssh_refuses(self):
        self.serve({'/a': b'a', '/b': b'b'}, directories=['/d', '/full/x'])
        self.assertEqual(2, self.refused(lambda sftp: sftp.remove('/none')))
        self.assertEqual(4, self.refused(lambda sftp: sftp.mkdir('/d')))
        self.assertEqual(4, self.refused(lambda sftp: sftp.rmdir('/full')))
        self.assertEqual(4, self.refused(lambda sftp: sftp.rename('/a', '/b')))
        self.assertEqual(4, self.refused(lambda sftp: self.put(sftp, flags='xb')))
        self.assertEqual(4, self.refused(lambda sftp: sftp.posix_rename('/d', '/full')))
        self.ask(lambda sftp: sftp.posix_rename('/a', '/b'))
        self.assertEqual({'/b': b'a'}, self.server.files)

    def test_what_is_announced(self):
        self.serve(extensions=['statvfs'])

        async def look(sftp):
            return (await sftp.statvfs('/')).bsize

        self.assertEqual(4096, self.ask(look))
        self.assertEqual(8, self.refused(lambda sftp: sftp.posix_rename('/a', '/b')))

    def test_servers_that_take_things_lightly(self):
        self.serve({'/a': b'a', '/b': b'b'}, exclusive=False, replaces=True)
        self.ask(lambda sftp: self.put(sftp, flags='xb'))
        self.ask(lambda sftp: sftp.rename('/a', '/b'))
        self.assertEqual({'/b': b'content'}, self.server.files)

    def test_requests_are_recorded(self):
        self.serve()
        self.ask(self.put)
        self.server.wait_closed()
        self.assertEqual(['OPEN /a'], self.server.commands('OPEN'))
        self.assertEqual(['INIT', 'OPEN', 'WRITE', 'CLOSE'],
                         [each.split()[0] for each in self.server.commands()
                          if each != 'limits'])  # fmt: skip

    def test_a_refusal(self):
        self.serve()
        rule = self.server.fault('OPEN', Status(3, 'No.'), path='/a')
        self.assertEqual(3, self.refused(self.put))
        self.server.remove_fault(rule)
        self.ask(self.put)

    def test_a_lie(self):
        self.serve()

        def longer(request, packet):
            return packet.replace(b'\0\0\0\7content', b'\0\0\0\7CONTENT')

        self.server.fault('READ', Answer(longer))
        self.ask(self.put)
        self.assertEqual(b'CONTENT', self.ask(self.get))

    def test_an_end_before_and_after(self):
        for moment, left in (('before', {}), ('executed', {'/a': b''})):
            with self.subTest(moment):
                self.serve()
                self.server.fault('OPEN', Cut(moment))
                with self.assertRaises((asyncssh.SFTPError, asyncssh.Error)):
                    self.ask(self.put)
                self.server.wait_closed()
                self.assertEqual(left, self.server.files)

    def test_silence_and_delay(self):
        self.serve()
        waits = threading.Event()
        self.server.fault('OPEN', Delay(waits), times=1)
        self.server.fault('OPEN', Silence(), nth=1)

        async def both(sftp):
            slow = asyncio.ensure_future(self.put(sftp))
            await asyncio.sleep(0)
            waits.set()
            await slow
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.put(sftp, '/b'), 0.2)

        self.ask(both)
        self.assertEqual({'/a': b'content'}, self.server.files)

    def test_hooks_and_calls(self):
        seen = []
        self.serve(hook=lambda event: seen.append((event.verb, event.moment, event.path)))
        self.server.fault('CLOSE', Call(lambda event: event.server.put('/b', b'there')))
        self.ask(self.put)
        self.assertEqual({'/a': b'content', '/b': b'there'}, self.server.files)
        self.assertIn(('OPEN', 'before', '/a'), seen)
        self.assertIn(('WRITE', 'executed', '/a'), seen)

    def test_what_a_hook_raises_is_not_lost(self):
        server = SFTPFaultServer(hook=lambda event: {}[event.verb])
        server.start()
        self.server = server
        with self.assertRaises((asyncssh.SFTPError, asyncssh.Error)):
            self.ask(self.put)
        with self.assertRaises(ExceptionGroup):
            server.stop()

    def test_it_starts_again_as_the_same_one(self):
        self.serve()
        self.ask(self.put)
        port = self.server.port
        self.server.restart()
        self.assertEqual((port, b'content'), (self.server.port, self.ask(self.get)))
        self.assertEqual(2, self.server.connected)

    def test_a_digest(self):
        self.serve({'/a': b'content'}, digests=['sha256'])

        async def digest(sftp):
            fields = (b'/a', b'sha256'), (bytes(8), bytes(8), bytes(4))
            data = b''.join(len(each).to_bytes(4, 'big') + each for each in fields[0])
            with self.assertRaisesRegex(asyncssh.SFTPBadMessage, '201'):
                await sftp._handler._make_request(b'check-file-name', data, *fields[1])

        self.ask(digest)
