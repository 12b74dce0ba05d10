"""The log file of `export`: its lines, its end with the call, who puts it away, its failures."""

import concurrent.futures
import contextlib
import grp
import logging
import os
import pathlib
import pwd
import stat
import subprocess
import threading
import unittest
from unittest import mock

from zeit.cds import main
from zeit.cds.system.logs import LogFile, handling, log_to
from zeit.cds.testing.daemon import find_program
from zeit.cds.testing.layers import PYFTPD, ServerTests
from zeit.cds.tests.maincase import MainCase, closed_port, quiet
from zeit.cds.values.report import Report


#: Seconds after which a test gives up.
TIMEOUT = 30

DOCS = pathlib.Path(__file__).resolve().parents[4] / 'docs'


@contextlib.contextmanager
def writer(path):
    """Yield a function that writes a line as another process does: by a handler of its own."""
    handler = LogFile(path, program='zeit.cds')
    try:
        yield lambda text: handler.handle(
            logging.LogRecord('zeit.cds', logging.INFO, __file__, 1, text, None, None)
        )
    finally:
        handler.close()


def messages(path):
    return [line.partition(' INFO ')[2] for line in path.read_text().splitlines()]


class LogFileTest(MainCase, ServerTests, unittest.TestCase):
    layer = PYFTPD

    def setUp(self):
        super().setUp()
        self.path = self.directory / 'logs' / 'cds.log'
        self.path.parent.mkdir()

    def export(self, path=None):
        return self.call(main.cds_export, logfile=str(path or self.path))

    def test_the_lines_are_in_it_with_their_time(self):
        self.publish('a')
        self.assertEqual(0, self.export())
        lines = self.path.read_text().splitlines()
        self.assertEqual(10, len(lines))
        self.assertRegex(
            lines[-1], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO Exiting with success\.$'
        )

    def test_two_calls_at_once_have_a_file_each_and_leave_nothing_behind(self):
        """Whichever ends first; also where they begin in each other."""
        logger = logging.getLogger('zeit.cds')
        for first in ('a', 'b'):
            with self.subTest(first=first):
                before = logger.level, logger.handlers[:]
                begun = {'a': threading.Event(), 'b': threading.Event()}
                ended = {'a': threading.Event(), 'b': threading.Event()}

                def run_once(exporter, first=first, begun=begun, ended=ended):
                    name = exporter.spool.path.name
                    begun[name].set()
                    other = 'b' if name == 'a' else 'a'
                    self.assertTrue(begun[other].wait(TIMEOUT))
                    logging.getLogger('zeit.cds.x').info('one of %s', name)
                    if name != first:
                        self.assertTrue(ended[first].wait(TIMEOUT))
                    logging.getLogger('zeit.cds.x').info('two of %s', name)
                    worker = threading.Thread(
                        target=logging.getLogger('zeit.cds.x').info, args=(f'worker of {name}',)
                    )
                    worker.start()
                    worker.join()
                    return Report()

                def call(name, ended=ended, first=first):
                    path = self.directory / f'{first}{name}.log'
                    try:
                        main.export(self.directory / name, 'h', 21, 'u', 'p', '/', str(path))
                    finally:
                        ended[name].set()

                with mock.patch.object(main.Exporter, 'run_once', run_once):
                    with concurrent.futures.ThreadPoolExecutor(2) as pool:
                        for done in [pool.submit(call, name) for name in ('a', 'b')]:
                            done.result(TIMEOUT)
                self.assertEqual(before, (logger.level, logger.handlers))
                for name, other in (('a', 'b'), ('b', 'a')):
                    found = messages(self.directory / f'{first}{name}.log')
                    own = [f'one of {name}', f'two of {name}', f'worker of {name}']
                    self.assertEqual(own, [line for line in found if line in own])
                    self.assertFalse({f'one of {other}', f'two of {other}'} & {*found})

    def test_a_line_that_is_written_while_another_call_ends_is_in_its_file(self):
        """A call that ends takes its handler out of the list that the line is going through."""
        logger, other = logging.getLogger('zeit.cds'), contextlib.ExitStack()

        class Ending(logging.NullHandler):
            def handle(self, record):
                other.close()

        other.enter_context(handling(Ending(), level=logging.INFO))
        with log_to(self.path):
            logger.info('one')
            self.assertEqual(['one'], messages(self.path))

    def test_a_line_that_comes_after_the_end_does_not_open_it_again(self):
        with writer(self.path) as write:
            pass
        write('late')
        self.assertEqual('', self.path.read_text())

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

    def test_an_old_one_stays_where_it_is(self):
        self.export()
        then = self.path.stat().st_mtime - 8 * 86400
        os.utime(self.path, (then, then))
        self.export()
        self.assertEqual(2, self.path.read_text().count('Exiting with success.'))
        self.assertEqual([self.path], [*self.path.parent.iterdir()])

    def test_processes_lose_no_line_when_it_is_put_away(self):
        writers = [self.enterContext(writer(self.path)) for _ in range(2)]
        old = self.path.with_name('cds.log.1')
        for number, write in enumerate(writers):
            write(f'{number} before')
        self.path.rename(old)
        for number, write in enumerate(writers):
            write(f'{number} after')
        self.assertEqual(['0 before', '1 before'], messages(old))
        self.assertEqual(['0 after', '1 after'], messages(self.path))

    def test_one_that_cannot_be_opened_anew_stops_nobody(self):
        with writer(self.path) as write, quiet() as (_, err):
            self.path.unlink()
            self.path.parent.rmdir()
            write('lost')
            write('lost, too')
            self.assertEqual(1, err.getvalue().count('Cannot write to the log file'))
            self.path.parent.mkdir()
            write('there again')
            self.assertEqual(['there again'], messages(self.path))
            self.path.unlink()
            self.path.parent.rmdir()
            write('lost once more')
            self.assertEqual(2, err.getvalue().count('Cannot write to the log file'))

    def test_logrotate_does_what_the_file_for_it_says(self):
        logrotate = find_program('logrotate', 'usr', 'sbin', 'logrotate')
        given = DOCS / 'logrotate' / 'zeit-cds'
        text = given.read_text().replace('/var/log/zeit.cds/log', str(self.path))
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        conf = self.directory / 'conf'
        conf.write_text(text.replace('su cds cds', f'su {user} {group}'))
        with writer(self.path) as write:
            write('before')
            subprocess.run(
                [logrotate, '--force', '--state', self.directory / 'state', conf], check=True
            )
            write('after')
        self.assertEqual(['after'], messages(self.path))
        self.assertEqual(['before'], messages(self.path.with_name('cds.log.1')))

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
