"""Publications and retractions at random, by two processes, where anything may fail: in the end the
partner has what is published.
"""

import contextlib
import datetime
import errno
import io
import os
import pathlib
import random
import tempfile
import time
import unittest
import unittest.mock

import transaction
import zope.component
import zope.component.testing
import zope.interface

from zeit.cds import scope
from zeit.cds.errors import FTPOSError
from zeit.cds.interfaces import (
    IContentFinder,
    IDeliverable,
    IPublisher,
    IRetraction,
    IScope,
    ISpool,
)
from zeit.cds.publish.outbox import Outbox
from zeit.cds.publish.publisher import Publisher
from zeit.cds.publish.transactions import TransactionScope
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget


#: The variable with the seed to begin with, and how many follow.
SEED, SEEDS = 'ZEIT_CDS_TEST_SEED', 50

#: What is done, and what may fail meanwhile.
PUBLISH, RETRACT, ABORT, SEVERAL = 'publish', 'retract', 'retract, and abort', 'several'
EXPORT, RETRY = 'export', 'retry'
ACTIONS = PUBLISH, PUBLISH, RETRACT, RETRACT, ABORT, SEVERAL, EXPORT, RETRY
DRAFT, JOURNAL = 'zeit.cds.system.files.draft', 'zeit.cds.journal.line_format._write'
ADAPTER, ANSWER, SERVER = 'adapter', 'answer', 'server'
FAULTS = (), (), (), (DRAFT,), (DRAFT, JOURNAL), (DRAFT, JOURNAL), (ADAPTER,), (ANSWER,), (SERVER,)


class IArticle(zope.interface.Interface):
    """Content of these tests."""


@zope.interface.implementer(IArticle)
class Article:
    def __init__(self, unique_id):
        self.uniqueId = unique_id


@zope.interface.implementer(IDeliverable, IRetraction)
class Adapter:
    """What an integrator writes, for an article of the `world`."""

    def __init__(self, world, article):
        self._world, self._id = world, article.uniqueId
        self.name = f'{article.uniqueId}.xml'

    @property
    def wanted(self):
        return self._id in self._world.published

    def open(self):
        self._world.require(ADAPTER)
        return io.BytesIO(self._world.published[self._id])

    @property
    def answer(self):
        self._world.require(ANSWER)
        return 'delete'


class World:
    """A CMS in two processes, each with its memory, and a partner."""

    def __init__(self, path, seed):
        self.chance = random.Random(seed)
        self.log = [seed]
        self.published = {}
        self.target = MemoryTarget()
        self.processes = [(Publisher(), Spool(path)) for _ in range(2)]
        self._failing = ()
        self._now = time.time()
        for interface in IDeliverable, IRetraction:
            zope.component.provideAdapter(
                lambda article: Adapter(self, article), (IArticle,), interface, 's'
            )
        zope.component.provideAdapter(Outbox)
        zope.component.provideUtility(TransactionScope(), IScope)
        zope.component.provideUtility(Article, IContentFinder)

    def require(self, what):
        if what in self._failing:
            raise OSError(f'{what} fails')

    def now(self):
        """Return a time that is later than all before."""
        self._now += 0.002
        return self._now

    def be(self, number):
        """Be a process; return its publisher, and a function that exports."""
        publisher, spool = self.processes[number]
        zope.component.provideUtility(spool, ISpool, name='s')
        zope.component.provideUtility(publisher, IPublisher)
        return publisher, Exporter(spool, self.target).run_once

    @contextlib.contextmanager
    def fault(self, *failing):
        """Let something fail inside, by a clock of our own."""
        self._failing = failing
        self.target.hook = self._hook
        moment = lambda: datetime.datetime.fromtimestamp(self.now(), datetime.UTC)  # noqa: E731
        with contextlib.ExitStack() as stack:
            stack.enter_context(unittest.mock.patch('time.time', self.now))
            stack.enter_context(unittest.mock.patch('zeit.cds.journal.append_log.now', moment))
            for name in {DRAFT, JOURNAL}.intersection(failing):
                error = OSError(errno.ENOSPC, 'full')
                stack.enter_context(unittest.mock.patch(name, side_effect=error))
            yield
        self._failing = ()

    def _hook(self, operation, name):
        if SERVER in self._failing:
            raise FTPOSError(errno.ECONNREFUSED, 'away')

    def act(self):
        action, fault = self.chance.choice(ACTIONS), self.chance.choice(FAULTS)
        number = self.chance.randrange(2)
        self.log.append((action, number, fault))
        publisher, export = self.be(number)
        self._now += self.chance.choice([1, 30, 100, 4000])
        with self.fault(*fault):
            if action in (EXPORT, RETRY):
                with scope.alone():
                    export() if action == EXPORT else publisher.retry_due()
                return
            transaction.begin()
            for _ in range(3 if action == SEVERAL else 1):
                single = self.chance.choice([PUBLISH, RETRACT]) if action == SEVERAL else action
                self._change(single, publisher)
            transaction.abort() if action == ABORT else transaction.commit()

    def _change(self, action, publisher):
        unique_id = self.chance.choice('ab')
        self.log.append((action, unique_id))
        if action == PUBLISH:
            self.published[unique_id] = str(len(self.log)).encode()
            publisher.publish(Article(unique_id))
        else:
            if action == RETRACT:
                self.published.pop(unique_id, None)
            publisher.retract(Article(unique_id))

    def heal(self):
        """Let nothing fail any more, and each process try again."""
        for number in 0, 1, 0, 1:
            publisher, export = self.be(number)
            with scope.alone(), self.fault():
                publisher.retry()
                export()


class RandomTests(unittest.TestCase):
    layer = layers.QUIET
    level = 2

    def test_the_partner_has_what_is_published(self):
        self.addCleanup(zope.component.testing.tearDown)
        self.addCleanup(transaction.abort)
        self.enterContext(self.assertLogs('zeit.cds'))  # which nobody reads
        first = int(os.environ.get(SEED, 0))
        for seed in range(first, first + SEEDS):
            zope.component.testing.setUp()
            with self.subTest(seed), tempfile.TemporaryDirectory() as folder:
                world = World(pathlib.Path(folder), seed)
                for _ in range(world.chance.randrange(3, 14)):
                    world.act()
                world.heal()
                expected = {f'{name}.xml': data for name, data in world.published.items()}
                self.assertEqual(expected, world.target.files, world.log)
                found = world.processes[0][1].status()
                left = found.unpublished, found.waiting, found.parked, found.numbers.retracted
                self.assertEqual(([], [], [], []), left, world.log)
