"""The fault server: rules, and what is wrong with replies and control connections."""

import signal
import subprocess
import sys
import threading
from unittest import mock

from zeit.cds.testing import faults, ftpsession
from zeit.cds.testing.tests.test_faults import ServerCase


class Rules(ServerCase):
    def answers(self, client, *commands):
        return [client.say(command)[:3] for command in commands]

    def test_verb_path_and_order(self):
        server = self.serve(directories=['/cds'])
        server.fault('SIZE', faults.Reply('451 glob'), path='*.xml')
        server.fault('SIZE DELE', faults.Reply('452 verbs'))
        client = self.login(server)
        client.say('CWD cds')
        replies = self.answers(client, 'SIZE a.xml', 'SIZE a', 'DELE a.xml', 'MDTM a.xml')
        self.assertEqual(['451', '452', '452', '550'], replies)

    def test_absolute_path(self):
        server = self.serve(directories=['/cds'])
        server.fault('DELE', faults.Reply('450 x'), path='/cds/[{]a}')
        client = self.login(server)
        client.say('CWD cds')
        self.assertEqual(['450', '550'], self.answers(client, 'DELE {a}', 'DELE /{a}'))

    def test_occurrence(self):
        server = self.serve()
        server.fault('NOOP', faults.Reply('451 x'), nth=1, times=2)
        client = self.login(server)
        self.assertEqual(['200', '451', '451', '200'], self.answers(client, *['NOOP'] * 4))

    def test_rules_in_turn(self):
        server = self.serve()
        server.fault('NOOP', faults.Reply('451 x'), times=1)
        server.fault('NOOP', faults.Reply('452 x'), nth=1, times=1)
        client = self.login(server)
        self.assertEqual(['451', '452', '200'], self.answers(client, *['NOOP'] * 3))

    def test_every_command(self):
        server = self.serve()
        server.fault('*', faults.Reply('451 x'), nth=3)
        client = self.connect(server)
        self.assertEqual(['331', '230', '200'], [reply[:3] for reply in client.login()])
        self.assertEqual(['451', '451'], self.answers(client, 'NOOP', 'PWD'))

    def test_connections(self):
        server = self.serve()
        server.fault('NOOP', faults.Reply('451 x'), connection=1)
        server.fault('PWD', faults.Reply('451 x'), nth=1, times=1, each_connection=True)
        for number in range(2):
            client = self.login(server)
            answers = self.answers(client, 'NOOP', 'PWD', 'PWD', 'PWD')
            self.assertEqual([['200', '451'][number], '257', '451', '257'], answers)

    def test_removal(self):
        server = self.serve()
        client = self.login(server)
        rules = [server.fault('NOOP', faults.Reply(f'45{n} x')) for n in range(3)]
        server.remove_fault(rules[0])
        self.assertEqual(['451'], self.answers(client, 'NOOP'))
        server.clear_faults()
        self.assertEqual(['200'], self.answers(client, 'NOOP'))
        with self.assertRaises(ValueError):
            server.remove_fault(rules[1])

    def test_wrong_words(self):
        for action in (faults.Cut, faults.Delay, faults.Silence, faults.Call):
            with self.subTest(action), self.assertRaises(ValueError):
                action(print, moment='later') if action is faults.Call else action(moment='later')
        with self.assertRaises(ValueError):
            faults.DataPort('closed')


class Control(ServerCase):
    """The actions that concern replies and the control connection."""

    def faulty(self, verb, *actions, **kw):
        server = self.serve({'/a': b'abc'})
        server.fault(verb, *actions, **kw)
        return server, self.login(server)

    def test_reply_instead_of_execution(self):
        server, client = self.faulty('DELE', faults.Reply('450-line\n451 inside\n450 end'))
        self.assertEqual('450-line\n451 inside\n450 end', client.say('DELE a'))
        self.assertIn('/a', server.files)

    def test_lie_after_execution(self):
        server, client = self.faulty('DELE', faults.Lie('550 No such file'))
        self.assertEqual('550 No such file', client.say('DELE a'))
        self.assertEqual({}, server.files)

    def test_raw_bytes(self):
        server, client = self.faulty('NOOP', faults.Reply(b'\xff\x00garbage\n'))
        client.send('NOOP')
        self.assertEqual(b'\xff\x00garbage\n', client.line())
        self.assertIn(r'\xff', server.dialogue[-1].text)

    def test_no_reply_to_one_command(self):
        server, client = self.faulty('NOOP', faults.Reply(''))
        client.send('NOOP', 'PWD')
        self.assertEqual('257', client.reply()[:3])

    def test_double_reply_and_extra_replies(self):
        server, client = self.faulty('NOOP', faults.Twice())
        client.send('NOOP')
        self.assertEqual(['200 NOOP ok.'] * 2, [client.reply(), client.reply()])
        server.clear_faults()
        server.fault('NOOP', faults.Extra('120 wait', first=True), faults.Extra('226 stale'))
        client.send('NOOP')
        self.assertEqual(['120', '200', '226'], [client.reply()[:3] for _ in range(3)])

    def test_line_feed_and_single_bytes(self):
        server, client = self.faulty('NOOP', faults.LineFeed(), faults.Chop())
        go_on = threading.Semaphore(0)

        def pause(session, *, seconds):
            self.assertTrue(go_on.acquire(timeout=30))

        with mock.patch.object(ftpsession.Session, 'pause', pause):
            client.send('NOOP')
            for byte in b'200 NOOP ok.\n':
                self.assertEqual(bytes([byte]), client.control.recv(100))
                go_on.release()

    def test_delay_of_the_reply(self):
        release, done = threading.Event(), threading.Event()
        executed = faults.Call(lambda event: done.set(), moment='executed')
        server, client = self.faulty('DELE', executed, faults.Delay(release))
        client.send('DELE a')
        self.assertTrue(done.wait(10))
        client.control.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            client.control.recv(1)
        self.assertEqual({}, server.files)
        release.set()
        client.control.settimeout(30)
        self.assertEqual(b'250', client.control.recv(3))

    def test_delay_of_the_execution_and_stop(self):
        server, client = self.faulty('DELE', faults.Delay(threading.Event(), moment='before'))
        client.send('DELE a')
        server.wait_for('DELE')
        server.stop()
        self.assertIn('/a', server.files)

    def test_delay_in_seconds(self):
        server, client = self.faulty('NOOP', faults.Delay(seconds=0.01))
        self.assertEqual('200', client.say('NOOP')[:3])
        server.clear_faults()
        server.fault('NOOP', faults.Delay(seconds=1000))
        client.send('NOOP')
        server.wait_for('NOOP', count=2)
        server.stop()
        self.assertEqual('', client.reply())

    def test_silence(self):
        for moment, files in (('before', {'/a': b'abc'}), ('executed', {})):
            with self.subTest(moment):
                server, client = self.faulty('DELE', faults.Silence(moment))
                client.send('DELE a', 'NOOP')
                server.wait_for('NOOP')
                client.control.settimeout(0.05)
                with self.assertRaises(TimeoutError):
                    client.control.recv(1)
                self.assertEqual(files, server.files)

    def test_cut(self):
        for moment, files, end in (
            ('before', {'/a': b'abc'}, ''),
            ('executed', {}, ''),
            ('replied', {}, '250 a: removed.'),
        ):
            with self.subTest(moment):
                server, client = self.faulty('DELE', faults.Cut(moment))
                self.assertEqual(end, client.say('DELE a'))
                self.assertEqual('', client.reply())
                self.assertEqual(files, server.files)
                self.assertEqual('close', server.conversation(0)[-1].kind)

    def test_reset(self):
        server, client = self.faulty('NOOP', faults.Cut(reset=True))
        with self.assertRaises(ConnectionResetError):
            client.say('NOOP')

    def test_421_closes(self):
        server, client = self.faulty('NOOP', faults.Extra('421 Idle.'))
        client.send('NOOP')
        self.assertEqual(['200', '421', ''], [client.reply()[:3] for _ in range(3)])

    def test_greetings(self):
        server = self.serve()
        server.fault(faults.GREETING, faults.Extra('120 soon', first=True), times=1)
        server.fault(faults.GREETING, faults.Reply('421 no'))
        client = self.connect(server)
        self.assertEqual(['120', '220'], [client.reply()[:3], client.reply()[:3]])
        client = self.connect(server)
        self.assertEqual(['421 no', ''], [client.reply(), client.reply()])

    def test_quit_unanswered(self):
        server, client = self.faulty('QUIT', faults.Silence())
        client.control.settimeout(0.05)
        with self.assertRaises(TimeoutError):
            client.say('QUIT')

    def test_call(self):
        def intrude(event):
            event.server.put('/write', b'foreign')

        server, client = self.faulty('SIZE', faults.Call(intrude), path='write', nth=1)
        replies = [client.say('SIZE write')[:3] for _ in range(2)]
        self.assertEqual(['550', '213'], replies)

    def test_hook_sees_commands_before_and_after(self):
        seen = []
        server = self.serve(directories=['/cds'], hook=seen.append)
        client = self.login(server)
        client.say('CWD cds')
        client.say('SIZE x')
        sizes = [event for event in seen if event.verb == 'SIZE']
        self.assertEqual(['before', 'executed'], [event.moment for event in sizes])
        self.assertEqual([b'', b'550'], [event.reply[:3] for event in sizes])
        self.assertEqual(
            {(0, 4, 'x', '/cds/x')}, {(e.connection, e.number, e.argument, e.path) for e in sizes}
        )
        self.assertEqual({'***'}, {e.argument for e in seen if e.verb == 'PASS'})

    def test_hook_kills_the_client(self):
        process = None

        def kill(event):
            if (event.verb, event.moment) == ('PASS', 'before'):
                process.kill()
                process.wait(30)

        server = self.serve(hook=kill)
        ready = threading.Event()
        server.fault(faults.GREETING, faults.Delay(ready))
        code = (
            'import ftplib, sys; f = ftplib.FTP(); f.connect("127.0.0.1", int(sys.argv[1])); '
            'f.login("test", "testpw"); f.pwd()'
        )
        process = subprocess.Popen([sys.executable, '-c', code, str(server.port)])
        self.addCleanup(process.wait, 30)
        self.addCleanup(process.kill)
        ready.set()
        server.wait_for('PASS')
        server.wait_closed()
        self.assertEqual(-signal.SIGKILL, process.wait(30))
        self.assertEqual([], server.commands('PWD'))
