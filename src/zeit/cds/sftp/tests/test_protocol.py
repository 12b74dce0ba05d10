"""Bytes to answers: what a server may send, and what it may not."""

import struct
import unittest

from hypothesis import given, settings
from hypothesis import strategies as st

from zeit.cds import errors
from zeit.cds.sftp import protocol
from zeit.cds.sftp.protocol import Attributes, Protocol, string
from zeit.cds.sftp.transfers import digest_of
from zeit.cds.testing import layers


def packet(kind, *fields):
    body = bytes([kind]) + b''.join(fields)
    return struct.pack('>I', len(body)) + body


def number(value):
    return struct.pack('>I', value)


def status(request, code, text=b''):
    return packet(protocol.STATUS, number(request), number(code), string(text), string(b''))


class ProtocolCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.protocol = Protocol()
        self.protocol.receive(
            packet(protocol.SERVER_VERSION, number(3), string(b'x@y'), string(b'1'))
        )

    def ask(self, kind, payload=b''):
        _, request = self.protocol.request(kind, payload, shown='THIS')
        return request

    def answered(self, kind, *fields):
        """Return what a request of this kind is answered with by these bytes."""
        request = self.ask(kind)
        self.protocol.receive(b''.join(fields))
        self.assertTrue(request.done)
        return request.answer

    def refused(self, kind, data, word):
        self.ask(kind)
        with self.assertRaises(errors.RemoteProtocolError) as caught:
            self.protocol.receive(data)
        self.assertIn(word, caught.exception.message)


class AnswerTests(ProtocolCase):
    def test_a_request_is_what_the_draft_says(self):
        data, _ = self.protocol.request(protocol.REMOVE, string(b'a'))
        self.assertEqual(b'\0\0\0\x0a\x0d\0\0\0\0\0\0\0\x01a', data)
        data, _ = self.protocol.request(protocol.FSYNC, string(b'h'))
        head = b'\0\0\0\x1f\xc8\0\0\0\x01'
        self.assertEqual(head + string(b'fsync@openssh.com') + string(b'h'), data)

    def test_the_version_and_what_the_server_has(self):
        self.assertEqual((3, {b'x@y': b'1'}), (self.protocol.version, self.protocol.extensions))

    def test_an_older_version_or_anything_else_is_no_beginning(self):
        for data in packet(2, number(2)), packet(101, number(3)), packet(2, number(3), b'\0\0'):
            with self.assertRaises(errors.RemoteProtocolError):
                Protocol().receive(data)

    def test_answers_come_in_any_order_and_in_any_pieces(self):
        requests = [self.ask(protocol.OPEN) for _ in range(3)]
        data = b''.join(
            packet(protocol.HANDLE, number(n), string(b'handle %d' % n)) for n in (2, 0, 1)
        )
        for position in range(len(data)):
            self.protocol.receive(data[position : position + 1])
        self.assertEqual(
            [b'handle 0', b'handle 1', b'handle 2'], [each.answer for each in requests]
        )
        self.assertEqual([], [*self.protocol.waiting])

    def test_what_was_not_asked_is_no_answer(self):
        self.refused(protocol.OPEN, status(7, 0), 'not asked')

    def test_each_kind_has_its_own_answer(self):
        names = packet(104, number(0), number(0))
        self.refused(protocol.OPEN, names, 'by a packet 104')

    def test_success_alone_is_no_handle(self):
        self.refused(protocol.OPEN, status(0, 0), 'nothing but success')

    def test_names_with_what_is_told_of_them(self):
        entry = string(b'a') + string(b'-rw-r--r--')
        entry += number(0x0D) + struct.pack('>Q', 5) + number(0o100644) + number(1) + number(2)
        answer = self.answered(protocol.READDIR, packet(104, number(0), number(1), entry))
        self.assertEqual([(b'a', Attributes(5, 0o100644, 2))], answer)

    def test_what_is_not_told_is_none(self):
        answer = self.answered(protocol.LSTAT, packet(105, number(0), number(0)))
        self.assertEqual(Attributes(None, None, None), answer)
        self.assertEqual((True, False), (answer.is_file, answer.is_directory))

    def test_further_attributes_are_skipped(self):
        fields = (
            number(0x80000002) + number(1) + number(2) + number(1) + string(b'k') + string(b'v')
        )
        self.assertEqual(
            Attributes(), self.answered(protocol.LSTAT, packet(105, number(0), fields))
        )

    def test_the_end(self):
        self.assertIs(protocol.EOF, self.answered(protocol.READ, status(0, 1)))

    def test_refusals(self):
        for code, kind, unsupported in (
            (2, errors.PermanentError, False),
            (3, errors.PermanentError, False),
            (4, errors.PermanentError, False),
            (8, errors.PermanentError, True),
            (14, errors.ServerFull, False),
            (7, errors.TemporaryError, False),
        ):
            with self.subTest(code):
                self.setUp()
                answer = self.answered(protocol.REMOVE, status(0, code, b'Why not\r\n'))
                self.assertIs(kind, type(answer))
                self.assertEqual((code, 'Why not (THIS)'), (answer.code, answer.message))
                self.assertEqual(unsupported, answer.is_unsupported)

    def test_a_refusal_without_words(self):
        answer = self.answered(protocol.REMOVE, packet(101, number(0), number(3)))
        self.assertEqual('Permission denied', str(answer))
        self.assertTrue(answer.is_denial)


class BoundTests(ProtocolCase):
    def test_a_packet(self):
        for length in 0, protocol.LONGEST + 1, 0xFFFFFFFF:
            with self.subTest(length):
                self.setUp()
                self.refused(protocol.OPEN, number(length), str(length))

    def test_a_handle(self):
        self.refused(protocol.OPEN, packet(102, number(0), string(b'h' * 257)), '257 bytes')

    def test_more_names_than_a_packet_can_have(self):
        data = packet(104, number(0), number(0xFFFFFFFF), b'x' * 100)
        self.refused(protocol.READDIR, data, 'shorter than it says')

    def test_a_text_that_is_longer_than_its_packet(self):
        data = packet(103, number(0), number(5000), b'x')
        self.refused(protocol.READ, data, 'shorter than it says')

    @settings(deadline=None)
    @given(data=st.binary(max_size=200), kind=st.sampled_from([*protocol.VERBS]))
    def test_whatever_comes_is_an_answer_or_an_error_of_the_server(self, data, kind):
        self.setUp()
        self.ask(kind)
        try:
            self.protocol.receive(packet(101, number(0))[:5] + data)
        except errors.RemoteProtocolError:
            pass

    @settings(deadline=None)
    @given(
        answer=st.sampled_from([101, 102, 103, 104, 105, 201]),
        data=st.binary(max_size=200),
        kind=st.sampled_from([*protocol.VERBS, protocol.STATVFS]),
    )
    def test_whatever_an_answer_has_in_it(self, answer, data, kind):
        self.setUp()
        request = self.ask(kind)
        try:
            self.protocol.receive(packet(answer, number(0), data))
        except errors.RemoteProtocolError:
            return
        self.assertTrue(request.done)


class ExtensionTests(unittest.TestCase):
    layer = layers.QUIET

    def test_room(self):
        data = struct.pack('>11Q', 4096, 1024, 100, 50, 40, 10, 9, 8, 0, 0, 255)
        self.assertEqual((40 * 1024, 8), protocol.space(data))
        with self.assertRaises(errors.RemoteProtocolError):
            protocol.space(data[:-1])

    def test_the_digest_that_is_asked_for(self):
        for offered, name in (
            ({}, ''),
            ({b'check-file': b''}, 'sha256'),
            ({b'check-file': b'md5,sha1'}, 'sha1'),
            ({b'check-file': b'md5,sha1,sha256'}, 'sha256'),
            ({b'check-file': b'crc32,crc64'}, ''),
            ({b'check-file-handle': b'1'}, 'sha256'),
        ):
            self.assertEqual(name, digest_of(offered))
