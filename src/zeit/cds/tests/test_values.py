"""Errors, names, texts and settings: the modules without a partner."""

import datetime
import os
import tempfile
import unittest
import unittest.mock

from hypothesis import given
from hypothesis import strategies as st

from zeit.cds import credentials, errors, names, text, urls
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.network.oserrors import from_os
from zeit.cds.option_types import ENCODING
from zeit.cds.tests.test_main_password import chain, raised, variables


class ErrorTests(unittest.TestCase):
    def test_precedence_of_exit_codes(self):
        for codes, code in (
            ((), 0),
            ((0, 1), 1),
            ((1, 75), 75),
            ((75, 69), 69),
            ((69, 77), 77),
            ((77, 78), 78),
            ((78, 73), 73),
            ((73, 70, 1), 70),
        ):
            self.assertEqual(code, errors.decisive(codes))

    def test_a_hint_is_a_note(self):
        error = errors.SpoolError('No.', hint='Do this.')
        self.assertEqual((['Do this.'], 'Do this.'), (error.__notes__, error.hint))
        self.assertFalse(hasattr(errors.SpoolError('No.'), '__notes__'))

    def test_an_os_error_looks_as_it_did(self):
        error = from_os(ConnectionRefusedError(111, 'Connection refused'), activity='x')
        self.assertEqual("(111, 'Connection refused')", str(error))
        self.assertEqual(
            (111, 'Connection refused', 69), (error.errno, error.message, error.exit_code)
        )
        self.assertIn('Nothing listens there', error.hint)

    def test_every_error_has_an_exit_code_that_can_be_weighed(self):
        found = [errors.Error]
        for cls in found:
            found += cls.__subclasses__()
            self.assertIn(cls.exit_code, errors.PRECEDENCE)
        self.assertGreater(len(found), 20)


class NameTests(unittest.TestCase):
    def refusal(self, name, **kw):
        try:
            names.check(name, **kw)
        except errors.NameRefused as error:
            return error.message
        return None

    def test_names_that_go(self):
        for name in (
            'a',
            '{urn:uuid:1}.xml',
            ' a ',
            '-a',
            'a b',
            'é',
            'x' * 255,
            'writes',
            'read.me',
        ):
            self.assertIsNone(self.refusal(name), name)

    def test_names_that_must_not_go(self):
        token = names.new_token()
        for name, reason in (
            ('a\r\nDELE b', r"control character '\\n'"),
            ('a\0', r"control character '\\x00'"),
            ('a\x1b', r"control character '\\x1b'"),
            ('a\x7f', r"control character '\\x7f'"),
            ('', 'is not the name'),
            ('..', 'is not the name'),
            ('a/b', 'is not the name'),
            ('caf\udce9', 'cannot be written in utf-8'),
            ('x' * 256, 'has 256 bytes'),
            ('é' * 128, 'has 256 bytes'),
            ('write', 'lock file'),
            ('READ', 'lock file'),
            (names.temporary('a', token=token, number=3), 'looks like'),
            (names.temporary('a', token=token, number=3).upper(), 'looks like'),
            (names.aside('a', token=token), 'looks like'),
            (names.staged('write', token=token), 'looks like'),
            ('write.guard', 'looks like'),
        ):
            self.assertRegex(self.refusal(name) or '', reason, name)

    def test_names_that_are_the_lock_to_some_servers(self):
        token = names.new_token()
        lock, part = names.staged('read', token=token), names.temporary('a', token=token, number=3)
        for name in ('write', 'read', 'write.guard', lock, part):
            for spelling in (
                *(name + end for end in ('.', ' ', '. .', '::$DATA', ':x.xml', ' ::$DATA', ';1')),
                *(name + end for end in ('\\', '\N{NO-BREAK SPACE}', '\N{ZERO WIDTH SPACE}', 'é')),
                *(start + name for start in (' ', '.\\', 'x\\..\\', '\N{BYTE ORDER MARK}', 'é')),
                f'"{name}"',
                f' {name.upper()} . ',
                f'{name.title()};3 .',
                name.replace('r', '\N{FULLWIDTH LATIN CAPITAL LETTER R}') + '.',
                name.replace('a', '\N{LATIN SMALL LETTER A WITH DIAERESIS}') + '. ',
                name.replace('i', '\N{LATIN SMALL LETTER DOTLESS I}').upper(),
                name.replace('i', '\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}'),
            ):
                with self.subTest(spelling):
                    self.assertRegex(self.refusal(spelling) or '', 'lock|temporary')

    @given(st.sampled_from('._-x0'), st.text(st.sampled_from('abz09._-;: {}ü'), max_size=9))
    def test_other_names_go(self, letter, rest):
        for name in (f'write{letter}b{rest}', f'a{letter}write', f'reads{rest}'):
            self.assertIsNone(self.refusal(name), name)

    def test_a_name_that_python_does_not_understand_here(self):
        """What is a name in UTF-8 elsewhere: LC_ALL=C, and no UTF-8 mode."""
        name = 'caf\udcc3\udca9'
        for encoding, hint in (('ascii', 'LC_ALL=C.UTF-8'), ('utf-8', 'Rename the file')):
            with unittest.mock.patch('sys.getfilesystemencoding', return_value=encoding):
                with self.assertRaises(errors.NameRefused) as caught:
                    names.check(name)
            self.assertIn(hint, caught.exception.hint)

    def test_an_encoding_that_has_no_such_letter(self):
        self.assertIsNone(self.refusal('é', encoding='latin-1'))
        self.assertIn('cannot be written in latin-1', self.refusal('€', encoding='latin-1'))
        self.assertIn('byte 255', self.refusal('ÿ', encoding='latin-1'))

    def test_an_encoding_in_which_a_command_is_none(self):
        for name in (
            *('utf-16', 'utf-8-sig', 'utf-7', 'cp037', 'rot13', 'base64', 'idna', 'undefined'),
            # These only look like ASCII: 'ESC $ B' begins something else, or '\\u0041'.
            *('iso2022_jp', 'iso2022_kr', 'hz', 'raw_unicode_escape'),
            *('klingon', '', ' ', '\0', 'é', '../x'),
        ):
            with self.subTest(name):
                with self.assertRaises(ValueError) as caught:
                    ENCODING.read(name)
                self.assertNotIn('\n', str(caught.exception))
                with self.assertRaises(errors.ConfigurationError) as caught:
                    Settings(host='h', encoding=name)
                self.assertNotIn('\n', caught.exception.advice)
        for name in 'utf-8', 'UTF8', 'latin-1', 'cp1252', 'ascii', 'koi8-r', 'euc-jp', 'gb18030':
            self.assertEqual(name, Settings(host='h', encoding=ENCODING.read(name)).encoding)

    @given(st.text(min_size=1, max_size=300), st.integers(1, 10**6))
    def test_our_names_fit_and_are_known_as_ours(self, name, number):
        token = names.new_token()
        for ours in (
            names.temporary(name, token=token, number=number),
            names.aside(name, token=token),
        ):
            self.assertLessEqual(len(ours.encode('utf-8', 'surrogatepass')), names.SHORT)
            self.assertIn(token, ours)
            if '/' not in ours and ours.isprintable():
                self.assertIn('looks like', self.refusal(ours))

    def test_long_names_do_not_collide(self):
        token = names.new_token()
        one, two = ('x' * 250 + end for end in 'ab')
        self.assertNotEqual(
            names.temporary(one, token=token, number=1), names.temporary(two, token=token, number=1)
        )


class TextTests(unittest.TestCase):
    def test_printable(self):
        for given_text, shown in (
            ('a b é', 'a b é'),
            ('a\r\n\x1b[31m', r'a\r\n\x1b[31m'),
            ('a\u202eb', r'a\u202eb'),
            ('caf\udce9', r'caf\xe9'),
            (b'caf\xe9\n', r'caf\xe9\n'),
            ('x' * 300, 'x' * 197 + '...'),
            ('\n' * 150, r'\n' * 98 + '\\...'),
        ):
            self.assertEqual(shown, text.printable(given_text))

    @given(st.text())
    def test_what_is_printable_is_one_short_line(self, any_text):
        shown = text.printable(any_text)
        self.assertTrue(shown.isprintable())
        self.assertLessEqual(len(shown), 200)

    def test_sizes_and_ages(self):
        sizes = [text.file_size(n) for n in (0, 1023, 1024, 1536, 10 * 1024**2, 5 * 1024**4)]
        self.assertEqual(['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '10.0 MiB', '5120.0 GiB'], sizes)
        ages = [text.age(n) for n in (-5, 0, 90, 120, 7200, 3 * 86400)]
        self.assertEqual(['0 s', '0 s', '90 s', '2 min', '2 h', '3 d'], ages)
        self.assertEqual('1 file, 2 files', f'{text.plural(1, "file")}, {text.plural(2, "file")}')


class SecretTests(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())

    def file(self, content, *, mode=0o600):
        path = os.path.join(self.directory, 'secret')
        with open(path, 'w') as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def test_nobody_sees_one(self):
        secret = credentials.Secret('testpw')
        self.assertNotIn('testpw', f'{secret!r} {secret!s} {secret}')
        self.assertEqual('testpw', secret.reveal())

    def test_a_file(self):
        self.assertEqual('te st', credentials.SecretFile(self.file('te st\nmore\n')).reveal())

    def test_a_file_that_everybody_can_read(self):
        path = self.file('testpw\n', mode=0o644)
        with self.assertLogs('zeit.cds.credentials', 'WARNING') as logs:
            credentials.SecretFile(path).require_usable()
        with self.assertNoLogs('zeit.cds.credentials'):
            credentials.SecretFile(path).reveal()  # at each login
        self.assertIn('can be read by everybody', logs.output[0])
        self.assertNotIn('testpw', logs.output[0])

    def test_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(errors.ConfigurationError, 'No such file'):
            credentials.SecretFile(os.path.join(self.directory, 'x')).reveal()

    def test_a_variable(self):
        os.environ['ZEIT_CDS_TEST'] = 'testpw'
        self.addCleanup(os.environ.pop, 'ZEIT_CDS_TEST')
        self.assertEqual('testpw', credentials.SecretVariable('ZEIT_CDS_TEST').reveal())
        with self.assertRaisesRegex(errors.ConfigurationError, 'ZEIT_CDS_MISSING .* not set'):
            credentials.SecretVariable('ZEIT_CDS_MISSING').reveal()

    def test_what_cannot_be_sent(self):
        """It is found where the password comes from, and not repeated."""
        os.environ['ZEIT_CDS_TEST'] = 'testpw\n'
        self.addCleanup(os.environ.pop, 'ZEIT_CDS_TEST')
        for secret, what in (
            (credentials.Secret(None), 'The password is None'),
            (credentials.Secret(b'testpw'), 'The password is of the type bytes'),
            (credentials.Secret('testpw\r\n'), 'The password has a line end'),
            (
                credentials.SecretVariable('ZEIT_CDS_TEST'),
                'ZEIT_CDS_TEST for the password has a line',
            ),
            (
                credentials.SecretFile(self.file('test\0pw\n', mode=0o600)),
                'file .* has a line end or',
            ),
        ):
            with self.subTest(what):
                with self.assertRaisesRegex(errors.ConfigurationError, what) as caught:
                    secret.reveal()
                self.assertNotIn('testpw', str(caught.exception))

    def test_plain_text_is_refused_where_code_gives_it(self):
        for password in 'testpw', b'testpw':
            with self.assertRaisesRegex(errors.ConfigurationError, 'plain text') as caught:
                Settings(host='ftp.example.com', password=password)
            self.assertNotIn('testpw', str(caught.exception))

    def test_netrc(self):
        path = self.file('machine ftp.example.com login me password testpw\n')
        self.assertEqual(
            'testpw', credentials.SecretNetrc('ftp.example.com', 'me', path=path).reveal()
        )
        for host, user in (('ftp.example.com', 'other'), ('ftp.example.org', 'me')):
            with self.assertRaisesRegex(errors.ConfigurationError, 'No password for'):
                credentials.SecretNetrc(host, user, path=path).reveal()

    def test_netrc_has_names_of_hosts_in_any_case(self):
        path = self.file(
            'machine FTP.Example.com login me password testpw\n'
            'default login me password another\n'
        )
        for host in 'ftp.example.com', 'FTP.example.COM':
            self.assertEqual('testpw', credentials.SecretNetrc(host, 'me', path=path).reveal())
        self.assertEqual('another', credentials.SecretNetrc('', 'me', path=path).reveal())

    def test_several_logins_in_netrc(self):
        path = self.file(
            '\ufeff# comment password x\n'
            'machine ftp.example.com login a password one\n'
            'machine ftp.example.com\n  login "b c"\n  account x password t"wo\n'
            'macdef init\nmachine ftp.example.com login d password macro\n\n'
            'machine ftp.example.com password "an\\"y \\\\one"\n'
            'machine ftp.example.com login a password late\n'
            'machine other.example.com user e password th\\ ree\n'
            'default login d password #default\n'
        )
        for host, user, expected in (
            ('ftp.example.com', 'a', 'one'),
            ('ftp.example.com', 'b c', 't"wo'),
            ('ftp.example.com', 'd', 'an"y \\one'),
            ('other.example.com', 'e', 'th ree'),
            ('elsewhere', 'd', '#default'),
            ('other.example.com', 'd', None),
            ('elsewhere', 'a', None),
        ):
            with self.subTest(host=host, user=user):
                secret = credentials.SecretNetrc(host, user, path=path)
                if expected is not None:
                    self.assertEqual(expected, secret.reveal())
                else:
                    with self.assertRaisesRegex(errors.ConfigurationError, 'No password for'):
                        secret.reveal()

    def test_lines_that_cannot_be_understood(self):
        for content, line in (
            ('machine h\nlogin', 2),
            ('login me password testpw', 1),
            ('\nmachine h login me\npassword testpw testpw', 3),
            ('machine', 1),
        ):
            secret = credentials.SecretNetrc('h', 'me', path=self.file(content))
            with self.subTest(content):
                with self.assertRaisesRegex(errors.ConfigurationError, f'line {line}$') as caught:
                    secret.reveal()
                self.assertNotIn('testpw', str(caught.exception))

    def sources(self, content):
        """Return the password `content` from each source but the attribute."""
        os.environ['ZEIT_CDS_TEST'] = content
        self.addCleanup(os.environ.pop, 'ZEIT_CDS_TEST', None)
        netrc = os.path.join(self.directory, 'netrc')
        with open(netrc, 'w') as file:
            file.write(f'machine h login me password "{content}"\n')
        os.chmod(netrc, 0o600)
        return (
            credentials.SecretFile(self.file(content)),
            credentials.SecretVariable('ZEIT_CDS_TEST'),
            credentials.SecretNetrc('h', 'me', path=netrc),
        )

    def test_an_empty_one_is_refused_wherever_it_comes_from(self):
        for secret in self.sources(''):
            with self.subTest(secret):
                with self.assertRaisesRegex(errors.ConfigurationError, 'is empty$'):
                    secret.require_usable()

    def test_a_byte_order_mark_is_no_part_of_it(self):
        file, variable, netrc = self.sources('testpw')
        for name in ('secret', 'netrc'):
            path = os.path.join(self.directory, name)
            with open(path, 'rb') as old:
                content = old.read()
            with open(path, 'wb') as new:
                new.write(b'\xef\xbb\xbf' + content)
        os.environ['ZEIT_CDS_TEST'] = '\ufefftestpw'
        for secret in (file, variable, netrc):
            with self.subTest(secret):
                self.assertEqual('testpw', secret.reveal())

    def test_files_that_everybody_can_read(self):
        file, _, netrc = self.sources('testpw')
        for secret, name in ((file, 'secret'), (netrc, 'netrc')):
            for mode in (0o600, 0o640, 0o644, 0o604):
                os.chmod(os.path.join(self.directory, name), mode)
                with self.subTest(secret, mode=f'{mode:o}'):
                    if mode & 0o004:
                        with self.assertLogs('zeit.cds.credentials', 'WARNING') as logs:
                            secret.require_usable()
                        self.assertIn('chmod o-r', logs.output[0])
                    else:
                        with self.assertNoLogs('zeit.cds.credentials'):
                            secret.require_usable()

    def test_no_frame_of_an_error_has_it_in_a_variable(self):
        _, *broken = self.sources('testpw\r')
        nul = os.path.join(self.directory, 'nul')
        with open(nul, 'wb') as file:
            file.write(b'testpw\0\n')
        latin = os.path.join(self.directory, 'latin')
        with open(latin, 'wb') as file:
            file.write(b'machine h login me password testpw\xe9\n')
        wrong = self.file('machine h login me password testpw testpw\n')
        for secret in (
            *broken,
            credentials.Secret(b'testpw'),
            credentials.Secret('testpw\n'),
            credentials.SecretFile(nul),
            credentials.SecretFile(latin),
            credentials.SecretNetrc('h', 'me', path=latin),
            credentials.SecretNetrc('h', 'me', path=wrong),
            credentials.SecretNetrc('h', 'other', path=wrong),
        ):
            with self.subTest(secret):
                found = raised(secret.reveal)
                self.assertIsInstance(found, errors.ConfigurationError)
                self.assertTrue(variables(found))
                for error in chain(found):
                    self.assertNotIn('testpw', ' '.join([repr(error), *variables(error)]))

    def test_a_broken_netrc_is_not_quoted(self):
        path = self.file('machine h login me passwort testpw\n')
        with self.assertRaises(errors.ConfigurationError) as caught:
            credentials.SecretNetrc('h', 'me', path=path).reveal()
        self.assertNotIn('testpw', str(caught.exception))


class LocationTests(unittest.TestCase):
    def test_a_url(self):
        self.assertEqual(
            urls.Location(host='ftp.example.com', port=2121, user='m e', directory='/a b/c'),
            urls.location(' ftp://m%20e@ftp.example.com:2121/a%20b/c '),
        )

    def test_what_may_be_left_out(self):
        self.assertEqual(
            urls.Location(host='::1', port=None, user='me', directory='/in'),
            urls.location('ftp://me@[::1]/in'),
        )

    def test_the_interface_of_an_address(self):
        for written, host in (
            ('fe80::1%eth0', 'fe80::1%eth0'),
            ('fe80::1%25eth0', 'fe80::1%eth0'),
            ('fe80::1%25', 'fe80::1%25'),
        ):
            with self.subTest(written):
                self.assertEqual(host, urls.location(f'ftp://me@[{written}]:2121/in').host)

    def test_the_root_and_anonymous_are_said(self):
        for path in ('//', '/%2F', '/%2f/'):
            where = urls.location(f'ftp://anonymous@h{path}')
            self.assertEqual(('anonymous', '/'), (where.user, where.directory))

    def test_without_user_or_directory(self):
        for url, missing in (
            ('ftp://h', 'user'),
            ('ftp://h/in', 'user'),
            ('ftps://@h/in', 'user'),
            ('ftp://%20%20@h/in', 'user'),
            ('ftp://h//', 'user'),
            ('ftp://me@h', 'directory'),
            ('ftpes://me@h/', 'directory'),
            ('ftp://me@h:2121/', 'directory'),
            ('sftp://h/in', 'user'),
            ('sftp://me@h', 'directory'),
        ):
            with self.assertRaisesRegex(errors.UsageError, f'no {missing}$', msg=url) as caught:
                urls.location(url)
            self.assertIn(f' {url.partition(":")[0]}://', caught.exception.hint)

    def test_the_scheme_says_how_it_is_encrypted(self):
        for scheme, tls in (('ftp', None), ('ftpes', 'explicit'), ('ftps', 'implicit')):
            self.assertEqual(tls, urls.location(f'{scheme}://me@h/in').tls)

    def test_a_password_is_refused_and_not_repeated(self):
        for url in (
            'ftp://me:testpw@h/',
            'ftpes://me:testpw@h/',
            'ftps://me:testpw@h/',
            'ftp://me:@h/',
            'ftp://me:testpw@h:x/',
            'ftp://a:testpw@b@h/',
            'ftp://me:12/testpw@h/',
            'ftp://me:testpw#1@h/',
            'ftp:/me:testpw@h/',
            'ftp://me%3Atestpw@h/in',
            'me:testpw@h/',
            'me:testpw',
        ):
            with self.assertRaises(errors.UsageError) as caught:
                urls.location(url)
            self.assertNotIn('testpw', str(caught.exception))

    def test_a_scheme_that_is_not_ours_is_named_as_what_is_wrong(self):
        with self.assertRaisesRegex(errors.UsageError, 'not the URL of a directory'):
            urls.location('scp://me@h:22/in')

    def test_what_is_no_url(self):
        for url in (
            '',
            'h',
            'http://h/',
            'ftp:///x',
            'ftp://h:0/',
            'ftp://h:99999/',
            'ftp://h/?a=b',
            'ftp:/me@h/in',
            'ftp:me@h/in',
            'FTPES:me@h:21/in',
            'ftp:///me@h/in',
            'ftp://me@h:/in',
            'ftp://me@ftp://h/in',
            'ftp://me@h\\b/in',
            'ftp://me@\\h/in',
        ):
            with self.assertRaisesRegex(errors.UsageError, 'not the URL|The port', msg=url):
                urls.location(url)


class DateTests(unittest.TestCase):
    def test_a_timestamp_is_utc(self):
        self.assertEqual(datetime.UTC, text.from_timestamp(0).tzinfo)
