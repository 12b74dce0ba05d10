"""The races of `test_races` and `test_races_import` over SFTP, and by FTP and SFTP at once.

A partner by hand takes part in the latter: he looks, and then stores, as people do.
"""

import contextlib
import os
import pathlib
import threading
import unittest

from zeit.cds.testing import layers
from zeit.cds.testing.servers import ProFTPDServer
from zeit.cds.tests.test_races import EXPORTERS, ROUNDS, Races
from zeit.cds.tests.test_races_import import ImportRaces


class OverSFTP:
    """Mixin: everybody comes by SFTP.  A login takes a server ten times as long as by FTP."""

    rounds = 1 + ROUNDS // 3
    # Those who announce a lock wait for seconds: level 3.
    test_some_may_not_make_directories = None

    def place(self, number):
        return {
            'host': self.server.host,
            'port': self.server.port,
            'user': self.server.user,
            'directory': self.server.directory,
            'known_hosts': str(self.server.known_hosts),
            'ssh_key': str(self.server.client_key),
        }


class OpenSSHRaces(OverSFTP, Races, unittest.TestCase):
    layer = layers.OPENSSH


class UnguardedRaces(OverSFTP, Races, unittest.TestCase):
    layer = layers.OPENSSH
    level = 3
    test_some_may_not_make_directories = Races.test_some_may_not_make_directories


class RcloneRaces(OverSFTP, Races, unittest.TestCase):
    """It merges directories, replaces by RENAME, and lets several create one name.

    Locks are announced there, and who announces one waits for seconds.
    """

    level = 3
    layer = layers.RCLONE_SFTP
    test_some_may_not_make_directories = Races.test_some_may_not_make_directories


class OpenSSHImportRaces(OverSFTP, ImportRaces, unittest.TestCase):
    layer = layers.OPENSSH


class MixedRaces(OverSFTP, Races, unittest.TestCase):
    """One directory, which ProFTPD serves by FTP to half of them, by SFTP to the others."""

    layer = layers.PROFTPD_SFTP

    def setUp(self):
        super().setUp()
        self.other = self.enterContext(
            ProFTPDServer(root=self.server.root, allow_overwrite=True)
        )

    def place(self, number):
        if number % 2:
            return {'host': self.other.host, 'port': self.other.port}
        return super().place(number)

    def test_a_partner_by_hand(self):
        """He keeps to the convention: while he has a lock, nobody of us has one that came after."""
        spools = [
            [self.spool(f'{number}-{turn}', f'{number}-{turn}.xml') for turn in range(self.rounds)]
            for number in range(EXPORTERS)
        ]
        partner = Partner(self.server.root, diary=pathlib.Path(self.folder, 'diary'))
        with partner:
            found = self.race([[str(spool.path) for spool in own] for own in spools])
        self.assert_codes(found, made=0)  # he is there most of the time
        self.assertGreater(partner.times, 0)
        self.assertEqual([], partner.strangers)
        self.check_diary()
        self.finish([spool for own in spools for spool in own])


class Partner:
    """Locks the directory again and again, by a program of his own on the server's machine.

    He creates `write` exclusively, looks whether `read` is there, and goes away; what our exporters
    have meanwhile, they have made before, or not at all.  `strangers` are names of files that came
    while he had the lock for good.
    """

    def __init__(self, root, *, diary):
        self._root = root
        self._diary = diary
        self._stop = threading.Event()
        self.times = 0
        self.strangers = []

    def __enter__(self):
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        self._thread.join()

    def _work(self):
        while not self._stop.wait(0.03):
            with contextlib.suppress(FileExistsError):
                with open(self._root / 'write', 'xb') as file:
                    file.write(b'partner')
                self._inside()
                (self._root / 'write').unlink()

    def _inside(self):
        self.times += 1
        before = self._articles()
        self._stop.wait(0.02)
        self.strangers += self._articles() - before

    def _articles(self):
        return {name for name in os.listdir(self._root) if name.endswith('.xml')}
