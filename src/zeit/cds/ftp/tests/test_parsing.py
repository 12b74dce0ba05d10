import datetime
import unittest

from hypothesis import given, settings
from hypothesis import strategies as st

from zeit.cds.errors import LocalProtocolError, NoValue, RemoteProtocolError
from zeit.cds.ftp import parsing
from zeit.cds.ftp.parsing import Reply, ReplyParser


#: Bytes, and the replies that they are.
STREAMS = (
    (b'220 Hello\r\n', [Reply(220, ('Hello',))]),
    (b'220\r\n', [Reply(220, ('',))]),
    (b'220 Only a line feed\n', [Reply(220, ('Only a line feed',))]),
    (b'150 Here\r\n226 Done\r\n', [Reply(150, ('Here',)), Reply(226, ('Done',))]),
    (b'\r\n \r\n226 Done\r\n', [Reply(226, ('Done',))]),
    (
        b'211-Features:\r\n EPSV\r\n 213 is no end\r\n226 nor this\r\n211-nor this\r\n211 End\r\n',
        [Reply(211, ('Features:', ' EPSV', ' 213 is no end', '226 nor this', 'nor this', 'End'))],
    ),
    (b'230-\r\n\r\n230\r\n', [Reply(230, ('', '', ''))]),
    (b'550 caf\xe9 \xff\r\n', [Reply(550, ('caf\udce9 \udcff',))]),
    (b'220Welcome\r\n221:Bye\r\n', [Reply(220, ('Welcome',)), Reply(221, (':Bye',))]),
    (b'226\tDone\r\r\n', [Reply(226, ('\tDone',))]),
    (b'211-a\n211Xb\n211\tc\n', [Reply(211, ('a', '211Xb', '\tc'))]),
    (b'230-a\n230 \n', [Reply(230, ('a', ''))]),
)


class ReplyParserTests(unittest.TestCase):
    def test_whole(self):
        for data, replies in STREAMS:
            self.assertEqual(replies, ReplyParser().feed(data))

    def test_byte_by_byte(self):
        for data, replies in STREAMS:
            parser = ReplyParser()
            got = [reply for byte in data for reply in parser.feed(bytes([byte]))]
            self.assertEqual((replies, False), (got, parser.pending))

    def test_what_is_no_reply(self):
        for data in (
            b'hello\r\n',
            b'22 x\r\n',
            b'600 x\r\n',
            b'099 x\r\n',
            b'2200 x\r\n',
            b'\xff\n',
        ):
            with self.assertRaises(RemoteProtocolError, msg=data):
                ReplyParser().feed(data)

    def test_a_line_that_does_not_end(self):
        parser = ReplyParser()
        with self.assertRaisesRegex(RemoteProtocolError, 'line of more than 16384'):
            for _ in range(100):
                parser.feed(b'2' * 1000)

    def test_a_reply_that_does_not_end(self):
        parser = ReplyParser()
        parser.feed(b'220-\r\n')
        with self.assertRaisesRegex(RemoteProtocolError, 'reply of more than 262144'):
            for _ in range(1000):
                parser.feed(b'x' * 1000 + b'\r\n')

    def test_twenty_kilobytes_in_lines_are_fine(self):
        data = b'220-\r\n' + b' some text\r\n' * 2000 + b'220 end\r\n'
        (reply,) = ReplyParser().feed(data)
        self.assertEqual(2002, len(reply.lines))

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
    def test_any_bytes_cut_anywhere_give_the_same(self, data, cuts):
        def parse(pieces):
            parser, replies = ReplyParser(), []
            try:
                for piece in pieces:
                    replies += parser.feed(piece)
            except RemoteProtocolError:
                return None
            return replies

        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        pieces = [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
        self.assertEqual(parse([data]), parse(pieces))

    def test_text_is_one_line(self):
        self.assertEqual('230-x'.replace('-x', ' a / b'), Reply(230, (' a', '', 'b ')).text)


class CommandTests(unittest.TestCase):
    def test_a_command(self):
        self.assertEqual(b'STOR a b \r\n', parsing.command('STOR', 'a b '))
        self.assertEqual(b'EPSV\r\n', parsing.command('EPSV'))
        self.assertEqual(b'STOR \xe4\r\n', parsing.command('STOR', 'ä', encoding='latin-1'))
        self.assertEqual(b'STOR \xc3\xa4\r\n', parsing.command('STOR', 'ä'))

    def test_no_second_command_gets_in(self):
        for argument in ('a\r\nDELE b', 'a\nb', 'a\rb', 'a\0b'):
            with self.assertRaises(LocalProtocolError):
                parsing.command('STOR', argument)


class ValueTests(unittest.TestCase):
    def test_epsv(self):
        for text in (
            'Entering (|||6446|)',
            '(!!!6446!)',
            '(1116446 1)',
            '( ||| 6446 | )',
            '(|1|192.0.2.1|6446|).',
            '(|2|2001:db8::1|6446|)',
            'Entering Extended Passive Mode |||6446|',
            'ok !!!6446! (6447)',
        ):
            self.assertEqual(6446, parsing.epsv_port(Reply(229, (text,))), text)
        self.assertEqual(1, parsing.epsv_port(Reply(229, ('Here:', ' (!!!1!)', 'End'))))
        for text in ('(|||0|)', '(|||65536|)', '(|||x|)', '6446', '', '(||!6446|)', '||6446|'):
            with self.assertRaises(RemoteProtocolError, msg=text):
                parsing.epsv_port(Reply(229, (text,)))

    def test_pasv(self):
        for text in (
            'Entering (10,0,0,1,8,1).',
            'ok 10,0,0,1,8,1',
            '=10,0,0,1,8,1',
            '(10, 0, 0, 1, 8, 1)',
            'Port 1, host: 10,0,0,1,8,1',
        ):
            self.assertEqual(('10.0.0.1', 2049), parsing.pasv_address(Reply(227, (text,))), text)
        lines = 'Passive', ' (10,0,0,1,8,1)', 'End'
        self.assertEqual(('10.0.0.1', 2049), parsing.pasv_address(Reply(227, lines)))
        for text in ('', '(1,2,3,4,5)', '(256,0,0,1,8,1)', '(1,2,3,4,0,0)', '(1,2,3,4,256,1)'):
            with self.assertRaises(RemoteProtocolError, msg=text):
                parsing.pasv_address(Reply(227, (text,)))

    def test_lines_of_a_listing_for_people(self):
        for line, *expected in (
            ('-rw-r--r-- 1 user group     4 Nov 14 22:13  two words ', ' two words ', '4', ':'),
            ('-rw-rw----+  1 domain users 1000 99  81 Nov  4  2023 a', 'a', '81', '2023'),
            ('drwxr-xr-x 2 0 0 4096 Nov 14 22:13 below',),
            ('total 8',),
            ('11-14-26  10:13PM       81 a',),
        ):
            with self.subTest(line):
                found = parsing.long_entry(line)
                self.assertEqual(bool(expected), bool(found))
                if found:
                    name, digits, time = expected
                    self.assertEqual((name, digits), (found[0], found[1].digits))
                    self.assertIn(time, found[1].time)
                    self.assertEqual((int(digits), None), (found[1].size, found[1].modified))

    def test_what_is_old_in_a_listing_for_people(self):
        now = 'Nov 30 18:22'
        for time, expected in (
            ('Nov 30 18:20', True),
            ('Nov 30 18:21', False),
            ('Nov 30 18:22', False),
            ('Nov 30 18:23', False),
            ('Dec 1 18:00', False),
            ('Feb 29 00:00', True),
            ('Nov 14 2023', True),
            ('Okt 14 22:13', False),
            ('Feb 31 22:13', False),
            ('', False),
        ):
            with self.subTest(time):
                self.assertIs(expected, parsing.is_minutes_before(time, now))
        self.assertTrue(parsing.is_minutes_before('Dec 31 23:58', 'Jan 1 00:00'))
        for now in 'Nov 30 2026', '':
            self.assertFalse(parsing.is_minutes_before('Nov 14 2023', now))

    def test_size(self):
        for text in (
            ' 12 ',
            '12 Bytes',
            '12.',
            '\t12',
            'Size is 12',
            '/in/a2.xml: 12 octets.',
            '(12)',
            '12 bytes in 1 block',
            '12 (type I)',
        ):
            self.assertEqual(12, parsing.size(Reply(213, (text,))), text)
        self.assertEqual(12, parsing.size(Reply(213, ('Size of a:', ' 12', 'End'))))
        for text in (
            *('', 'OK', '-1', '1 2', 'a 1 of 2', 'twelve', '²', '1' * 21),
            *('1,234', '1.234', '0x12', '1e3', '12 KB', '12 M.', '12 kilobytes'),
        ):
            with self.subTest(text), self.assertRaises(NoValue) as caught:
                self.assertIsNone(parsing.size(Reply(213, (text,))))
            self.assertEqual(213, caught.exception.code)

    def test_time(self):
        expected = datetime.datetime(2026, 2, 28, 23, 59, 58, tzinfo=datetime.UTC)
        for text in (
            '20260228235958',
            ' 20260228235958.123 ',
            '20260228235958 a.xml',
            'a20260101000000.xml 20260228235958',
            '191260228235958',
        ):
            self.assertEqual(expected, parsing.modified(Reply(213, (text,))), text)
        for text in ('', '20260230000000', '2026', 'yesterday', '202602282359581'):
            with self.assertRaises(NoValue, msg=text):
                parsing.modified(Reply(213, (text,)))

    def test_mlsd(self):
        def entry(line):
            name, facts = parsing.mlsd_entry(line)
            return name, facts.is_directory, facts.size, facts.modified

        then = datetime.datetime(2026, 11, 23, 22, 47, tzinfo=datetime.UTC)
        line = 'Type=file;Size=3;Modify=20261123224700.5; a b '
        self.assertEqual(('a b ', False, 3, then), entry(line))
        self.assertEqual(('d', True, None, None), entry('type=DIR; d'))
        self.assertEqual((' x', False, 1, None), entry('size=1;modify=;  x'))
        for size in ('-1', '1e3', 'x', '9' * 30):
            self.assertEqual(('x', False, None, None), entry(f'size={size};modify=today; x'))
        for line in ('', 'type=file;', 'type=file; '):
            self.assertIsNone(parsing.mlsd_entry(line))

    def test_mlsd_of_a_link_that_tells_where_it_leads_to(self):
        for facts, is_directory in (
            ('type=OS.unix=slink:/srv/a b;size=3;modify=20261123224700;', False),
            ('Type=OS.unix=slink:/srv/outdir;Size=3;', False),
            ('type=OS.unix=slink:/srv/a=dir;size=3;', False),
            ('type=OS.unix=dir;size=3;', True),
        ):
            for name in ('a.xml', 'a; b', ' a'):
                self.assertEqual(
                    (name, is_directory, 3),
                    (*(found := parsing.mlsd_entry(f'{facts} {name}'))[:1],
                     found[1].is_directory, found[1].size),
                )  # fmt: skip
        self.assertEqual('slink: a; b', parsing.mlsd_entry('type=file;size=3; slink: a; b')[0])

    def test_listing(self):
        lines = parsing.Lines()
        self.assertEqual(['a', 'b ', 'c'], lines.feed(b'a\r\nb \n\r\nc') + lines.end())

    def test_a_listing_however_it_is_cut(self):
        data = 'ä\r\nb \n\r\n'.encode() + b'x' * parsing.MAX_ENTRY + b'\n' + b'\xe9\nend'
        expected = ['ä', 'b ', 'x' * parsing.MAX_ENTRY, '\udce9', 'end']
        for size in (1, 2, 3, 7, 4000, len(data)):
            with self.subTest(size):
                lines = parsing.Lines()
                pieces = [data[at : at + size] for at in range(0, len(data), size)]
                found = [line for piece in pieces for line in lines.feed(piece)]
                self.assertEqual((expected, True), (found + lines.end(), lines.undecoded))

    def test_a_line_of_a_listing_that_is_too_long_is_left_out(self):
        long = b'x' * (parsing.MAX_ENTRY + 1)
        for data in (b'a\n' + long + b'\nb\n', b'a\n' + 3 * long + b'\nb\n'):
            for size in (100, len(data)):
                with self.subTest(length=len(data), size=size):
                    lines = parsing.Lines()
                    pieces = [data[at : at + size] for at in range(0, len(data), size)]
                    found = [line for piece in pieces for line in lines.feed(piece)]
                    self.assertEqual(['a', 'b'], found + lines.end())
