"""What the server says after an upload, and what follows from it."""

import unittest
from unittest import mock

from zeit.cds import errors
from zeit.cds.testing import faults
from zeit.cds.tests.scenario import SHORT, Scenario
from zeit.cds.values.run_options import Options


class FinalReplyTests(Scenario, unittest.TestCase):
    def final(self, *actions, **when):
        """Do this with the upload of a file (the lock file is one, too, but not meant)."""
        self.fault('STOR', *actions, path='*.part', **when)

    def test_10_a_250_is_as_good_as_a_226(self):
        self.final(faults.Lie('250 Fine.'))
        self.assert_run(0, 'a b', self.export('a', 'b'))

    def test_11_426_after_all_bytes_is_tried_again_and_nothing_else(self):
        self.final(faults.Lie('426 Connection closed; transfer aborted.'), times=1)
        self.assert_run(0, 'a b', self.export('a', 'b'))
        self.assertEqual(3, len(self.server.commands('STOR')) - 1)

    def test_11_426_each_time_is_no_delivery(self):
        self.final(faults.Lie('426 Connection closed; transfer aborted.'))
        self.assert_run(1, '', self.export('a'))
        self.assertIn('426 Connection closed', self.log)
        self.heal()

    def test_12_450_and_451_are_no_delivery(self):
        for reply in ('450 No.', '451 Failure writing to local file.'):
            with self.subTest(reply):
                self.prepare()
                self.final(faults.Lie(reply), times=1)
                self.assert_run(1, 'b', self.export('a', 'b'))
                self.assertEqual(['a'], self.section('new'))
                self.assertIn(f'Not delivered: a: {reply.rstrip(".")}', self.log)
                self.heal()

    def test_12_a_full_disk_says_451_and_costs_no_file(self):
        """vsftpd, ProFTPD and Pure-FTPd: every file is refused, run after run."""
        self.final(faults.Lie('451 Failure writing to local file.'))
        names = 'abcdefgh'
        with mock.patch('zeit.cds.run.failures.APART', 0):
            report = self.export(*names)
            for _ in range(6):
                self.assert_run(69, '', report)
                self.assertEqual(4, self.log.count('Uploading: '))
                self.assertIn('often a full disk: ask its operator', self.log)
                report = self.export()
        self.assertEqual((list(names), []), (self.section('new'), self.section('parked')))
        self.heal()

    def test_13_a_full_server_ends_the_run(self):
        for reply in ('452 Insufficient storage.', '552 Quota exceeded.'):
            for action in (faults.Lie(reply), faults.Reply(reply)):
                with self.subTest(action):
                    self.prepare()
                    self.final(action)
                    self.assert_run(69, '', self.export(*'abcdefgh'))
                    self.assertIn('The server has no room', str(self.report_notes()))
                    self.assertEqual(4, self.log.count('Uploading'))
                    self.heal()

    def report_notes(self):
        return [record.exc_info[1].__notes__ for record in self.records if record.exc_info]

    def test_13_no_room_for_the_lock(self):
        self.fault('STOR', faults.Reply('452 Insufficient storage.'))
        self.assert_run(69, '', self.export('a'))
        self.heal()

    def test_16_after_no_reply_the_size_decides_over_a_new_connection(self):
        self.final(faults.Silence('executed'), times=1)
        self.assert_run(0, 'a', self.export('a', **SHORT))
        self.assertEqual([0, 0], self.server.connections('STOR'))
        self.assertEqual([1], self.server.connections('RNTO')[2:])

    def test_16_the_size_decides_for_a_lock_as_well(self):
        self.fault('STOR', faults.Silence('executed'), path='*/write.*', times=1)
        self.assert_run(0, 'a', self.export('a', **SHORT))

    def test_16_after_no_reply_half_a_file_is_no_delivery(self):
        self.final(faults.Alter(keep=7), faults.Silence('executed'))
        self.assert_run(1, '', self.export('a', **SHORT))
        self.assertIn('the server has 7 bytes', self.log)
        self.heal()

    def test_16_without_a_size_check_silence_is_no_delivery(self):
        self.final(faults.Silence('executed'))
        self.assert_run(1, '', self.export('a', **SHORT, size_check=False))
        self.assertIn('No final reply to the upload', self.log)
        self.heal()

    def test_17_a_226_for_less_than_was_sent(self):
        self.final(faults.Alter(keep=7))
        self.assert_run(1, '', self.export('a'))
        self.assertIn('550 bytes were sent, but the server has 7 bytes', self.log)
        self.heal()

    def test_18_a_226_for_more_than_was_sent(self):
        self.final(faults.Alter(extra=b'?'))
        self.assert_run(1, '', self.export('a'))
        self.assertIn('550 bytes were sent, but the server has 551 bytes', self.log)
        self.heal()

    def test_19_a_server_that_tells_no_size(self):
        for reply, path, code in (
            ('500 What?', '*', 78),
            ('502 No SIZE.', '*', 78),
            ('402 No SIZE.', '*', 78),
            ('502 No SIZE.', '*.part', 1),  # it tells that of the lock
            ('550 Not allowed.', '*.part', 1),
        ):
            with self.subTest(reply, path=path):
                self.prepare()
                self.fault('SIZE', faults.Reply(reply), path=path)
                self.fault('MLSD', faults.Reply('502 No facts.'))
                self.assert_run(code, '', self.export('a', 'b'))
                # Where no file can be confirmed, no other one is sent in vain.
                self.assertEqual(code == 78, 'Uploading: b' not in self.log)
                self.heal()

    def test_19_what_is_unknown_for_one_file_only_is_a_refusal_of_that_file(self):
        for code in 500, 501, 502, 504, 522:
            for verb in 'SIZE', 'RNFR', 'RNTO':
                with self.subTest(code, verb=verb):
                    self.prepare()
                    self.fault(verb, faults.Reply(f'{code} What?'), path='/cds/a*')
                    with mock.patch('zeit.cds.run.failures.APART', 0):
                        self.assert_run(1, 'b c', self.export('a', 'b', 'c'))
                        options = Options(order='name', park_after=2)
                        self.assert_run(1, 'd', self.export('d', run=options))
                    self.assertEqual(['a'], self.section('parked'))

    def test_19_nobody_is_parked_for_what_the_server_cannot_do(self):
        self.fault('SIZE MLSD', faults.Reply('500 What?'))
        for number in range(7):
            self.assert_run(78, '', self.export(*'a' if number == 0 else ''))
        self.assertEqual(['a'], self.section('new'))

    def test_19_without_a_size_check_size_is_not_needed(self):
        for reply in ('500 What?', '550 Not allowed.'):
            with self.subTest(reply):
                self.prepare()
                self.fault('SIZE', faults.Reply(reply))
                self.assert_run(0, 'a b', self.export('a', 'b', size_check=False))

    def test_19_nonsense_for_a_size_is_no_delivery(self):
        for text in 'many', '', '-1', '549 bytes', '550 KB', '٣', '9' * 30:
            reply = f'213 {text}'
            with self.subTest(reply):
                self.prepare()
                self.fault('SIZE', faults.Reply(reply), path='*.part')
                self.assertEqual([], self.export('a').delivered)
                self.heal()

    def test_20_binary_mode_comes_before_anything_that_depends_on_it(self):
        self.final(faults.Cut('executed'), times=1)
        self.assert_run(0, 'a', self.export('a'))
        for number in range(self.server.connected):
            verbs = [line.split()[0] for line in self.server.commands(connection=number)]
            asked = {'FEAT', 'SYST', 'EPSV'}  # what the server is, and a port
            verbs = [verb for verb in verbs if verb not in asked]
            self.assertEqual(['USER', 'PASS', 'TYPE', 'CWD'], verbs[:4])

    def test_21_replies_in_single_bytes(self):
        self.fault(faults.GREETING, faults.Chop(pause=0.0001))
        self.fault('*', faults.Chop(pause=0.0001))
        self.assert_run(0, 'a', self.export('a'))

    def test_21_lines_that_end_with_a_line_feed_only(self):
        self.fault(faults.GREETING, faults.LineFeed())
        self.fault('*', faults.LineFeed())
        self.assert_run(0, 'a b', self.export('a', 'b'))

    def test_21_several_lines_with_digits_inside(self):
        self.fault('PASS', faults.Lie('230-Hello\n226 friends\n230-there\n 230 are\n230 all.'))
        self.final(faults.Lie('226-150 blocks\n451 free\n226 Done.'))
        self.assert_run(0, 'a b', self.export('a', 'b'))

    def test_21_twenty_kilobytes_in_many_lines_are_a_reply(self):
        text = '\n'.join(['230-' + 'x' * 196] * 100)
        self.fault('PASS', faults.Lie(f'{text}\n230 Hello.'))
        self.assert_run(0, 'a', self.export('a'))

    def test_21_what_has_no_bounds_is_no_reply(self):
        for text in (b'230 ' + b'x' * 20_000, b'230-\r\n' * 100_000, b'\0' * 300_000):
            with self.subTest(text[:8]):
                self.prepare()
                self.fault('PASS', faults.Reply(text))
                report = self.export('a')
                self.assert_run(69, '', report)
                self.assertIsInstance(report.error, errors.RemoteProtocolError)
                self.assertLess(max(map(len, self.log.splitlines())), 1000)
                self.heal()

    def test_no_reply_can_forge_a_log_or_rule_a_terminal(self):
        nasty = b'\x1b[31mred\rERROR forged\x07\x00\xff' + b'x' * 10_000 + b'\r\n'
        for verb, path, code in (
            ('STOR', '*.part', b'550 '),
            ('STOR', '*.part', b'452 '),
            ('STOR', '*.part', b'350 '),
            ('STOR', '*.part', b'\xff'),
            ('PASS', '*', b'530 '),
            ('SIZE', '*.part', b'213 '),
            ('CWD', '*', b'550 '),
        ):
            with self.subTest(verb=verb, code=code):
                self.prepare()
                self.fault(verb, faults.Reply(code + nasty), path=path)
                self.export('a')  # which looks at the log
                self.assertIn('[31mred', self.log)

    def test_22_both_connections_end_before_all_was_stored(self):
        for reset in (True, False):
            for after in (0, 5):
                with self.subTest(after, reset=reset):
                    self.prepare()
                    self.final(faults.CutData(after, control=True, reset=reset))
                    report = self.export('a')
                    self.assertEqual((1, []), (report.exit_code, report.delivered), self.log)
                    self.heal()

    def test_16_a_final_reply_that_is_too_late_is_told(self):
        """The server shows nothing under the name while it scans what it got."""
        hidden = {}

        def hide(event):
            hidden[event.path] = event.server.files[event.path]
            event.server.delete(event.path)

        def show(event):
            event.server.put(event.path, hidden[event.path])

        self.fault(
            'STOR',
            faults.Call(hide, moment='executed'),
            faults.Delay(seconds=1),
            faults.Call(show, moment='executed'),
            path='*.part',
        )
        report = self.export('a', **SHORT, garbage=1)
        self.assertEqual(1, report.exit_code)
        ((_, reason),) = report.failed
        self.assertRegex(reason, 'No final reply .* within 0.3 s .* has no file.*--reply-timeout')

    def test_16_a_connection_that_breaks_instead_is_told_too(self):
        self.fault('STOR', faults.Alter(keep=3), faults.Cut('executed'), path='*.part')
        ((_, reason),) = self.export('a').failed
        self.assertRegex(reason, 'No final reply to the upload: .*; .* but the server has 3 bytes')
        self.assertNotIn('--reply-timeout', reason)

    def test_23_421_instead_of_226_is_no_delivery(self):
        self.final(faults.Lie('421 Closing.'))
        self.assert_run(1, '', self.export('a'))
        self.assertEqual([0, 1], self.server.connections('STOR')[1:])
        self.heal()


class LockRefusedTests(Scenario, unittest.TestCase):
    """The directory is there, but the lock file cannot be made in it."""

    def test_a_directory_in_which_the_user_may_not_write(self):
        for verb, reply in (
            ('MKD STOR', '550 Permission denied'),  # ProFTPD
            ('MKD STOR', '553 Could not create file.'),  # vsftpd
            ('STOR', "553 Can't open that file: Permission denied"),  # Pure-FTPd
        ):
            with self.subTest(reply):
                self.prepare()
                self.fault(verb, faults.Reply(reply))
                report = self.export('a')
                self.assert_run(78, '', report)
                self.assertIn(reply.rstrip('.'), report.error.advice)
                self.assertIn('let the user create, rename and delete files', report.error.advice)
                self.heal()

    def test_no_room_even_for_that(self):
        self.fault('STOR', faults.Lie('451 Failure writing to local file.'))
        report = self.export('a')
        self.assert_run(69, '', report)
        self.assertIn('often a full disk', report.error.advice)
        self.heal()


class TLSDemandedTests(Scenario, unittest.TestCase):
    def test_a_login_in_clear_that_is_refused(self):
        for verb, reply, code in (
            ('USER', '530 Non-anonymous sessions must use encryption.', 77),  # vsftpd
            ('USER', '550 SSL/TLS required on the control channel', 77),  # ProFTPD
            ('USER', '421 Cleartext sessions are not accepted, reconnect using TLS', 69),
        ):
            with self.subTest(reply):
                self.prepare()
                self.fault(verb, faults.Reply(reply))
                report = self.export('a')
                self.assert_run(code, '', report)
                self.assertIn('The server demands TLS: ftpes://', report.error.advice)
                self.assertIn('The server demands TLS: ftpes://', '/'.join(report.error.__notes__))
                self.assertNotIn('Check user and password', report.error.advice)
