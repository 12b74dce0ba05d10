"""What killed runs left on a server: each thing alone, all together, ours and other people's."""

import contextlib
import os
import unittest

from zeit.cds import errors, names
from zeit.cds.journal.journal import Journal
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.spool import Spool
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.folders import in_memory


#: The token of a run of somebody else's.
FOREIGN = names.new_token()


class Killed(BaseException):
    """The process ends here."""


class LeftoverTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.path = in_memory(self)
        self.spool = Spool(self.path)
        self.target = MemoryTarget(hook=self.hook)
        self.calls = []
        self.faults = {}

    def hook(self, operation, name):
        self.calls.append(f'{operation} {name}'.strip())
        action = self.faults.get(self.calls[-1], self.faults.get(len(self.calls)))
        if isinstance(action, BaseException):
            raise action
        if action is not None:
            action()

    def token(self, *, clean=False):
        """Return a token out of the spool's journal: of a run that was killed, or that ended."""
        with self.spool.run():
            token = self.spool.journal.new_token(self.target.url)
            if clean:
                self.spool.journal.note('clean', token=token)
        return token

    def export(self, **options):
        with self.assertLogs('zeit.cds', 'INFO') as logs:
            report = Exporter(self.spool, self.target, wait=lambda seconds: None).run_once(
                Options(**options)
            )
        self.log = '\n'.join(record.getMessage() for record in logs.records)
        return report

    @property
    def present(self):
        return {*self.target.files, *self.target.directories}

    def open_tokens(self):
        with self.spool.run():
            return self.spool.journal.open_tokens(self.target.url)

    # What may be left

    def leave_temporary(self, token):
        self.target.write(names.temporary('a', token=token, number=1), b'half')

    def leave_long_temporary(self, token):
        self.target.write(names.temporary('n' * 255, token=token, number=12), b'half')

    def leave_staged_lock(self, token):
        self.target.write(names.staged('write', token=token), token.encode())

    def leave_empty_staged_guard(self, token):
        self.target.directories[names.staged_guard(token=token)] = set()

    def leave_staged_guard(self, token):
        self.target.directories[names.staged_guard(token=token)] = {token}

    def leave_probe(self, token):
        self.target.directories[f'{names.staged_guard(token=token)}.probe'] = {token}

    def leave_guard(self, token):
        self.target.directories[names.GUARD] = {token}

    def leave_lock(self, token):
        self.target.write('write', f'{token} zeit.cds, host here, pid 1, since 2026'.encode())

    def leave_unlocking(self, token):
        """A person's `unlock` was killed when it had taken our lock's name away."""
        other = names.new_token()
        self.target.write(names.broken('write', token=other), f'{token} zeit.cds'.encode())

    KINDS = (
        leave_unlocking,
        leave_temporary,
        leave_long_temporary,
        leave_staged_lock,
        leave_empty_staged_guard,
        leave_staged_guard,
        leave_probe,
        leave_guard,
        leave_lock,
    )

    def each(self):
        """For each kind of leftover, and for all together: yield the functions that leave it."""
        for kinds in (*((kind,) for kind in self.KINDS), self.KINDS):
            with self.subTest(kinds[0].__name__ if len(kinds) == 1 else 'all'):
                self.target.files.clear()
                self.target.directories.clear()
                yield kinds


class OwnTests(LeftoverTests):
    def test_78_of_a_killed_run_with_nothing_to_send(self):
        for kinds in self.each():
            token = self.token()
            for leave in kinds:
                leave(self, token)
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual(set(), self.present)
            self.assertIn('Cleaning up what 1 run may have left on the server', self.log)
            self.assertEqual([], self.open_tokens())
            # The third run has nothing to do, and does not even connect.
            opened = self.target.opened
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual(opened, self.target.opened)

    def test_78_of_a_killed_run_with_something_to_send(self):
        for kinds in self.each():
            token = self.token()
            for leave in kinds:
                leave(self, token)
            self.spool.put('a', b'1')
            report = self.export()
            self.assertEqual((0, ['a']), (report.exit_code, report.delivered))
            self.assertEqual({'a'}, self.present)
            self.assertEqual([], self.open_tokens())

    def test_78_of_a_run_that_ended_and_whose_commands_came_late(self):
        """A token is ours for long: also when the journal says that nothing of it is left."""
        for kinds in self.each():
            token = self.token(clean=True)
            for leave in kinds:
                leave(self, token)
            self.spool.put('a', b'1')
            report = self.export()
            self.assertEqual((0, ['a']), (report.exit_code, report.delivered))
            self.assertEqual({'a'}, self.present)

    def test_leftovers_of_several_runs_are_removed(self):
        first, second, third = self.token(), self.token(), self.token(clean=True)
        self.leave_guard(first)
        self.leave_staged_lock(second)
        self.leave_temporary(third)
        self.leave_lock(third)
        self.spool.put('a', b'1')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'a'}, self.present)

    def test_an_empty_guard_is_nobodys(self):
        """Its owner was killed between the two steps of giving it back."""
        self.target.directories[names.GUARD] = set()
        self.spool.put('a', b'1')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'a'}, self.present)

    def test_a_read_lock_of_ours(self):
        token = self.token()
        self.target.write('read', f'{token} zeit.cds'.encode())
        self.target.write(names.staged('read', token=token), b'')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(set(), self.present)

    def test_the_order_staged_things_first(self):
        token = self.token()
        for leave in self.KINDS:
            leave(self, token)
        self.calls.clear()
        self.export()
        removed = [call for call in self.calls if call.split()[0].startswith(('delete', 'remove'))]
        positions = [
            min(n for n, call in enumerate(removed) if call.endswith(name))
            for name in (
                '.part',
                f'write.{token}.d',
                f'write.{token}',
                'write.guard',
                'delete write',
            )
        ]
        self.assertEqual(sorted(positions), positions, removed)

    def test_a_file_may_be_named_after_a_token(self):
        mine, other = self.token(), f'{FOREIGN}.xml'
        self.target.write(names.temporary(other, token=mine, number=1), b'half')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(set(), self.present)


class SpellingTests(LeftoverTests):
    """The directory is spelled otherwise since the run that was killed: who is to tell?

    A token is unique: where one is found that this spool has noted, all is that was noted with it.
    """

    def setUp(self):
        super().setUp()
        self.target.url = 'memory:then'

    def test_all_kinds_of_leftovers_are_removed(self):
        for kinds in self.each():
            self.target.url = 'memory:then'
            token = self.token()
            for leave in kinds:
                leave(self, token)
            self.target.url = 'memory:now'
            self.spool.put('a', b'1')
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual({'a'}, self.present)
            self.target.url = 'memory:then'
            self.assertEqual([], self.open_tokens())

    def test_what_was_noted_with_it(self):
        token = self.token()
        temporary = names.temporary('x', token=token, number=1)
        aside = names.aside('x', token=token)
        with self.spool.run() as spool:
            about = {'target': self.target.url, 'name': 'x'}
            sent = {'temporary': temporary, 'size': 1, 'sha256': '0', 'reply': '226'}
            spool.journal.note('uploaded', **about, **sent)
            spool.journal.note('aside', **about, aside=aside)
        self.leave_lock(token)
        self.target.write(temporary, b'n')
        self.target.write(aside, b'old')
        self.target.url = 'memory:now'
        self.spool.put('a', b'1')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'a': b'1', 'x': b'old'}, self.target.files)
        with self.spool.run() as spool:
            for table in 'asides', 'uploads':
                self.assertEqual([], spool.journal.find(table))

    def test_of_one_path_and_host_also_with_nothing_to_do(self):
        def url(directory, host='FTP.example.com.'):
            options = {'host': host, 'user': 'me', 'directory': directory}
            return FTPTarget.from_options(**options).url

        self.assertEqual('ftp://me@ftp.example.com:21/a/b', url('/a/b'))
        self.assertEqual({url('/a/b')}, {url(d) for d in ('/a/b/', '//a//b', '/a/./b/.', 'a/b')})
        self.assertEqual({url('/')}, {url('//'), url('/.'), url('.')})
        different = {url(d) for d in ('/a/B', '/a/x/../b', '/a/.b', '/a/b ')}
        self.assertEqual(4, len(different - {url('/a/b')}))

    def test_a_token_of_another_spool_is_foreign(self):
        with Spool(in_memory(self)).run() as other:
            self.leave_lock(other.journal.new_token(self.target.url))
        self.token()
        self.spool.put('a', b'1')
        self.assertEqual(75, self.export().exit_code)
        self.assertIn('write', self.target.files)


class ForeignTests(LeftoverTests):
    def test_88_of_somebody_else_nothing_is_touched(self):
        for kinds in self.each():
            self.token()
            for leave in kinds:
                leave(self, FOREIGN)
            before = dict(self.target.files), dict(self.target.directories)
            self.spool.put('a', b'1')
            report = self.export()
            locked = self.present & {'write', names.GUARD}
            self.assertEqual(75 if locked else 0, report.exit_code)
            self.target.files.pop('a', None)
            self.assertEqual(before, (self.target.files, self.target.directories))

    def test_88_nor_with_nothing_to_send(self):
        for kinds in self.each():
            self.token()
            for leave in kinds:
                leave(self, FOREIGN)
            before = dict(self.target.files), dict(self.target.directories)
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual(before, (self.target.files, self.target.directories))

    def test_88_own_leftovers_go_first_then_a_foreign_lock_stops(self):
        for name in ('write', 'read'):
            for files in ((), ('a',)):
                with self.subTest(lock=name, files=files):
                    token = self.token()
                    for leave in self.KINDS:
                        leave(self, token)
                    self.target.write(name, b'partner')
                    for file in files:
                        self.spool.put(file, b'1')
                    self.calls.clear()
                    report = self.export()
                    self.assertEqual(75 if files else 0, report.exit_code)
                    self.assertEqual({name}, self.present)
                    for file in files:
                        os.unlink(self.path / 'new' / file)
                    self.assertEqual(b'partner', self.target.files[name])
                    self.assertEqual([], self.open_tokens())

    def test_two_spools_do_not_wait_for_each_others_orphans(self):
        """A's guard stands in B's way, and B's lock in A's: each removes its own, and goes on."""
        other = Spool(in_memory(self))
        with other.run():
            others = other.journal.new_token(self.target.url)
        self.leave_guard(self.token())
        self.leave_lock(others)
        self.spool.put('a', b'1')
        other.put('b', b'2')
        self.assertEqual(75, self.export().exit_code)
        self.spool, mine = other, self.spool
        self.assertEqual(0, self.export().exit_code)
        self.spool = mine
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'a', 'b'}, self.present)

    def test_a_lock_that_mentions_a_token_of_ours_is_not_ours(self):
        token = self.token()
        content = f'partner, waiting since {token} was here'.encode()
        self.target.write('write', content)
        self.spool.put('a', b'1')
        self.assertEqual(75, self.export().exit_code)
        self.assertEqual({'write': content}, self.target.files)

    def test_a_foreign_temporary_of_a_file_named_after_our_token(self):
        mine = self.token()
        theirs = names.temporary(f'{mine}.xml', token=FOREIGN, number=1)
        self.target.write(theirs, b'half')
        self.target.write(f'a.{mine}.part.xml', b'an article')
        before = dict(self.target.files)
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(before, self.target.files)

    def test_a_guard_that_is_given_back_while_it_is_looked_at(self):
        self.token()
        self.leave_guard(FOREIGN)
        self.faults = {f'names {names.GUARD}': self.target.directories.clear}
        self.spool.put('a', b'1')
        report = self.export()
        self.assertIn(report.exit_code, (0, 75))
        self.assertEqual(set(), self.target.directories.keys())


class AsideTests(LeftoverTests):
    def leave_aside(self, name, *, clean=False):
        """What stood under `name` stands aside, and the run was killed."""
        token = self.token(clean=clean)
        aside = names.aside(name, token=token)
        with self.spool.run():
            self.spool.journal.note('aside', target=self.target.url, name=name, aside=aside)
        self.target.write(aside, b'old')
        return aside

    def asides(self):
        with self.spool.run():
            return self.spool.journal.at(self.target.url).rows('asides')

    def test_73_it_gets_its_name_back_if_nobody_took_it(self):
        for clean in (False, True):
            self.leave_aside('x', clean=clean)
            self.spool.put('a', b'1')
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual({'a': b'1', 'x': b'old'}, self.target.files)
            self.assertEqual({}, self.asides())
            self.target.files.clear()

    def test_73_it_is_removed_if_the_new_one_is_there(self):
        self.leave_aside('x')
        self.target.write('x', b'new')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'x': b'new'}, self.target.files)
        self.assertEqual({}, self.asides())

    def leave_upload(self, name, aside, *, there):
        """The file that takes the place of `aside` was complete; is its temporary still there?"""
        temporary = names.temporary(name, token=names.token_of(aside), number=1)
        if there:
            self.target.write(temporary, b'new')
        with self.spool.run():
            self.spool.journal.note('uploaded', target=self.target.url,
                name=name,
                temporary=temporary,
                size=3,
                sha256='',
                reply='226 x',
            )

    def test_73_it_is_removed_if_the_new_one_was_delivered_and_taken_away(self):
        for rotated in (False, True):
            with self.subTest(rotated=rotated):
                aside = self.leave_aside('x')
                with self.spool.run():
                    self.spool.journal.receipt('delivered', dict(target=self.target.url,
                        name='x',
                        size=3,
                        sha256='',
                        reply='226 x',
                        filed_as='x'))
                if rotated:
                    with Journal(self.path / '.cds') as journal:
                        journal.compact()
                # What cannot be removed is removed by a later run.
                self.faults = {f'delete {aside}': errors.TemporaryError(450, '450 Busy.')}
                self.assertEqual(0, self.export().exit_code)
                self.faults = {}
                self.assertEqual(0, self.export().exit_code)
                self.assertEqual({}, self.target.files)
                self.assertEqual({}, self.asides())

    def test_73_killed_before_the_receipt_when_the_new_one_was_taken_away(self):
        """Its temporary is gone: it had its name."""
        self.leave_upload('x', self.leave_aside('x'), there=False)
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({}, self.target.files)
        self.assertEqual({}, self.asides())

    def test_73_that_the_new_one_had_its_name_is_known_from_then_on(self):
        """It is taken, and the next runs neither delete the old one nor send the new one."""
        for taken in True, False:
            with self.subTest(taken=taken):
                aside = self.leave_aside('x')
                if taken:
                    self.leave_upload('x', aside, there=False)
                else:
                    self.target.write('x', b'new')
                self.spool.put('x', b'new')
                self.faults = {'upload x': errors.PermanentError(552, '552 No.')}
                self.faults[f'delete {aside}'] = errors.TemporaryError(450, '450 Busy.')
                self.export()
                self.target.files.pop('x', None)
                del self.faults[f'delete {aside}']
                self.export()
                self.assertEqual(({}, {}), (self.target.files, self.asides()))
                self.setUp()

    def test_73_killed_before_the_new_one_got_its_name(self):
        self.leave_upload('x', self.leave_aside('x'), there=True)
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'x': b'old'}, self.target.files)
        self.assertEqual({}, self.asides())

    def test_73_it_was_never_moved(self):
        aside = self.leave_aside('x')
        del self.target.files[aside]
        self.target.write('x', b'old')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'x': b'old'}, self.target.files)
        self.assertEqual({}, self.asides())

    def test_73_one_that_cannot_get_its_name_back_stops_nothing_and_is_tried_again(self):
        aside = self.leave_aside('x')
        self.faults = {f'rename {aside}': errors.PermanentError(550, '550 No.')}
        self.spool.put('a', b'1')
        self.assertEqual(0, self.export().exit_code)
        self.assertIn(f'x is called {aside} now, and cannot be renamed: 550 No.', self.log)
        self.assertEqual({'a': b'1', aside: b'old'}, self.target.files)
        self.faults = {}
        self.spool.put('b', b'2')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual({'a': b'1', 'b': b'2', 'x': b'old'}, self.target.files)

    def test_an_aside_file_of_somebody_else_is_left_alone(self):
        self.token()
        self.target.write(names.aside('x', token=FOREIGN), b'theirs')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual([b'theirs'], [*self.target.files.values()])


class InterruptedTests(LeftoverTests):
    """Healing itself is killed, or refused, at each of its steps."""

    def leave_all(self):
        token = self.token()
        for leave in self.KINDS:
            leave(self, token)
        aside = names.aside('x', token=token)
        with self.spool.run():
            self.spool.journal.note('aside', target=self.target.url, name='x', aside=aside)
        self.target.write(aside, b'old')
        return token

    def test_87_killed_at_every_step_the_next_run_finishes_it(self):
        for step in range(1, 100):
            self.target.files.clear()
            self.target.directories.clear()
            self.calls.clear()
            token = self.leave_all()
            self.faults = {step: Killed()}
            finished = True
            with contextlib.suppress(Killed), self.kill_for_good():
                finished = False
                self.export()
                finished = True
            self.faults = {}
            if finished:
                break
            # Or a file of healing itself.
            if any(names.token_of(name) in ('', token) for name in self.present - {'x'}):
                self.assertIn(token, self.open_tokens(), 'only clean when nothing is left')
            self.assertEqual(0, self.export().exit_code)
            self.assertEqual({'x': b'old'}, self.target.files)
            self.assertEqual({}, self.target.directories)
            self.assertEqual([], self.open_tokens())
        self.assertGreater(step, 15)

    @contextlib.contextmanager
    def kill_for_good(self):
        """After the kill nothing more happens, whatever the program tries."""

        def dead(operation, name):
            before(operation, name)
            if len(self.calls) >= min(self.faults):
                raise Killed

        before = self.target.hook
        self.target.hook = dead
        try:
            yield
        finally:
            self.target.hook = before

    def test_what_is_refused_for_now_is_deleted_by_the_next_run(self):
        busy = errors.TemporaryError(450, '450 Busy.')
        for leave in (self.leave_temporary, self.leave_unlocking):
            with self.subTest(leave.__name__):
                token = self.token()
                leave(token)
                (name,) = self.target.files
                self.faults = {f'delete {name}': busy}
                self.export()
                self.assertEqual({name}, self.present)
                self.assertEqual([token], self.open_tokens())
                self.assertIn(f'to be deleted by the next run: {name}: 450', self.log)
                self.faults = {}
                self.assertEqual(0, self.export().exit_code)
                self.assertEqual((set(), []), (self.present, self.open_tokens()))

    def test_what_costs_the_connection_does_not_end_each_run(self):
        token = self.token()
        self.leave_temporary(token)
        (first,) = self.target.files
        second = names.temporary('b', token=token, number=2)
        self.target.write(second, b'half')
        self.faults = {f'delete {first}': errors.ConnectionLost(104, 'The server closed it')}
        self.spool.put('c', b'1')
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(b'1', self.target.files['c'])
        self.assertIn(f'to be deleted by the next run: {first}: ', self.log)
        self.assertEqual([token], self.open_tokens())
        self.faults = {}
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual(({'c'}, []), (self.present, self.open_tokens()))

    def test_what_is_refused_for_good_is_for_a_person(self):
        token = self.token()
        self.leave_temporary(token)
        (name,) = self.target.files
        self.faults = {f'delete {name}': errors.PermanentError(550, '550 No.')}
        self.assertEqual(0, self.export().exit_code)
        self.assertIn(f'to be deleted by hand: {name}: 550', self.log)
        self.assertEqual([], self.open_tokens())

    def test_91_what_cannot_be_removed_keeps_its_token_open(self):
        codes = {'lock': 73, 'guard': 73, 'staged lock': 78, 'staged guard': 78}
        for kind, code in codes.items():
            with self.subTest(kind):
                token = self.token()
                leave = getattr(self, f'leave_{kind.replace(" ", "_")}')
                leave(token)
                refused = errors.PermanentError(550, '550 Permission denied.')
                self.faults = {
                    'delete write': refused,
                    f'delete write.{token}': refused,
                    'remove_directory write.guard': refused,
                    f'remove_directory write.{token}.d': refused,
                }
                self.spool.put('a', b'1')
                report = self.export()
                self.faults = {}
                self.assertEqual(code, report.exit_code)
                self.assertIn("'write", report.error.advice)
                self.assertEqual([token], self.open_tokens())
                self.assertEqual(['a'], os.listdir(self.path / 'new'))
                self.assertEqual(0, self.export().exit_code)
                self.assertEqual({'a'}, self.present)

    def test_a_lock_that_cannot_be_read_keeps_its_token_open(self):
        """It may be ours: an idle run that can read it again removes it."""
        token = self.token()
        self.leave_lock(token)
        self.faults = {'read write': errors.TemporaryError(450, '450 In use.')}
        self.assertEqual(75, self.export().exit_code)
        self.assertEqual(({'write'}, [token]), (self.present, self.open_tokens()))
        self.faults = {}
        self.assertEqual(0, self.export().exit_code)
        self.assertEqual((set(), []), (self.present, self.open_tokens()))
