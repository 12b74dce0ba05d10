"""What a server refuses, invents or leaves out: by a script."""

import os
import struct
import unittest

from zeit.cds import errors
from zeit.cds.credentials import Secret
from zeit.cds.run.exporter import Exporter
from zeit.cds.sftp.target import SFTPTarget
from zeit.cds.spool.source import Source
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.sftpfaults import (
    Answer,
    Cut,
    SFTPFaultServer,
    Silence,
    Status,
    number,
    packet,
    text,
)
from zeit.cds.tests.folders import in_memory


def target(server, **options):
    return SFTPTarget.from_options(
        **{
            'host': server.host,
            'port': server.port,
            'user': 'test',
            'password': Secret('testpw'),
            'known_hosts': str(server.known_hosts),
            'directory': '/cds',
            **options,
        }
    )


class FaultCase(unittest.TestCase):
    layer = layers.QUIET

    def serve(self, files=None, **options):
        self.server = self.enterContext(
            SFTPFaultServer(files or {}, directories=['/cds'], **options)
        )
        self.target = target(self.server)
        self.spool = Spool(in_memory(self))

    def open(self, **options):
        session = target(self.server, **options).open(within=60)
        self.addCleanup(session.close)
        return session

    def export(self, *names):
        for name in names:
            self.spool.put(name, b'new content')
        return Exporter(self.spool, self.target).run_once()

    def answer(self, verb, function, **options):
        return self.server.fault(verb, Answer(function), **options)


class UploadTests(FaultCase):
    def test_a_full_disk_ends_the_run_and_counts_against_no_file(self):
        self.serve()
        self.server.fault('WRITE', Status(4, 'Failure'), path='*.part')
        full = struct.pack('>11Q', 4096, 4096, 1000, 0, 0, 100, 50, 50, 0, 0, 255)
        self.answer('statvfs', lambda request, _: packet(201, number(request), full))
        report = self.export('a.xml')
        self.assertEqual(69, report.exit_code, report)
        self.assertIn('no room', report.failed[0][1])

    def test_a_file_system_that_does_not_count_files_is_not_full(self):
        self.serve()
        self.server.fault('WRITE', Status(4, 'Failure'), path='*.part')
        free = 500
        self.answer(
            'statvfs',
            lambda request, _: packet(
                201,
                number(request),
                struct.pack('>11Q', 4096, 4096, 1000, free, free, 0, 0, 0, 0, 0, 255),
            ),
        )
        report = self.export('a.xml')
        self.assertEqual(1, report.exit_code, report)
        free = 0
        self.assertEqual(69, self.export('a.xml').exit_code)

    def test_a_failure_with_room_counts_against_the_file(self):
        self.serve()
        self.server.fault('WRITE', Status(4, 'Failure'), path='*.part')
        report = self.export('a.xml')
        self.assertEqual(1, report.exit_code)

    def test_a_file_that_is_shorter_there_gets_no_name(self):
        self.serve()
        short = number(1) + number(3, size=8)
        self.answer('FSTAT', lambda request, _: packet(105, number(request), short), path='*.part')
        report = self.export('a.xml')
        self.assertIn('the server has 3 bytes', report.failed[0][1])
        self.assertEqual({}, self.server.files)

    def test_a_digest_that_is_another_one(self):
        self.serve(digests=('sha256',))
        report = self.export('a.xml')
        self.assertEqual(0, report.exit_code, report.failed)
        self.assertEqual(1, len(self.server.commands('check-file-handle')))
        wrong = text('sha256') + b'x' * 32
        self.answer('check-file-handle', lambda request, _: packet(201, number(request), wrong))
        report = self.export('b.xml')
        self.assertIn('sha256', report.failed[0][1])
        self.assertEqual({'/cds/a.xml'}, {*self.server.files})

    def test_what_is_refused_is_not_asked_for_again_that_day(self):
        self.serve()
        self.server.fault('fsync', Status(8, 'Operation unsupported'))
        for name in 'a.xml', 'b.xml':
            self.assertEqual(0, self.export(name).exit_code)
        self.assertEqual(1, len(self.server.commands('fsync')))

    def test_without_posix_rename_the_older_file_is_put_aside(self):
        self.serve({'/cds/a.xml': b'old'}, extensions=())
        self.assertEqual(0, self.export('a.xml').exit_code)
        self.assertEqual({'/cds/a.xml': b'new content'}, self.server.files)
        aside = [each for each in self.server.commands('RENAME') if each.endswith('/cds/a.xml')]
        self.assertEqual(1, len(aside))


class ListingTests(FaultCase):
    def names(self, *names):
        entries = b''.join(text(name) + text('') + number(0) for name in names)
        return lambda request, _: packet(104, number(request), number(len(names)), entries)

    def test_names_that_no_file_can_have_are_left_out(self):
        self.serve()
        session = self.open()
        self.answer('READDIR', self.names(b'../../x', b'/etc/x', b'a\0b', b'', b'ok'), times=1)
        with self.assertLogs('zeit.cds', 'WARNING') as logs:
            self.assertEqual({'ok'}, session.names())
        self.assertEqual(4, len(logs.output))

    def test_an_answer_without_names_is_not_the_end(self):
        self.serve({'/cds/a.xml': b'<a/>'})
        session = self.open()
        kept = []

        def later(request, whole):
            kept.append(whole[9:])  # behind length, kind and number
            known = kept[-2] if kept[1:] else number(0)
            return whole if kept[2:] else packet(104, number(request), known)

        self.answer('READDIR', later)
        self.assertEqual({'a.xml'}, session.names())
        self.assertTrue(session.connection.usable)

    def test_directories_do_not_use_up_the_files_that_a_run_may_take(self):
        self.serve({'/cds/letter.xml': b'<a/>'})
        session = self.open()
        session.make_directory('archive')
        self.answer('READDIR', self.names('archive', 'letter.xml'), times=1)
        self.assertEqual(['letter.xml'], [*session.files(most=1)])

    def test_who_may_not_list_is_told_which_right_is_missing(self):
        self.serve()
        self.server.fault('OPENDIR', Status(3, 'Permission denied'))
        error = self.export('a.xml').error
        self.assertEqual(errors.CONFIGURATION, error.exit_code)
        self.assertIn('right to list', error.hint)
        self.assertEqual({}, self.server.files)

    def test_a_listing_without_end(self):
        self.serve()
        session = self.open()
        self.answer('READDIR', self.names())
        with self.assertRaises(errors.RemoteProtocolError):
            session.names()
        self.server.clear_faults()
        count = iter(range(10**9))
        self.answer(
            'READDIR',
            lambda request, packet: self.names(*(b'%d' % next(count) for _ in range(5000)))(
                request, packet
            ),
        )
        with self.assertRaises(errors.ListingTooLong):
            session.names()


class ReadTests(FaultCase):
    def test_blocks_that_are_shorter_than_asked_for(self):
        content = bytes(range(256)) * 1000
        self.serve({'/cds/a': content})
        session = self.open()

        def shorter(request, whole):
            data = whole[13:]
            return whole if whole[4] != 103 else packet(103, number(request), text(data[:1000]))

        self.answer('READ', shorter)
        self.assertEqual(content, session.read('a', limit=10**6))

    def test_more_than_was_asked_for(self):
        self.serve({'/cds/a': b'1'})
        session = self.open()
        self.answer('READ', lambda request, _: packet(103, number(request), text(b'x' * 300_00)))
        with self.assertRaises(errors.RemoteProtocolError):
            session.read('a', limit=10)

    def test_a_server_that_is_silent_loses_the_connection(self):
        self.serve({'/cds/a': b'1'})
        session = self.open(reply_timeout=0.5)
        self.server.fault('LSTAT', Silence(), times=1)
        self.assertEqual(1, session.size('a'))
        self.assertEqual(2, session.connections)


class WriteTests(FaultCase):
    def test_a_file_that_grows_takes_no_request_for_each_byte(self):
        self.serve()
        session, written = self.open(), []
        self.answer('WRITE', lambda request, whole: written.append(request) or whole)
        path = os.path.join(in_memory(self), 'a')
        with open(path, 'wb') as file, Source(path) as source:
            file.write(b'x' * 100_000)
            file.flush()
            with self.assertRaises(errors.SizeMismatch):
                session.upload('a', source)
        self.assertLess(len(written), 5)


class GarbageTests(FaultCase):
    def test_what_breaks_the_connection_does_not_stand_in_the_way(self):
        self.serve({'/cds/part': b'1'})
        self.server.fault('REMOVE', Cut())
        session = self.open()
        session.garbage.append('part')
        session.reconnect()
        self.assertEqual({'part'}, session.names())
        self.assertEqual((3, {'part'}), (session.connections, session.unconfirmed))
