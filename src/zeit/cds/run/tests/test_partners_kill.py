"""A run of one of several partners is killed at each step on the local disk."""

import collections
import hashlib
import os
import pathlib
import pickle
import tempfile
import unittest.mock

from zeit.cds.run.exporter import Exporter
from zeit.cds.run.tests.test_partners import Foreign, PartnerTests
from zeit.cds.spool import sharing
from zeit.cds.testing import layers
from zeit.cds.tests.killing import BUG, LOCAL, Process, arm, die
from zeit.cds.tests.sampling import every


class KillTests(PartnerTests):
    layer = layers.QUIET
    stride = every(29)  # only every so many-th place

    def everywhere(self, name, *, prepare, heals):
        """Kill a run of the partner `name` at each step after `prepare()`; see that it heals."""
        nth, code = 1, None
        while code != 0:
            with tempfile.TemporaryDirectory() as folder, self.subTest(step=nth):
                self.anew(pathlib.Path(folder))
                prepare()
                code = self.killed(name, nth)
                self.assertNotEqual(BUG, code, self.log.read_text())
                heals()
            nth += self.stride
        self.assertGreater(nth, 30)

    def anew(self, folder):
        self.setUp()
        self.log = folder / 'log'
        self.state = folder / 'state'
        self.data = []

    def killed(self, name, nth):
        """Let a run of a partner, in a process, be killed at its `nth` step; return its code."""

        def dump():
            found = {each: target.files for each, target in self.targets.items()}
            self.state.write_bytes(pickle.dumps(found))

        def stop():
            dump()
            die()

        def run():
            arm(LOCAL, nth, moment='before', die=stop)
            code = self.export(name).exit_code
            dump()
            return code

        code = Process(run, log=self.log).run()
        for each, files in pickle.loads(self.state.read_bytes()).items():
            self.targets[each].files.clear()
            self.targets[each].files.update(files)
        return code

    def heals(self):
        """See that nothing is lost, and what comes of it in the end."""
        self.require_promise()
        self.converge()

    def require_promise(self):
        """What all have is in `cur/`, and nothing is lost."""
        waits = {*self.there('new').values(), *self.there('.cds/filing').values()}
        filed = {*self.there('cur').values()}
        for data in self.data:
            self.assertTrue(self.has(data, waits, filed), data)
        for data in filed:
            for name in self.names:
                self.assertTrue(self.was_given(name, data), (name, data))

    def has(self, data, *places):
        sections = 'new', 'cur', '.cds/filing'
        own = [self.there(each, of=name) for name in self.names for each in sections]
        return any(data in place for place in (*places, *(each.values() for each in own)))

    def was_given(self, name, data):
        """Return whether a partner has it, or needs it no more, as there is a newer one."""
        newer = self.data[self.data.index(data) + 1 :]
        same = [each for each in newer if each[:1] == data[:1]]
        files = {*self.targets[name].files.values()}
        return data in files or bool(same)

    def converge(self):
        for _ in range(3):
            for name in self.names:
                self.assertEqual(0, self.export(name).exit_code)
        self.assertEqual({}, self.there('new'))
        newest = {data[:1].decode(): data for data in self.data}
        for name in self.names:
            self.assertEqual(newest, self.targets[name].files)
            self.assertEqual({}, self.there('cur', of=name))
            self.assertEqual({}, self.there('new', of=name))
            self.assertEqual({}, self.there('parked', of=name))
            for each in self.receipts(name):
                data = (self.path / 'cur' / each['filed_as']).read_bytes()
                self.assertEqual(each['sha256'], hashlib.sha256(data).hexdigest())
            numbers = [each['sequence'] for each in self.receipts(name)]
            twice = [n for n, count in collections.Counter(numbers).items() if count > 1]
            self.assertEqual([], twice)
        self.assertEqual({}, self.there('parked'))
        self.assertEqual([], os.listdir(self.path / '.cds' / 'filing'))

    def puts(self, *data):
        for each in data:
            self.put(each[:1].decode(), data=each)
            self.data.append(each)

    def first(self):
        """One has the first version of a file, nobody the second one."""
        self.puts(b'a one', b'b one')
        self.export('A')
        self.puts(b'a two')

    def second(self):
        """One has both versions, the other nothing."""
        self.first()
        self.export('A')

    def test_who_gets_them_first(self):
        self.everywhere('A', prepare=self.first, heals=self.heals)

    def test_who_gets_them_last(self):
        self.everywhere('B', prepare=self.second, heals=self.heals)

    def test_the_first_run_of_all(self):
        def prepare():
            self.puts(b'a one', b'b one')

        self.everywhere('A', prepare=prepare, heals=self.heals)

    def test_who_was_alone(self):
        def prepare():
            self.puts(b'a one')
            Exporter(self.spool, self.targets['A']).run_once()
            self.puts(b'b one')

        def heals():
            for _ in range(2):
                self.assertEqual([0, 0], [self.export(each).exit_code for each in 'AB'])
            self.assertEqual({'a': b'a one', 'b': b'b one'}, self.targets['A'].files)
            # Who comes later gets nothing that waits.
            self.assertEqual({}, self.targets['B'].files)
            self.assertEqual({'a': b'a one', 'b': b'b one'}, self.there('cur'))
            self.assertEqual({}, self.there('new'))
            self.assertEqual(['A', 'B'], [*sharing.known(self.path)])
            self.assertEqual(['b', 'a'], [each['name'] for each in self.receipts('A')])

        self.everywhere('A', prepare=prepare, heals=heals)


class ForeignKillTests(Foreign, KillTests):
    """Files that may not be linked: a copy takes the place of each."""

    level = 2
    stride = every(17)

    def anew(self, folder):
        if hasattr(self, 'originals'):
            self.originals.close()
        super().anew(folder)

    def put(self, *names, data=None):
        for name in names:
            self.put_foreign(name, name.encode() if data is None else data)

    def converge(self):
        super().converge()
        # As if a day had passed since: what is written by others is left alone so long.
        with unittest.mock.patch('zeit.cds.spool.spool._WRITING', -1):
            self.export('A')
            self.export('B')
        self.assertEqual([], os.listdir(self.path / 'tmp'))
        for name in self.names:
            self.assertEqual([], os.listdir(self.partner(name).path / 'tmp'))
