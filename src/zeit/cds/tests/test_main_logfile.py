"""The log file of `export`: its lines, its end with the call, its rotation, its failures."""

import datetime
import logging
import os
import pathlib
import stat
import unittest
from unittest import mock

from zeit.cds import main
from zeit.cds.testing.layers import PYFTPD, ServerTests
from zeit.cds.tests.maincase import MainCase, closed_port, quiet


class LogFileTest(MainCase, ServerTests, unittest.TestCase):
    layer = PYFTPD

    def setUp(self):
        super().setUp()
        self.path = self.directory / 'logs' / 'cds.log'
        self.path.parent.mkdir()

    def export(self, path=None):
        return self.call(main.cds_export, logfile=str(path or self.path))

    def rotated(self):
        return sorted(p.name for p in self.path.parent.iterdir() if p != self.path)

    def age(self, path, *, days):
        then = path.stat().st_mtime - days * 86400
        os.utime(path, (then, then))

    def test_the_lines_are_in_it_with_their_time(self):
        self.publish('a')
        self.assertEqual(0, self.export())
        lines = self.path.read_text().splitlines()
        self.assertEqual(10, len(lines))
        self.assertRegex(
            lines[-1], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO Exiting with success\.$'
        )

    def test_the_traceback_is_in_it(self):
        self.publish('a')
        self.call(main.export, port=closed_port(), logfile=str(self.path))
        text = self.path.read_text()
        self.assertIn('Traceback (most recent call last):', text)
        self.assertIn("FTPOSError: (111, 'Connection refused')", text)

    def test_a_second_call_appends(self):
        self.export()
        self.export()
        self.assertEqual(2, self.path.read_text().count('Exiting with success.'))
        self.assertEqual([], self.rotated())

    def test_the_handler_goes_with_the_call(self):
        def state():
            return [(logging.getLogger(n).level, logging.getLogger(n).handlers[:])
                    for n in ('', 'zeit', 'zeit.cds')]  # fmt: skip

        before = state()
        self.export()
        self.assertEqual(before, state())
        size = self.path.stat().st_size
        logging.getLogger('zeit.cds').error('Nobody writes this to the file.')
        self.assertEqual(size, self.path.stat().st_size)

    def test_info_is_written_without_any_configuration_of_logging(self):
        logging.getLogger('zeit.cds').setLevel(logging.NOTSET)
        with mock.patch.object(logging.getLogger(), 'level', logging.WARNING):
            self.export()
        self.assertIn('INFO Exiting with success.', self.path.read_text())

    def test_it_rotates_after_a_week(self):
        self.export()
        self.age(self.path, days=8)
        self.export()
        (name,) = self.rotated()
        self.assertRegex(name, r'^cds\.log\.\d{4}-\d\d-\d\d$')
        self.assertEqual(1, self.path.read_text().count('Exiting with success.'))
        self.assertEqual(1, self.path.with_name(name).read_text().count('Exiting with success.'))

    def test_five_old_ones_are_kept(self):
        monday = datetime.date(2020, 1, 6)
        names = [f'cds.log.{monday + datetime.timedelta(weeks=n)}' for n in range(7)]
        for name in names:
            self.path.with_name(name).write_text('old')
        self.export()
        self.age(self.path, days=8)
        self.export()
        self.assertEqual(5, len(self.rotated()))
        self.assertEqual(names[-4:], self.rotated()[:4])

    def test_one_that_cannot_be_written_stops_nobody(self):
        for number, path in enumerate((self.path / 'nowhere' / 'cds.log', self.directory)):
            with self.subTest(path), quiet() as (out, err):
                self.publish(f'a{number}')
                self.assertEqual(0, self.export(path))
                self.assertRegex(
                    err.getvalue(), r'\Azeit\.cds: warning: Cannot write to the log file .+\n\Z'
                )
                self.assertIn(str(path), err.getvalue())
                self.assertEqual('', out.getvalue())
                self.assertIn(f'a{number}', self.names('cur'))

    def test_one_on_a_full_disk_stops_nobody(self):
        full = pathlib.Path('/dev/full')
        if not full.exists() or not stat.S_ISCHR(full.stat().st_mode):
            self.skipTest('This system has no /dev/full')
        self.publish('a')
        with quiet() as (out, err):
            self.assertEqual(0, self.export(full))
        reason = r'.*/dev/full: No space left on device'
        self.assertRegex(err.getvalue(), rf'\Azeit\.cds: warning: {reason}\n\Z')
        self.assertEqual('', out.getvalue())
        self.assertEqual(['a'], self.names('cur'))
