"""The units and snippets for a Debian system, as systemd reads them."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from zeit.cds.cli.commands import group
from zeit.cds.testing import daemon, layers
from zeit.cds.tests import docs


UNITS = docs.TOP / 'docs' / 'systemd'
PACKAGING = docs.TOP / 'docs' / 'packaging'
COMMAND = '/opt/zeit.cds/bin/zeit-cds'
TIMEOUT = 60


class UnitTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        docs.require(self, 'README.txt')
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        # Without blanks, whatever path this is run in: a unit would have to quote them.
        self.command = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), 'zeit-cds')
        os.symlink(sys.executable, self.command)

    def run_tool(self, name, *arguments, **environ):
        """Return exit code and output of a program of systemd, or skip the test with one line."""
        try:
            path = daemon.find_program('systemd', 'usr', 'bin', name)
        except daemon.ServerUnavailable as error:
            self.skipTest(str(error))
        process = subprocess.run(
            [path, *map(str, arguments)],
            env={'PATH': os.environ['PATH'], 'LANG': 'C', **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        return process.returncode, process.stdout

    def verify(self, before='', after=''):
        """Return what systemd-analyze says of all units, with a command that there is.

        In place of `before` they have `after`.
        """
        for path in UNITS.iterdir():
            text = path.read_text().replace(COMMAND, self.command)
            (self.folder / path.name).write_text(text.replace(before, after) if before else text)
        # Of a template one instance, as it is started.
        names = [
            path.name.replace('@.', '@zeit-cds-export.service.') for path in sorted(UNITS.iterdir())
        ]
        unpacked = daemon.servers_directory() / 'systemd'
        unpacked = [unpacked / top / 'systemd' / 'system' for top in ('lib', 'usr/lib')]
        return self.run_tool(
            *('systemd-analyze', 'verify', '--man=no', '--generators=no', *names),
            SYSTEMD_UNIT_PATH=':'.join([*map(str, [self.folder, *unpacked]), '']),
        )

    def test_systemd_finds_nothing_wrong(self):
        code, said = self.verify()
        ours = [line for line in said.splitlines() if 'zeit-cds' in line]
        self.assertEqual(([], 0), (ours, code), said)

    def test_it_would_find_something(self):
        for before, after in (
            ('Type=oneshot', 'Type=onceshot'),
            ('OnCalendar=*:0/5', 'OnCalendar=*:0/five'),
            ('TimeoutStopSec=', 'TimeoutStopSecs='),
            (self.command, '/no/such/command'),
        ):
            with self.subTest(after):
                _, said = self.verify(before, after)
                self.assertRegex(said, '(?m)^.*zeit-cds.*$')

    def test_each_command_is_one_of_ours(self):
        for path in UNITS.glob('*.service'):
            for line in re.findall(rf'{re.escape(COMMAND)} ([^>;\n]+)', path.read_text()):
                words = [word for word in line.split() if not word.startswith('-')]
                self.assertIn(words[0], group.NAMES, path.name)

    def test_each_unit_that_does_something_has_an_alarm_and_a_timer(self):
        for path in UNITS.glob('zeit-cds-*.service'):
            text = path.read_text()
            if '@' in path.name:
                continue
            if 'WantedBy=' not in text:
                self.assertTrue(path.with_suffix('.timer').exists(), path.name)
            if 'metrics' not in path.name:  # Prometheus tells of that
                self.assertIn('OnFailure=zeit-cds-alarm@%n.service', text)

    def test_user_and_directories(self):
        """They are made in a folder that is the root for a moment."""
        for kind in 'sysusers', 'tmpfiles':
            text = (PACKAGING / f'{kind}.conf').read_text()
            if os.getuid():
                # Who may not give files away has them.
                text = re.sub(r' (root|cds) cds -', ' - - -', text)
            (self.folder / f'{kind}.conf').write_text(text)
        (self.folder / 'etc').mkdir()
        code, said = self.run_tool(
            'systemd-sysusers', f'--root={self.folder}', self.folder / 'sysusers.conf'
        )
        self.assertEqual(0, code, said)
        for name, line in ('passwd', 'cds:.*:/var/spool/cds:'), ('group', 'cds:'):
            self.assertRegex((self.folder / 'etc' / name).read_text(), f'(?m)^{line}')
        code, said = self.run_tool(
            *('systemd-tmpfiles', '--create', f'--root={self.folder}', '--exclude-prefix=/var/lib'),
            self.folder / 'tmpfiles.conf',
        )
        self.assertEqual(0, code, said)
        for name, mode in (
            ('var/spool/cds/new', 0o2770),
            ('etc/zeit.cds', 0o750),
            ('etc/zeit.cds/password', 0o600),
            ('var/log/zeit.cds', 0o750),
        ):
            self.assertEqual(mode, (self.folder / name).stat().st_mode & 0o7777, name)
