"""Publications and retractions, in any order, by real celery: the partner has what the CMS has.

The FTP server ends in the middle of them, and comes back.
"""

import collections
import contextlib
import os
import pathlib
import random
import signal

import transaction
from inotify_simple import INotify, flags

from zeit.cds.cli.receipts import receipts
from zeit.cds.drivers.tests.test_drivers import BY_CELERY, TIMEOUT, ApplicationCase
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.tests import application, diary
from zeit.cds.tests.sampling import SEED


#: How many contents there are, and what happens to them.
CONTENTS = 20
PUBLISH, RETRACT, ABORT = 'publish', 'retract', 'retract, and abort'
ACTIONS = [PUBLISH] * 100 + [RETRACT] * 50 + [ABORT] * 10

#: The server is away for so many of these, and there for so many before and afterwards, at least.
AWAY, THERE = 60, 20

#: How often a process of the workers is killed before an action.
KILLS = 0.1


class InterleavedTests(ApplicationCase):
    """With vsftpd."""

    level = 2

    #: Whether what was delivered and is retracted is deleted.
    deletes = False

    def setUp(self):
        super().setUp()
        # One that may be gone for a while is no server of the layer.
        self.server = self.enterContext(type(self.server)())
        self.seed = SEED
        self.celery(workers=4, more=BY_CELERY + application.DELETE * self.deletes)
        self.spool = Spool(self.folder / 'spool')
        #: Versions of each content, in their order, as they are sent.
        self.versions = collections.defaultdict(list)
        #: What zeit.cms has published, by name.
        self.published = {}
        #: What was published while no server was there; what was retracted, and before it was sent.
        self.late, self.retracted, self.recalled = set(), set(), set()

    def act(self, action, name, text):
        """Do something to a content; `text` is its new one, if it is published."""
        transaction.begin()
        if action == PUBLISH:
            application.publish(name, text=text)
            self.versions[name].append(version := f'<article>{text}</article>')
            if not self.server.running:
                self.late.add(version)
        else:
            application.retract(name)
        if action == ABORT:
            transaction.abort()
            return
        transaction.commit()
        if action == PUBLISH:
            self.published[name] = version
        if action == RETRACT:
            self.published.pop(name, None)
            self.retracted.update(self.versions[name])
            if not self.server.running:
                self.recalled |= self.late.intersection(self.versions[name])

    def is_done(self):
        found = self.spool.status()
        left = found.waiting or found.filing or found.in_doubt or found.active
        left = left or found.numbers.retracted
        return not left and 'write' not in self.remote()

    def check(self, name, versions):
        """Compare what the partner has, and what the receipts tell, with what was published."""
        file = f'{{urn:uuid:{name}}}.xml'
        told = [*receipts(self.spool, name=file)]
        found = [(each['content_version'], each['kind']) for each in told if 'outcome' not in each]
        delivered = [version for version, kind in found if kind == 'delivered']
        # In their order, each but once, and either the one or the other.
        self.assertEqual([each for each in versions if each in delivered], delivered)
        self.assertEqual(len(found), len(dict(found)))
        self.assertEqual(set(), self.recalled.intersection(delivered))
        # Only a newer version may keep one from having an end.
        self.assertIn(versions[-1], dict(found))
        if versions[-1] not in self.retracted:
            self.assertEqual(versions[-1], delivered[-1])
        there = [path.read_text() for path in self.server.root.glob('*.xml') if path.name == file]
        kept = delivered[-1:]
        if self.deletes:
            kept = [self.published[name]] if name in self.published else []
        self.assertEqual(kept, there)

    def test_the_partner_has_what_is_published(self):
        chance = random.Random(self.seed)
        begin = chance.randrange(THERE, len(ACTIONS) - AWAY - THERE)
        for number, action in enumerate(chance.sample(ACTIONS, len(ACTIONS))):
            if number == begin:
                self.server.pause()
            elif number == begin + AWAY:
                self.server.start()
            self.disturb(number, chance)
            name = str(chance.randrange(CONTENTS))
            self.act(action, name, f'{name} {number}')
        self.heal()
        self.wait_until(self.is_done, self.worker)
        self.worker.stop()
        for name, versions in self.versions.items():
            with self.subTest(name, seed=self.seed):
                self.check(name, versions)
        self.assertTrue(self.recalled)
        self.assertEqual(([], []), (self.spool.status().unpublished, self.spool.status().parked))
        self.check_runs()

    def disturb(self, number, chance):
        """Do something before the action with this number."""

    def heal(self):
        """Do what it takes so that all ends well."""

    def check_runs(self):
        """Check what can be told of all runs."""
        runs, _ = diary.check(self, self.diary)
        self.assertGreater(runs, 1)


class PyftpdlibTests(InterleavedTests):
    """With pyftpdlib."""

    layer = layers.PYFTPD


class DeletedTests(InterleavedTests):
    """What is retracted is deleted: the partner has what is published, and no more."""

    deletes = True


class PyftpdlibDeletedTests(DeletedTests):
    """The same with pyftpdlib."""

    layer = layers.PYFTPD


class KilledTests(DeletedTests):
    """Workers are killed at any moment, one by one and all at once; messages are lost."""

    def start_worker(self):
        super().start_worker()
        log = self.folder / 'daemon.log'
        with INotify() as changes:
            changes.add_watch(log, flags.MODIFY)
            while ' ready.' not in log.read_text():
                # Killed before that, its processes end celery itself.
                self.assertTrue(changes.read(timeout=1000 * TIMEOUT), log.read_text())

    def disturb(self, number, chance):
        if number == len(ACTIONS) // 3:
            self.redis.restart()
        workers = children(self.worker.pid)
        if number == len(ACTIONS) // 2:
            os.kill(*workers, signal.SIGKILL)
            self.worker.stop()
            self.start_worker()
        elif chance.random() < KILLS:
            processes = [pid for worker in workers for pid in children(worker)]
            with contextlib.suppress(IndexError, ProcessLookupError):
                os.kill(chance.choice(processes), signal.SIGKILL)
                self.killed += 1

    killed = 0

    def heal(self):
        self.assertGreater(self.killed, 3)
        # Its message is not lost.
        self.act(PUBLISH, 'last', 'last')

    def check_runs(self):
        """A run that was killed has no end."""


def children(pid):
    """Return the ids of the child processes of one, a list."""
    try:
        text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
    except FileNotFoundError:
        return []
    return [int(each) for each in text.split()]
