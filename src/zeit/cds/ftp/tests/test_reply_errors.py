"""Answers to pipelined commands: none is taken for another one, and no time-out is waited for."""

import errno
import io
import time
from unittest import mock

from zeit.cds.errors import (
    ConnectionLost,
    DeadlinePassed,
    PermanentError,
    RemoteProtocolError,
    ReplyLost,
    ServiceClosing,
    TemporaryError,
)
from zeit.cds.ftp.files import Following
from zeit.cds.ftp.pipelining import Pipeline
from zeit.cds.ftp.stream import Stream
from zeit.cds.ftp.tests.test_network import FaultCase
from zeit.cds.testing import faults


class PipeliningCase(FaultCase):
    """A session whose data connections are known to work."""

    def setUp(self):
        super().setUp()
        self.session = self.open()
        self.session.names()

    @property
    def capabilities(self):
        return self.session._capabilities

    def fault(self, verb, *actions, **when):
        self.server.fault(verb, *actions, **when)


class InterruptTests(PipeliningCase):
    """A signal comes when the answers to both commands are there, and one of them was taken."""

    def interrupted(self, call, *args):
        with (
            mock.patch.object(Pipeline, 'answer', side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            call(*args)

    def setUp(self):
        super().setUp()
        self.fault('MKD', faults.Extra('229 Here (|||1|).'), times=1)
        self.fault('EPSV', faults.Reply(''), times=1)
        self.interrupted(self.session.make_directory, 'a')

    def test_the_other_one_answers_nothing_else(self):
        self.session.remove_directory('a')
        self.assertEqual([1], self.server.connections('RMD'))

    def test_no_goodbye(self):
        self.session.leave()
        self.server.wait_closed()
        self.assertEqual([], self.server.commands('QUIT'))


class Source(io.BytesIO):
    """What an upload takes."""

    size = 5
    number = 0


class Slow:
    """What an upload takes; it reads slower than the network is, which never has to be waited for.

    The deadline passes when the half was read.  `pieces` counts those that are left.
    """

    size = 100_000

    def __init__(self, session):
        self._session = session
        self.pieces = 100

    def _next(self):
        self.pieces -= 1
        if self.pieces == 50:
            self._session.bound(0)
        return bytes(1000 if self.pieces >= 0 else 0)

    def readinto(self, buffer):
        data = self._next()
        buffer[: len(data)] = data
        return len(data)


class DeadlineTests(PipeliningCase):
    def test_it_is_looked_at_where_nothing_has_to_be_waited_for(self):
        source = Slow(session := self.open())
        with self.assertRaises(DeadlinePassed):
            session.stor('a', source)
        self.assertIn(source.pieces, (49, 50))

    def test_it_is_no_fault_of_the_server(self):
        self.fault('EPSV', faults.Silence())
        original = Pipeline.answer

        def pass_by(pipeline):
            """The first answer is there, the second one is waited for."""
            self.session.bound(0)
            return original(pipeline)

        with mock.patch.object(Pipeline, 'answer', pass_by):
            self.session.make_directory('a')
        with self.assertRaises(DeadlinePassed):
            self.session.make_directory('b')
        self.assertTrue(self.capabilities.together)


class RefusalTests(PipeliningCase):
    def test_of_rnfr_says_nothing_about_another_file(self):
        for renames in True, False:
            with self.subTest(renames=renames):
                self.server.put('/c.xml', b'c')
                self.fault('RNFR', faults.Reply('550 No.'), path='/a.xml')
                self.session.compare('a.xml', 7, following=Following(rename='a.xml'))
                if renames:
                    with self.assertRaises(PermanentError):
                        self.session.rename('a.xml', 'b.xml')
                self.session.rename('c.xml', 'd.xml')
                self.assertTrue(self.capabilities.together)


class PortTests(PipeliningCase):
    def test_the_one_before_is_not_used(self):
        self.session.make_directory('d')
        self.fault('EPSV', faults.Reply('503 Not now.'), times=1)
        self.session.compare('a.xml', 7, following=Following(transfer=True))
        self.session.names()
        self.assertEqual(4, len(self.server.commands('EPSV')))

    def test_none_in_active_mode(self):
        before = self.server.commands('EPSV', 'PASV')
        session = self.open(passive=False)
        session.compare('a.xml', 7, following=Following(transfer=True, rename='a.xml'))
        with session.during(None, followed=True):
            session.rename('a.xml', 'b.xml')
        self.assertEqual(before, self.server.commands('EPSV', 'PASV'))


class UploadTests(PipeliningCase):
    """The server is asked for the size before its final reply."""

    def setUp(self):
        super().setUp()
        self.fault('STOR', faults.ReplyLate(), times=1)
        self.following = Following(transfer=True, rename='b')

    def upload(self):
        return self.session.stor('b', Source(b'12345'), following=self.following)

    def compare(self):
        """All is well over a new connection."""
        self.session.compare('b', 5, following=self.following)
        self.session.rename('b', 'c')
        self.assertEqual([1], self.server.connections('RNTO'))
        self.assertEqual([False, True], [self.capabilities.prompt, self.capabilities.together])

    def test_the_question_cannot_be_sent(self):
        send = Stream.send

        def fail(stream, data, **options):
            if bytes(data).startswith(b'SIZE b'):
                raise ConnectionLost(errno.EPIPE, 'Broken pipe')
            send(stream, data, **options)

        with mock.patch.object(Stream, 'send', fail), self.assertRaises(ReplyLost) as caught:
            self.upload()
        self.assertEqual(5, caught.exception.sent)
        self.compare()

    def test_an_answer_that_comes_before_the_final_reply_does_not_confirm_the_upload(self):
        self.server.clear_faults()
        self.fault('STOR', faults.ReplyLate(), faults.Extra('213 5', first=True))
        with self.assertRaises(ReplyLost):
            self.upload()
        self.compare()

    def busy(self, *codes):
        """The answers to the question come before the final reply."""
        self.server.clear_faults()
        said = '\n'.join(f'{code} Busy.' for code in codes)
        self.fault('STOR', faults.ReplyLate(), faults.Lie(f'{said}\n226 Complete.'), times=1)
        self.fault('SIZE RNFR', faults.Reply(''), times=2)
        self.fault('EPSV', faults.Reply(''), nth=1, times=1)
        self.upload()

    def test_a_refusal_of_the_question_does_not_refuse_the_upload(self):
        for codes in (503, 503, 503), (450, 229, 350), (550, 503, 350):
            with self.subTest(codes):
                self.session = self.open()
                self.session.names()
                with self.assertRaises(RemoteProtocolError):
                    self.busy(*codes)
                self.server.clear_faults()  # it may not have come to all of them
                self.assertFalse(self.capabilities.prompt)
                self.upload()

    def test_a_refusal_of_the_upload(self):
        for cut in (), (faults.Cut('replied'),):
            with self.subTest(cut):
                self.server.clear_faults()
                late = faults.ReplyLate(), faults.Lie('451 Disk.')
                self.fault('STOR', *late, *cut, times=1)
                with self.assertRaisesRegex(TemporaryError, 'Disk'):
                    self.upload()
                self.session.size('b')
                self.assertTrue(self.capabilities.prompt)

    def test_an_upload_that_was_aborted_is_not_one_whose_reply_is_lost(self):
        for text in '426 Aborted.', '421 Closing.':
            with self.subTest(text):
                self.session = self.open()
                self.session.names()
                self.server.clear_faults()
                self.fault('STOR', faults.ReplyLate(), faults.Lie(text), times=1)
                with self.assertRaisesRegex(ConnectionLost, text) as caught:
                    self.upload()
                self.assertNotIsInstance(caught.exception, ReplyLost)

    def test_no_question(self):
        """Where the server does not stand it, or the file is not what was announced."""
        with mock.patch.object(Stream, 'is_ended_before', side_effect=AssertionError):
            self.server.clear_faults()
            self.fault('STOR', faults.ReplyLate(0.1))
            self.capabilities.prompt = False
            self.upload()
            self.capabilities.prompt = True
            with mock.patch.object(Source, 'size', 6):
                self.upload()

    def test_a_question_that_was_thrown_away(self):
        self.fault('SIZE RNFR', faults.Reply(''), times=2)
        self.fault('EPSV', faults.Reply(''), nth=1, times=1)
        with mock.patch('zeit.cds.ftp.pipelining.PIPELINED', 0.1):
            started = time.monotonic()
            self.upload()
            self.compare()
            self.assertLess(time.monotonic() - started, 10)


class ClosingTests(PipeliningCase):
    """The server says 421 to the second command of a packet, at once: it shall get only one."""

    closing = faults.Extra('421 One at a time.')

    def test_behind_a_command_of_the_lock(self):
        self.fault('MKD', self.closing)
        self.session.make_directory('a')
        self.assertFalse(self.capabilities.together)

    def test_behind_size(self):
        for following in (
            Following(transfer=True),
            Following(rename='a.xml'),
            Following(transfer=True, rename='a.xml'),
        ):
            with self.subTest(following):
                self.capabilities.together = True
                self.server.clear_faults()
                self.session.names()
                self.fault('SIZE', self.closing, times=1)
                self.session.compare('a.xml', 7, following=following)
                self.assertFalse(self.capabilities.together)

    def test_to_the_last_one_about_many_files(self):
        self.fault('MLSD', faults.Reply('500 What?'))
        self.fault('MDTM', faults.Reply('421 One at a time.'))
        self.assertEqual({'a.xml': (None, None)}, self.session.files(wanted=bool))
        self.assertFalse(self.capabilities.together)

    def test_by_hanging_up(self):
        self.fault('MKD', faults.Cut())
        with self.assertRaises(ConnectionLost):
            self.session.make_directory('a')
        self.assertFalse(self.capabilities.together)

    def test_to_rnfr(self):
        self.fault('RNFR', faults.Reply('421 One at a time.'), times=1)
        self.session.compare('a.xml', 7, following=Following(rename='a.xml'))
        self.assertFalse(self.capabilities.together)

    def test_behind_the_size_of_a_look(self):
        self.fault('SIZE', self.closing, times=1)
        self.assertEqual(7, self.session.look('a.xml')[0])
        self.assertFalse(self.capabilities.together)

    def test_the_command_itself(self):
        """That is the usual end of an idle session."""
        self.fault('MKD', faults.Reply('421 Idle.'), times=1)
        with self.assertRaises(ServiceClosing):
            self.session.make_directory('a')
        self.assertTrue(self.capabilities.together)
