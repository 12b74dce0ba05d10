"""A run of one of several partners is killed, over real connections, while one of them fails.

It is killed at each command and at each step on the local disk.  Whoever fails keeps nobody, and
gets everything in the end.
"""

import hashlib
import itertools
import shutil
import signal
import unittest
import unittest.mock
import zlib

from zeit.cds.credentials import Secret
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool import sharing
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.tests import remembered
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.killing import BUG, LOCAL, Killer, Process, arm
from zeit.cds.tests.sampling import SEED, every
from zeit.cds.tests.scenario import target


#: What each partner wants.
WANTED = {'A': '*', 'B': '*.xml *.txt', 'C': '*'}

#: How one fails: its server refuses each file, or is away, or the password is wrong.
WAYS = 'refuses', 'away', 'password'

#: When it may be killed: at a command, or at a step on the local disk.
MOMENTS = 'lost', 'late', 'executed', 'before', 'after'


class Matrix:
    """Mixin for a TestCase: two partners, or three; `failing` does so in each of the `WAYS`."""

    layer = layers.QUIET
    partners = 'A', 'B'
    failing = 'B'
    moments = MOMENTS
    stride = 83  # only every so many-th place

    def setUp(self):
        super().setUp()
        self.folder = in_memory(self)
        self.killer = Killer()
        self.fault = ''
        self.servers = {
            name: self.enterContext(faults.FaultServer(hook=self.hook(name)))
            for name in self.partners
        }
        self.combination, self.positions = zlib.crc32(self.id().encode()) + SEED, 0

    def hook(self, name):
        def call(event):
            if name == self.killed:
                self.killer(event)
            is_file = event.verb == 'STOR' and '/write' not in event.path
            if self.fails(name) == 'refuses' and is_file and event.moment == 'before':
                event.server.fault('STOR', faults.Reply('553 No.'), times=1)

        return call

    def fails(self, name):
        """Return in which way this partner fails now, '' if it does not."""
        return self.fault if name == self.failing else ''

    def begin(self):
        """Start anew: some have older versions, nobody has the newest ones."""
        shutil.rmtree(self.folder)
        (self.folder / 'spool').mkdir(parents=True)
        self.log = self.folder / 'log'
        self.spool = Spool(self.folder / 'spool')
        for server in self.servers.values():
            self.free(server)
        self.put_so_far, self.newest = {}, {}
        self.fault = self.way
        self.put('a.xml', b'first')
        self.put('b.jpg', b'first')
        for name in self.partners:
            self.assertEqual(bool(self.fails(name)), bool(self.export(name).exit_code))
        self.put('a.xml', b'second')
        self.put('c.txt', b'first')
        # What nobody gets any more leaves the spool in the run that is killed.
        self.put('d.txt', b'first')
        self.nobodys = self.newest.pop('d.txt')
        for name in self.partners:
            self.assertTrue(self.partner(name).withdraw('d.txt', 'No.'))

    def free(self, server):
        server.clear_faults()
        for path in server.files:
            server.delete(path)
        for path in reversed(server.directories):
            server.remove_directory(path)
        server.make_directory('/cds')

    def put(self, name, word):
        data = (b'%s of %s. ' % (word, name.encode())) * 100
        self.put_so_far[data] = name
        self.newest[name] = data
        self.spool.put(name, data)

    def everybody(self):
        return [
            sharing.Terms(name, target(server).url, WANTED[name])
            for name, server in self.servers.items()
        ]

    def partner(self, name):
        (terms,) = [each for each in self.everybody() if each.name == name]
        return Partner(self.spool, terms, everybody=self.everybody)

    def export(self, name):
        """Make a run of a partner; return its report."""
        server, options = self.servers[name], {}
        if self.fails(name) == 'away':
            server.fault(faults.GREETING, faults.Cut(), times=1)
        if self.fails(name) == 'password':
            options['password'] = Secret('wrong')
        exporter = Exporter(
            self.partner(name), target(server, **options), wait=lambda seconds: None
        )
        return exporter.run_once(Options(order='name'))

    # The kill

    def test_matrix(self):
        everything = itertools.product(WAYS, self.partners, self.moments)
        for self.way, self.killed, moment in everything:
            with self.subTest(way=self.way, killed=self.killed, moment=moment):
                self.places(moment)
        self.assertGreater(self.positions, 0)

    def places(self, moment):
        self.combination += 1
        nth, code = 1 + self.combination % self.stride, -signal.SIGKILL
        while code == -signal.SIGKILL:
            with self.subTest(nth=nth):
                self.begin()
                code = self.kill(nth, moment)
                if code == -signal.SIGKILL:
                    self.positions += 1
                self.assertNotEqual(BUG, code, self.log.read_text())
                self.heal()
            nth += self.stride

    def kill(self, nth, moment):
        """Let a run be killed at the `nth` place; return its exit code."""
        local = moment in ('before', 'after')

        def run():
            if local:
                arm(LOCAL, nth, moment=moment)
            return self.export(self.killed).exit_code

        process = Process(run, log=self.log)
        self.killer.aim(None if local else process, nth, moment=moment)
        if self.fails(self.killed) == 'away':
            # The process has a copy of the server's rules only.
            self.servers[self.killed].fault(faults.GREETING, faults.Cut(), times=1)
        code = process.run()
        for server in self.servers.values():
            server.wait_closed()
        self.killer.process = None
        self.servers[self.killed].clear_faults()
        return code

    # What holds

    def heal(self):
        self.require_promise()
        for name in self.partners:
            self.assertEqual(bool(self.fails(name)), bool(self.export(name).exit_code))
            if not self.fails(name):
                self.require_all(name)
        self.require_promise()
        self.fault = ''
        for _ in range(2):
            for name in self.partners:
                self.servers[name].clear_faults()
                self.assertEqual(0, self.export(name).exit_code)
        self.require_settled()

    def there(self, section, *, of=None):
        path = (self.spool.path if of is None else self.partner(of).path) / section
        found = path.iterdir() if path.exists() else ()
        return {each.name: each.read_bytes() for each in found if each.is_file()}

    def remote(self, name):
        files = self.servers[name].files
        return {path.removeprefix('/cds/'): data for path, data in files.items()}

    def wanted(self, name):
        (terms,) = [each for each in self.everybody() if each.name == name]
        return {file: data for file, data in self.newest.items() if terms.wants(file)}

    def require_promise(self):
        """Nothing is lost, and what is filed all have, or need no more."""
        waits = {*self.there('new').values(), *self.there('.cds/filing').values()}
        filed = {*self.there('cur').values()}
        self.assertIn(self.nobodys, waits | {*self.there('withdrawn').values()})
        for data in self.newest.values():
            self.assertIn(data, waits | filed)
        for name in self.partners:
            remote = {*self.remote(name).values()}
            for data in filed & {*self.wanted(name).values()}:
                self.assertIn(data, remote, name)

    def require_all(self, name):
        """A partner has what it wants, where its receipts say, and nothing of ours is left."""
        self.assertEqual(self.wanted(name), self.remote(name))
        self.assertEqual(['/cds'], self.servers[name].directories)
        partner, last, numbers = self.partner(name), {}, []
        for each in remembered.receipts(partner.path / '.cds'):
            numbers.append(each['sequence'])
            last[each['name']] = each['sha256']
            with open(partner.filed_at(each['filed_as']), 'rb') as file:
                data = file.read()
            self.assertEqual(each['sha256'], hashlib.sha256(data).hexdigest())
            self.assertEqual(each['name'], self.put_so_far[data])
            self.assertEqual(target(self.servers[name]).url, each['target'])
        self.assertEqual(len({*numbers}), len(numbers), numbers)
        sent = {file: hashlib.sha256(data).hexdigest() for file, data in self.remote(name).items()}
        self.assertEqual(sent, last)

    def require_settled(self):
        """All have all; another run does not even connect, and nothing is left anywhere."""
        for name in self.partners:
            self.require_all(name)
            connected = self.servers[name].connected
            with unittest.mock.patch('zeit.cds.spool.spool._WRITING', -1):  # a day later
                self.assertEqual(0, self.export(name).exit_code)
            self.assertEqual(connected, self.servers[name].connected)
            for section in 'new', 'cur', 'tmp', 'parked', 'skipped', '.cds/filing':
                self.assertEqual({}, self.there(section, of=name), (name, section))
        for section in 'new', 'tmp', 'parked', '.cds/filing':
            self.assertEqual({}, self.there(section), section)
        self.assertEqual({'d.txt': self.nobodys}, self.there('withdrawn'))
        filed = [*self.there('cur').values()]
        self.assertNotIn(self.nobodys, filed)
        self.assertEqual(len({*filed}), len(filed))
        self.assertLessEqual({*self.newest.values()}, {*filed})


class SampleTests(Matrix, unittest.TestCase):
    """Two partners, one failing, at few places."""

    moments = 'executed', 'before'
    stride = 101


class TwoTests(Matrix, unittest.TestCase):
    """Two partners, one failing."""

    level = 2
    stride = every(53)


class ThreeTests(TwoTests):
    """Three partners, one failing."""

    partners = 'A', 'B', 'C'
    failing = 'C'


class ThreeOthersTests(ThreeTests):
    """And another one, which does not want everything."""

    failing = 'B'
