import collections
import functools
import logging
import unittest
import unittest.mock

from zeit.cds import errors, names
from zeit.cds.credentials import Secret
from zeit.cds.lock.leftovers import Leftovers
from zeit.cds.lock.lock import Lock
from zeit.cds.lock.tests import lockclient, modelserver
from zeit.cds.lock.tests.lockclient import (
    announcing,
    exporter,
    first,
    in_packets,
    partner,
    token,
    trying,
    unguarded,
)
from zeit.cds.lock.tests.lockmodel import Model, Violation
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers


class Quietly:
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        logging.getLogger('zeit.cds').disabled = False
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)


def few_looks():
    """Return a context manager: inside, who waits for others looks twice; more is the same."""
    return unittest.mock.patch('zeit.cds.lock.lock.LOOKS', 2)


class QuickTests(Quietly, unittest.TestCase):
    def test_a_lost_reply(self):
        result = Model([exporter] * 2, cuts=1).explore()
        self.assertGreater(result.states, 1000)

    def test_packets(self):
        Model([in_packets] * 2).explore()

    def test_the_first_runs_find_out_what_shares_a_packet(self):
        Model([trying] * 2).explore()

    def test_only_one_of_two_can_make_the_guard(self):
        self.enterContext(few_looks())
        for program in exporter, in_packets:
            with self.subTest(program):
                Model([program, unguarded], cuts=1).explore()

    def test_none_of_two_can_make_the_guard(self):
        self.enterContext(few_looks())
        Model([unguarded] * 2, cuts=1).explore()

    def test_it_began_to_merge_since_that_was_found_out(self):
        """Who cannot remove the empty guard looks again, and withdraws."""
        for program in exporter, in_packets:
            for other in program, announcing:
                with self.subTest(program, other=other):
                    Model([program, other], merges=True).explore()


class TwoTests(Quietly, unittest.TestCase):
    level = 2

    def test_a_lost_reply_to_a_packet(self):
        Model([in_packets] * 2, cuts=1).explore()

    def test_two_runs_each(self):
        result = Model([exporter] * 2, runs=2).explore()
        self.assertGreater(result.states, 1000)

    def test_a_server_that_merges_directories(self):
        """Whether it does is found out before the first lock."""
        self.enterContext(few_looks())
        for programs in (
            *([each] * 2 for each in (first, trying, announcing)),
            *([each, announcing] for each in (first, trying)),
        ):
            with self.subTest(programs):
                Model(programs, merges=True, cuts=1).explore()

    def test_the_first_runs_find_out_what_shares_a_packet(self):
        for options in {'cuts': 1}, {'crashes': 2}, {'replaces': False}:
            with self.subTest(options):
                Model([trying] * 2, **options).explore()
        Model([trying, in_packets], cuts=1).explore()

    def test_killed_anywhere(self):
        Model([exporter] * 2, crashes=2).explore()

    def test_packets_beside_single_commands(self):
        for options in {'cuts': 1}, {'runs': 2}, {'crashes': 1}:
            with self.subTest(options):
                Model([exporter, in_packets], **options).explore()

    def test_a_server_that_does_not_overwrite(self):
        for program in exporter, in_packets:
            with self.subTest(program):
                Model([program] * 2, cuts=1, replaces=False).explore()

    def test_without_the_guard_on_a_server_that_does_not_overwrite(self):
        self.enterContext(few_looks())
        Model([exporter, unguarded], cuts=1, replaces=False).explore()

    def test_a_reader_of_the_partner(self):
        """He may come in between, by the convention; but exporters still exclude each other."""
        checked = Model([exporter] * 2 + [partner], check_ends=False)
        checked.partners = {3}
        checked.explore()


class ManyTests(Quietly, unittest.TestCase):
    level = 2

    def test_healing_is_killed_as_well(self):
        for program in exporter, in_packets:
            with self.subTest(program):
                Model([program], runs=3, crashes=2).explore()

    def test_killed_anywhere_and_healed(self):
        for program in exporter, in_packets:
            with self.subTest(program):
                Model([program] * 2, runs=(2, 1), crashes=1).explore()

    def test_without_the_guard_killed_and_healed(self):
        self.enterContext(few_looks())
        for program in exporter, in_packets:
            for programs in [program, unguarded], [unguarded, program]:
                with self.subTest(programs):
                    Model(programs, runs=(2, 1), crashes=1).explore()
        Model([unguarded] * 2, runs=(2, 1), crashes=1).explore()

    def test_a_server_that_merges_directories_killed_and_healed(self):
        self.enterContext(few_looks())
        for programs in ([first, announcing], [announcing, first]):
            with self.subTest(programs):
                Model(programs, runs=(2, 1), crashes=1, merges=True).explore()

    def test_three_and_one_of_them_cannot_make_the_guard(self):
        self.enterContext(few_looks())
        Model([exporter, exporter, unguarded]).explore()

    def test_three(self):
        Model([exporter] * 3).explore()


class MostTests(Quietly, unittest.TestCase):
    """Many minutes, and gigabytes: for `.ci/long`."""

    level = 3

    def test_two_runs_each_killed(self):
        Model([exporter] * 2, runs=2, crashes=1).explore(limit=50_000_000)


class NoGuard(Lock):
    """Makes the lock as if it had the guard."""

    def _take_guard(self):
        return True

    def _given_back(self, *refusals):
        pass


class NoLookAtOthers(Lock):
    """Announces its lock, and does not look who else does."""

    def _others_announced(self, present):
        return []


class NoLook(Lock):
    """Trusts the look before the guard was taken."""

    def create(self):
        with unittest.mock.patch.object(self, 'look'):
            super().create()


class ListsLast(Lock):
    """Asks for sizes with the guard before it lists the directory."""

    def look(self, **options):
        return super().look()


class TwoGuards(Lock):
    """Takes it for noise that the empty guard cannot be removed."""

    def _keeps_apart(self, *others):
        return [True]


class AnybodysLock(Lock):
    """Removes a lock without looking whose it is."""

    def _remove(self):
        held = 'lock' in self._left
        self._left.discard('lock')
        super()._remove()
        if held:
            self._delete(self._name)
        return held


class NotHealed(Leftovers):
    def remove(self):
        return self._session.names()


def faulty(lock_class, *, program=exporter):
    class Healing(Leftovers):
        def _lock(self, token, name, *, left):
            return lock_class(self._session, token=token, name=name, left=left)

    return functools.partial(program, lock_class=lock_class, leftovers_class=Healing)


class Recorder(logging.Handler):
    """The dialogue, from the log: a list of (verb, argument, first digit of the reply)."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.dialogue = []
        self._waiting = collections.deque()

    def emit(self, record):
        line = record.getMessage()
        if line.startswith('> '):
            verb, _, argument = line[2:].partition(' ')
            self._waiting.append([verb, argument, ''])
            self.dialogue.append(self._waiting[-1])
        elif line.startswith('< 220'):
            self._waiting.clear()  # another connection: what was due on the last one never comes
        elif line.startswith('< '):
            assert self._waiting, f'{line!r} answers nothing, after {self.dialogue[-9:]}'
            self._waiting[0][2] = line[2]
            if line[2] != '1':
                self._waiting.popleft()


class Killed(BaseException):
    pass


class Steered:
    """A session that is killed, or lets somebody else run, before its call number `at`."""

    def __init__(self, session, *, at=None, then=None):
        self._session = session
        self._at = at
        self._then = then
        self.calls = 0

    def __getattr__(self, name):
        attribute = getattr(self._session, name)
        if not callable(attribute) or name in ('reconnect', 'hurry', 'close'):
            return attribute

        def call(*args, **kw):
            self.calls += 1
            if self._at is not None and self.calls >= self._at:
                then, self._then = self._then, None
                if then is None and self._at:
                    raise Killed
                then()
                self._at = None
            return attribute(*args, **kw)

        return call

    def work(self):
        pass


#: What the model knows of.
KNOWN = ('MLSD', 'SIZE', 'RETR', 'STOR', 'RNFR', 'RNTO', 'DELE', 'MKD', 'RMD')


class Replay(layers.ServerTests):
    """What the real server says to the real program is what the model's server says."""

    replaces = True

    def setUp(self):
        super().setUp()
        self.recorder = Recorder()
        logger = logging.getLogger('zeit.cds.ftp.control')
        level = logger.level
        logger.addHandler(self.recorder)
        logger.setLevel(logging.DEBUG)
        self.addCleanup(logger.removeHandler, self.recorder)
        self.addCleanup(logger.setLevel, level)
        self.target = FTPTarget.from_options(
            host=self.server.host, port=self.server.port, user='test', password=Secret('testpw')
        )

    def run_program(self, spool, run, left=(), **steering):
        """Run for real; return (journal's tokens, number of calls)."""
        session = self.target.open()
        journal = lockclient.Journal(spool, run, left)
        steered = Steered(session, **steering)
        try:
            exporter(steered, journal, token(spool, run))
        except (errors.Error, Killed):
            pass
        finally:
            session.connection.drop()
        return journal.open, steered.calls

    def check(self, where):
        server = frozenset()
        announced = []  # of a run, and on top of that those of one that came in between
        inside = ''
        for verb, argument, digit in self.recorder.dialogue:
            if verb == 'CWD' and argument != '/':
                inside = argument if digit == '2' else ''
            elif verb in ('CDUP', 'USER'):
                inside = ''
            if verb not in KNOWN or not digit or (verb, digit) == ('MLSD', '5'):
                continue  # a server without MLSD gets NLST, whose answers differ
            command = (verb, argument)
            if verb == 'MLSD':
                command = (verb, inside)
            elif verb == 'STOR':
                command = (verb, argument, names.token_of(argument))
            elif verb == 'RNTO':
                command = (verb, announced.pop(), argument)
            elif verb == 'RNFR' and digit == '3':
                announced.append(argument)
            server, (verdict, value) = modelserver.execute(server, command, replaces=self.replaces)
            fine = verdict == 'done' and not (verb in ('SIZE', 'RETR') and value is None)
            self.assertEqual(fine, digit in '123', f'{where}: {command}: {digit}, model {verdict}')
        there = {str(path.relative_to(self.server.root)) for path in self.server.root.rglob('*')}
        self.assertEqual({path for path, _ in server}, there, where)

    def test_undisturbed_killed_and_contended(self):
        calls = self.run_program(1, 1)[1]
        self.check('undisturbed')
        self.assertGreater(calls, 10)
        for at in range(1, calls + 1):
            with self.subTest(killed=at):
                self.server.clear()
                self.recorder.dialogue.clear()
                left, _ = self.run_program(1, 1, at=at)
                self.check('killed')
                self.run_program(2, 1)
                self.check('another one, with the leftovers')
                self.run_program(1, 2, left)
                self.check('healed')
                self.assertEqual([], [p.name for p in self.server.root.iterdir()])
            with self.subTest(contended=at):
                self.server.clear()
                self.recorder.dialogue.clear()
                self.run_program(1, 1, at=at, then=functools.partial(self.run_program, 2, 1))
                self.check('contended')
                self.assertEqual([], [p.name for p in self.server.root.iterdir()])


class PyFTPReplay(Replay, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdReplay(Replay, unittest.TestCase):
    layer = layers.VSFTPD
    level = 2


class ProFTPDReplay(Replay, unittest.TestCase):
    layer = layers.PROFTPD
    level = 2
    replaces = False


class PureFTPDReplay(Replay, unittest.TestCase):
    layer = layers.PUREFTPD
    level = 2


class PlantedFaultTests(Quietly, unittest.TestCase):
    """The model finds what is wrong: it would find it in lock.py, too."""

    def violated(self, program, what, *, others=None, **options):
        with self.assertRaises(Violation) as caught:
            Model([program, *(others or [program])], **options).explore()
        self.assertRegex(str(caught.exception), what)

    def test_without_the_guard(self):
        self.violated(faulty(NoGuard), r'\[1, 2\] are inside')

    def test_who_has_the_guard_does_not_look_at_what_is_announced(self):
        self.violated(faulty(NoLookAtOthers), r'\[1, 2\] are inside', others=[unguarded])

    def test_two_that_announce_do_not_look(self):
        program = faulty(NoLookAtOthers, program=unguarded)
        self.violated(program, r'\[1, 2\] are inside')

    def test_without_the_second_look(self):
        self.violated(faulty(NoLook), r'\[1, 2\] are inside')

    def test_a_lock_that_is_renamed_while_the_directory_is_listed(self):
        program = faulty(ListsLast, program=in_packets)
        self.violated(program, r'\[1, 2\] are inside', others=[announcing])

    def test_a_guard_on_a_server_that_merges_directories(self):
        self.violated(faulty(TwoGuards), r'\[1, 2\] are inside', merges=True)

    def test_leftovers_not_healed(self):
        program = functools.partial(exporter, leftovers_class=NotHealed)
        self.violated(program, 'for ever|cannot lock', crashes=1)


class MoreFaultsTests(PlantedFaultTests):
    level = 2

    def test_somebody_elses_lock_removed(self):
        self.violated(faulty(AnybodysLock), r'\[1, 2\] are inside', runs=(2, 1), crashes=1)

    def test_the_assumption_is_needed(self):
        what = r'inside(.|\n)*late: DELE write'
        self.violated(exporter, what, cuts=1, runs=(2, 1), late_removal=True)
