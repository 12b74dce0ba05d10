"""Eight exporters, processes of their own, start at the same moment: one holds the lock at a time.

`ZEIT_CDS_RACES` says how many rounds there are on each server (default 10).
"""

import collections
import contextlib
import json
import logging
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time
import unittest

from zeit.cds.credentials import Secret
from zeit.cds.errors import PermanentError
from zeit.cds.journal import append_log
from zeit.cds.lock.lock import Lock
from zeit.cds.lock.lock_files import HELD
from zeit.cds.run.exporter import Exporter
from zeit.cds.sftp.target import SFTPTarget
from zeit.cds.spool.spool import Spool
from zeit.cds.target.ftp_session import FTPSession
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers


EXPORTERS = 8
ROUNDS = int(os.environ.get('ZEIT_CDS_RACES', '10'))

#: What vsftpd says when it ends a session because it has no port.
OOPS = 'vsf_sysutil_bind'

# Seconds until a process that says nothing is taken for a failure.
PATIENCE = 60


def race():
    """Be an exporter in a process of its own: a run for each line of standard input, a path."""
    place, diary, number, guarded = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    goal = _target(json.loads(place))
    if not int(guarded):
        _refuse_directories(FTPSession)
        if isinstance(goal, SFTPTarget):
            from zeit.cds.sftp.session import SFTPSession

            _refuse_directories(SFTPSession)
    _keep_diary(diary, number)
    for line in sys.stdin:
        report = Exporter(Spool(line.rstrip('\n')), goal).run_once()
        said = [] if report.error is None else [report.error.advice]
        said += map(repr, report.errors)
        print(json.dumps([report.exit_code, [*report.delivered], said]), flush=True)


def _refuse_directories(session_class):
    """Let the server refuse MKD, as far as a lock can see."""
    perform = session_class.perform

    def perform_but_for_directories(session, *commands, **options):
        if commands[0][0] == 'MKD':
            return [PermanentError(550, '550 Permission denied.')]
        return perform(session, *commands, **options)

    session_class.perform = perform_but_for_directories


def _target(place):
    """Return the target that has these options: by SFTP with a key, else by FTP."""
    if 'ssh_key' in place:
        return SFTPTarget.from_options(**place)
    return FTPTarget.from_options(**place, user='test', password=Secret('testpw'))


def _keep_diary(path, number):
    """Let every lock of this process write down when it is held."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    create, release = Lock.create, Lock.release

    def note(what):
        os.write(descriptor, f'{time.monotonic_ns()} {number} {what}\n'.encode('ascii'))

    def noted_create(lock):
        create(lock)
        note('begin')

    def noted_release(lock):
        if lock._state == HELD:
            note('end')
        return release(lock)

    Lock.create, Lock.release = noted_create, noted_release


class Races(layers.ServerTests):
    """The first `unguarded` exporters may not make directories."""

    level = 2
    rounds = ROUNDS
    unguarded = 0

    def place(self, number):
        """Return the options by which that exporter reaches the directory."""
        return {'host': self.server.host, 'port': self.server.port}

    def race(self, spools):
        """Let exporters run on `spools`, a list of a list for each; return who did what."""
        self.diary = pathlib.Path(self.folder, 'diary')
        found = []
        with contextlib.ExitStack() as stack:
            racers = [stack.enter_context(self.racer(number)) for number in range(len(spools))]
            for turn in zip(*spools, strict=True):
                for process, path in zip(racers, turn, strict=True):
                    process.stdin.write(f'{path}\n')
                for process in racers:
                    process.stdin.flush()
                for process in racers:
                    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
                    self.assertTrue(ready, 'A run has no end')
                    found.append(json.loads(process.stdout.readline()))
        return found

    @contextlib.contextmanager
    def racer(self, number):
        """An exporter in a process of its own, which ends with its standard input."""
        process = subprocess.Popen(
            [
                sys.executable,
                *('-c', 'from zeit.cds.tests.test_races import race; race()'),
                *(json.dumps(self.place(number)), str(self.diary)),
                *(str(number), str(int(number >= self.unguarded))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
        )
        with process:
            try:
                yield process
                process.stdin.close()
                self.assertEqual(0, process.wait(PATIENCE))
            finally:
                if process.poll() is None:
                    process.kill()

    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def spool(self, name, *files):
        spool = Spool(os.path.join(self.folder, name))
        spool.path.mkdir()
        for file in files:
            spool.put(file, f'This is {file}.'.encode('ascii'))
        return spool

    def assert_codes(self, found, *, made=1):
        """Each run was `made`, as many at least, or came too late; return how many a server ended.

        Sessions of vsftpd end by themselves where several of them are on a machine: the system
        gives two of them the same port, or none.
        """
        ended = [run for run in found if run[0] not in (0, 75) and OOPS in str(run[2])]
        odd = [run for run in found if run[0] not in (0, 75) and run not in ended]
        self.assertEqual([], odd, found)
        self.assertGreaterEqual([code for code, _, _ in found].count(0), made)
        return len(ended)

    def check_diary(self):
        """Never two inside; return how often somebody was."""
        inside, number = None, 0
        for line in sorted(self.diary.read_text().splitlines(), key=lambda li: int(li.split()[0])):
            _, who, what = line.split()
            self.assertEqual(inside, None if what == 'begin' else who, line)
            inside, number = (who, number + 1) if what == 'begin' else (None, number)
        self.assertIsNone(inside)
        return number

    def finish(self, spools):
        """Run once more for each spool; then all must have gone out, each file once."""
        goal = _target(self.place(0))
        expected = {}
        for spool in spools:
            report = Exporter(spool, goal).run_once()
            self.assertEqual(0, report.exit_code, report.errors)
            self.assertEqual([], os.listdir(spool.path / 'new'))
            for name in os.listdir(spool.path / 'cur'):
                expected[name] = (spool.path / 'cur' / name).read_bytes()
            sent = collections.Counter(
                entry['name']
                for entry in append_log.entries(spool.path / '.cds' / 'journal')
                if entry['kind'] == 'uploaded'
            )
            self.assertEqual({1}, set(sent.values()), sent)
        there = {p.name: p.read_bytes() for p in self.server.root.iterdir()}
        self.assertEqual(expected, there)

    def test_spools_of_their_own(self):
        spools = [
            [self.spool(f'{number}-{turn}', f'{number}-{turn}.xml') for turn in range(self.rounds)]
            for number in range(EXPORTERS)
        ]
        found = self.race([[str(spool.path) for spool in own] for own in spools])
        ended = self.assert_codes(found)
        made = [code for code, _, _ in found].count(0)
        self.assertIn(self.check_diary(), range(made, made + ended + 1))
        self.finish([spool for own in spools for spool in own])
        self.assertEqual(EXPORTERS * self.rounds, len(list(self.server.root.iterdir())))

    def test_some_may_not_make_directories(self):
        turns = range(-(-self.rounds // 3))  # they wait for one another, for seconds
        for unguarded in (EXPORTERS // 2, EXPORTERS):
            with self.subTest(unguarded=unguarded):
                for path in self.server.root.iterdir():
                    path.unlink()
                spools = [
                    [self.spool(f'{unguarded}-{number}-{turn}', f'{number}-{turn}.xml')
                     for turn in turns]
                    for number in range(EXPORTERS)
                ]  # fmt: skip
                paths = [[str(spool.path) for spool in own] for own in spools]
                self.unguarded = unguarded
                found = self.race(paths)
                self.assert_codes(found)
                self.check_diary()
                self.finish([spool for own in spools for spool in own])

    def test_one_spool(self):
        spools = [self.spool(str(turn), f'{turn}.xml') for turn in range(self.rounds)]
        found = self.race([[str(spool.path) for spool in spools]] * EXPORTERS)
        ended = self.assert_codes(found)
        delivered = collections.Counter(name for _, names, _ in found for name in names)
        names = {f'{turn}.xml' for turn in range(self.rounds)}
        self.assertEqual((set(), {1}), ({*delivered} - names, {*delivered.values()}))
        self.assertLessEqual(len(names - {*delivered}), ended)
        self.assertIn(self.check_diary(), range(self.rounds - ended, self.rounds + 1))
        self.finish(spools)


class PyFTPRaces(Races, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdRaces(Races, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDRaces(Races, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDRaces(Races, unittest.TestCase):
    layer = layers.PUREFTPD
