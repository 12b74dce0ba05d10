"""What is not there, is proven not to be there: never because a server says little, or nothing."""

import dataclasses
import signal
import tempfile
import unittest

from zeit.cds import errors, names
from zeit.cds.ftp.capabilities import LISTINGS, Capabilities
from zeit.cds.run.exporter import Exporter
from zeit.cds.target.presence import Presence
from zeit.cds.testing import actions, faults, layers
from zeit.cds.tests.importing import ImportScenario, take
from zeit.cds.tests.killing import Process
from zeit.cds.tests.sampling import some
from zeit.cds.tests.scenario import Scenario, content, target


#: What servers say that refuse: for good or for now, the command or this file.
REFUSALS = (
    '550 Permission denied.',
    '402 Not implemented.',
    '450 Not now.',
    '451 Local error.',
    '500 Unknown command.',
    '502 Not implemented.',
    '504 Not with this parameter.',
    '530 Not for you.',
    '551 No.',
    '553 Not allowed.',
)


#: What some say in place of a listing, and make none.
INSTEAD = '200 Command understood.', '202 Superfluous.', '211 No.', '214 HELP.', '226 Done.'


@dataclasses.dataclass(frozen=True)
class Only(actions.Action):
    """A listing is refused, with `reply`, unless it has this argument and this type."""

    reply: str
    argument: str
    binary: bool
    allowed: dict = dataclasses.field(default_factory=dict)

    def before(self, session, event):
        asked = event.argument, session.binary
        self.allowed['now'] = asked == (self.argument, self.binary)
        if not self.allowed['now']:
            session.close_port()

    def answer(self, reply):
        return reply if self.allowed['now'] else actions.wire(self.reply)


@dataclasses.dataclass(frozen=True)
class Recode(actions.Action):
    """550 is told by another code."""

    code: str

    def answer(self, reply):
        return self.code.encode() + reply[3:] if reply.startswith(b'550') else reply


def only(server, way, *, reply):
    """Let `server` list in this `way` only, and refuse all others."""
    if way.verb == 'NLST':
        server.fault('MLSD', faults.Reply(reply))
        server.fault('NLST', Only(reply, way.argument, way.type == 'I'))
    else:
        server.fault('NLST', faults.Reply(reply))


class LockTests(Scenario, unittest.TestCase):
    """Somebody's lock is seen in whichever way the server shows it, or nothing is begun."""

    def test_every_way_to_list_is_tried_whatever_the_others_are_refused_with(self):
        for way in LISTINGS:
            for reply in some((*REFUSALS, *INSTEAD), 3):
                with self.subTest(way=str(way), reply=reply):
                    self.prepare()
                    refusal = reply if reply in REFUSALS else REFUSALS[0]
                    self.fault('SIZE MDTM', faults.Reply(refusal))
                    only(self.server, way, reply=reply)
                    self.plant('write')
                    self.assert_run(75, '', self.export('a', size_check=False))
                    self.assertEqual({'write': b'theirs'}, self.remote)

    def test_it_works_in_whichever_way_the_server_lists(self):
        for way in LISTINGS:
            for reply in some((REFUSALS[0], *INSTEAD), 2):
                with self.subTest(way=str(way), reply=reply):
                    self.prepare()
                    self.fault('SIZE MDTM', faults.Reply('550 Permission denied.'))
                    only(self.server, way, reply=reply)
                    self.assert_run(0, 'a b', self.export('a', 'b', size_check=False))
                    self.assertEqual(1, self.server.connected)

    def test_what_works_is_remembered(self):
        self.fault('MLSD', faults.Reply('550 Permission denied.'))
        self.assert_run(0, 'a', self.export('a'))
        self.assertEqual(1, len(self.server.commands('MLSD')))

    def test_blind(self):
        """Not even what we have made is shown: nothing is overwritten, deleted or sent."""
        listings = (faults.Reply('550 No.'), faults.Reply('502 What?'), faults.Alter(keep=0))
        for listing in listings:
            for reply in some(REFUSALS, 2):
                with self.subTest(listing=listing, reply=reply):
                    self.prepare()
                    self.fault('MLSD NLST', listing)
                    self.fault('SIZE MDTM', faults.Reply(reply))
                    self.plant('write')
                    report = self.export('a', size_check=False)
                    self.assert_run(78, '', report)
                    self.assertEqual({'write': b'theirs'}, self.remote)
                    self.assertNotIn('DELE write', self.server.commands('DELE'))

    def test_a_listing_of_others_only_is_not_believed(self):
        self.fault('MLSD NLST', faults.Alter(keep=0, extra=b'type=file; x.xml\r\n'))
        self.fault('SIZE', faults.Reply('550 No.'))
        self.plant('write')
        self.assert_run(78, '', self.export('a', size_check=False))

    def test_a_size_does_not_make_up_for_a_listing(self):
        """A lock that somebody has in use is refused in the words for: there is none."""
        for listing in faults.Reply('550 No.'), faults.Alter(keep=0):
            for name, options in ('write', {}), ('read', {'size_check': False}):
                with self.subTest(listing=listing, name=name):
                    self.prepare()
                    self.fault('MLSD NLST', listing)
                    self.assert_run(78, '', self.export('a', **options))
                    self.assertEqual({}, self.remote)
                    self.plant(name)
                    self.fault('SIZE RETR MDTM', faults.Reply('550 In use.'), path=f'*/{name}')
                    self.assert_run(78, '', self.export(temporary=False, **options))
                    self.assertEqual({name: b'theirs'}, self.remote)
                    self.assertNotIn('disappeared', self.log)

    def test_a_lock_that_is_in_use_is_listed(self):
        for reply in REFUSALS[:2]:
            for name in 'write', 'read':
                with self.subTest(reply, name=name):
                    self.prepare()
                    self.plant(name)
                    self.fault('SIZE RETR MDTM', faults.Reply(reply), path=f'*/{name}')
                    self.assert_run(75, '', self.export('a'))
                    self.assertEqual({name: b'theirs'}, self.remote)

    def busy(self, name, *, reply):
        """Let the server say `reply` of somebody's `name`, and list nothing."""
        self.fault('SIZE RETR MDTM', faults.Reply(reply), path=f'/cds/{name}')
        self.fault('MLSD NLST', faults.Alter(keep=0))

    def test_a_lock_that_is_in_use_from_now_on(self):
        """Ours is made, and cannot be seen: it is not said to be gone."""
        for reply in '450 In use.', '451 Error.', '553 Not now.':
            with self.subTest(reply):
                self.prepare()
                busy = faults.Call(lambda event, reply=reply: self.busy('write', reply=reply))
                self.fault('RNTO', busy, path='/cds/write')
                report = self.export('a', garbage=1)
                self.assertEqual([], report.delivered)
                self.assertNotIn('disappeared', self.log)
                self.heal()

    def test_our_lock_is_not_listed(self):
        """Its name is hidden, so somebody's was, too."""
        unnamed = faults.Call(lambda event: self.fault('MLSD NLST', faults.Alter(keep=0)))
        self.fault('RNTO', unnamed, path='/cds/write.guard')
        self.assert_run(78, '', self.export('a'))
        self.assertEqual({}, self.remote)

    def test_another_spelling_where_only_listings_tell(self):
        """To some servers it is one name; it cannot be asked for."""
        self.fault('SIZE', faults.Reply('550 No.'))
        self.plant('WRITE')
        self.assert_run(75, '', self.export('a', size_check=False))
        self.server.clear_faults()
        self.assert_run(0, 'a', self.export(size_check=False))

    def test_no_renaming_on_a_server_that_shows_nothing(self):
        """The lock would be stored over somebody's, which nobody sees."""
        self.fault('MLSD NLST SIZE RNFR', faults.Reply('550 No.'))
        self.plant('write')
        self.assert_run(78, '', self.export('a', size_check=False, temporary=False))
        self.assertEqual({'write': b'theirs'}, self.remote)

    def test_nothing_stays_in_ascii(self):
        only(self.server, LISTINGS[3], reply='504 Not in this type.')
        self.assert_run(0, 'a', self.export('a'))
        types = self.server.commands('TYPE')
        self.assertEqual(types.count('TYPE A'), types[1:].count('TYPE I'))

    def test_the_port_for_a_listing_is_refused(self):
        """That says nothing about the directory."""
        self.fault('EPSV', faults.Reply('500 What?'))
        self.fault('PASV', faults.Reply('550 Not for you.'))
        session = target(self.server).open()
        self.addCleanup(session.close)
        with self.assertRaises(errors.PermanentError):
            session.names()
        self.assertEqual([], self.server.commands('MLSD', 'NLST'))


class ReplacingTests(Scenario, unittest.TestCase):
    def test_nothing_is_put_aside_of_which_nothing_is_told(self):
        """The server refuses to overwrite it, and its words are what is said."""
        self.plant('a')
        self.fault('SIZE', faults.Reply('450 In use.'), path='/cds/a')
        self.fault('RNTO', faults.Reply('553 Not allowed.'), path='/cds/a')
        report = self.export('a')
        self.assert_run(1, '', report)
        self.assertIn('553 Not allowed.', dict(report.failed)['a'])
        self.assertEqual({'a': b'theirs'}, self.remote)


class KilledTests(Scenario, unittest.TestCase):
    """One kill is healed on servers that have other words for: there is no such file."""

    def kill(self, verb, path):
        def kill(event):
            process.kill()

        log = self.enterContext(tempfile.NamedTemporaryFile()).name
        rule = self.fault(verb, faults.Call(kill, moment='executed'), path=path, times=1)
        goal = target(self.server)
        process = Process(lambda: Exporter(self.spool, goal).run_once().exit_code, log=log)
        self.assertEqual(-signal.SIGKILL, process.run())
        self.server.wait_closed()
        self.server.remove_fault(rule)

    def test_it_is_healed(self):
        moments = (
            ('MKD', '/cds/*'),
            ('STOR', '/cds/write.*'),
            ('RNTO', '/cds/write'),
            ('STOR', '/cds/a*'),
            ('RNTO', '/cds/a'),
            ('DELE', '/cds/write'),
        )
        codes = (('551', '450'), ('500', '550'), ('451', '502'), ('450', '550'))
        for number, (verb, path) in enumerate(moments):
            for retr, size in some(codes[number % 2 :: 2], 2):
                with self.subTest(verb=verb, path=path, retr=retr, size=size):
                    self.prepare()
                    self.fault('RETR', Recode(retr))
                    self.fault('SIZE', Recode(size))
                    self.put('a')
                    self.kill(verb, path)
                    self.assert_run(0, 'a' if 'a' in self.section('new') else '', self.export())
                    self.assertEqual({'a'}, {*self.remote})
                    connected = self.server.connected
                    self.assert_run(0, '', self.export())
                    self.assertEqual(connected, self.server.connected, 'it is remembered')

    def test_an_idle_run_that_sees_nothing_proves_it(self):
        self.put('a')
        self.kill('MKD', '/cds/*')
        (self.path / 'new' / 'a').unlink()
        del self.offered['a']
        for path in sorted(self.server.directories, reverse=True):
            if path.startswith('/cds/'):
                self.server.remove_directory(path)
        self.assert_run(0, '', self.export())
        self.assertEqual({}, self.remote)
        connected = self.server.connected
        self.assert_run(0, '', self.export())
        self.assertEqual(connected, self.server.connected)

    def test_a_lock_that_cannot_be_seen_is_not_forgotten(self):
        """While the server shows nothing; it is removed when it does again."""
        self.put('a')
        self.kill('RNTO', '/cds/write')
        self.fault('MLSD NLST SIZE RETR', faults.Reply('550 No.'))
        report = self.export(garbage=len([n for n in self.remote if n.startswith('write')]))
        self.assertEqual(78, report.exit_code)
        self.assertIn('write', self.remote)
        self.heal()

    def test_what_is_busy_is_not_forgotten(self):
        """An idle run is refused the size of our lock, and no other one; then it is seen again."""
        for reply in some(REFUSALS[1:], 2):
            with self.subTest(reply):
                self.prepare()
                self.put('a')
                self.kill('RNTO', '/cds/write')
                (self.path / 'new' / 'a').unlink()
                del self.offered['a']
                self.fault('SIZE RETR', faults.Reply(reply), path='/cds/write')
                self.fault('MLSD NLST', faults.Alter(keep=0))
                report = self.export(garbage=len([n for n in self.remote if n[:5] == 'write']))
                self.assertIn(report.exit_code, (73, 75, 78))
                self.heal()
                self.assertEqual({}, self.remote)

    def test_a_temporary_that_is_busy(self):
        """It was not renamed: an older file of the same length is not the one that was sent."""
        for reply in some(REFUSALS[1:], 3):
            for blind in True, False:
                with self.subTest(reply, blind=blind):
                    self.prepare()
                    older = content('a')[::-1]
                    self.plant('a', older)
                    self.put('a')
                    # Killed before: its answer never comes, and it is not executed.
                    self.fault('RNTO', faults.Cut(), path='/cds/a')
                    self.fault(faults.GREETING, faults.Reply('421 Busy.'), nth=1)
                    self.export(garbage=2)
                    self.server.clear_faults()
                    self.fault('SIZE DELE', faults.Reply(reply), path='/cds/*.part')
                    if blind:
                        self.fault('MLSD NLST', faults.Alter(keep=0))
                    report = self.export(garbage=2)
                    self.assertEqual([], report.delivered)
                    self.assertEqual(older, self.remote['a'])
                    self.heal()
                    self.assertEqual({'a': content('a')}, self.remote)

    def test_an_old_file_stays_aside_while_the_new_one_cannot_be_seen(self):
        """Its name may be taken: it would overwrite what stands there."""
        goal = target(self.server)
        with self.spool.run():
            token = self.spool.journal.new_token(goal.url)
            aside = names.aside('a', token=token)
            self.spool.journal.note('aside', target=goal.url, name='a', aside=aside)
        self.plant('a', b'newer')
        self.plant(aside, b'older')
        self.fault('SIZE MLSD NLST', faults.Reply('550 No.'))
        self.assert_run(78, '', self.export(size_check=False))
        self.assertEqual({'a': b'newer', aside: b'older'}, self.remote)
        self.server.clear_faults()
        del self.theirs[aside]
        self.assert_run(0, '', self.export())
        self.assertEqual({'a': b'newer'}, self.remote)


class ImportTests(ImportScenario, unittest.TestCase):
    def test_in_whichever_way_the_server_lists(self):
        for way in LISTINGS:
            for reply in ('550 Permission denied.', '504 Not so.'):
                with self.subTest(way=str(way), reply=reply):
                    self.prepare()
                    self.offer('a.xml', 'b.xml')
                    only(self.server, way, reply=reply)
                    self.assert_run(0, 'a.xml b.xml', self.run_import())

    def test_blind(self):
        self.offer('a.xml')
        self.fault('MLSD NLST', faults.Reply('550 No.'))
        self.assert_run(78, '', self.run_import())

    def test_a_file_that_is_in_use(self):
        """It is listed, so it is there, and has failed; whatever it is refused by."""
        for reply in REFUSALS[:2]:
            with self.subTest(reply):
                self.prepare()
                self.offer('a.xml', 'b.xml')
                self.fault('SIZE MDTM RETR', faults.Reply(reply), path='*/a.xml')
                report = self.run_import()
                self.assert_run(1, 'b.xml', report)
                self.assertEqual(['a.xml'], [name for name, _ in report.failed])
                self.heal()

    def test_what_is_to_be_deleted_is_in_use(self):
        """It was imported, and is not forgotten: else it would be imported once more."""
        for reply in REFUSALS[:2]:
            with self.subTest(reply):
                self.prepare()
                self.offer('a.xml')
                self.fault('DELE', faults.Reply('550 In use.'), path='*/a.xml')
                self.assert_run(1, 'a.xml', self.run_import())
                self.fault('SIZE MDTM RETR', faults.Reply(reply), path='*/a.xml')
                self.assertEqual([], self.run_import().delivered)
                self.heal()

    def test_what_was_to_be_deleted_is_gone(self):
        """One listing tells it of all: each of them may come again, and is imported then."""
        names = 'a.xml', 'b.xml', 'c.xml'
        self.fault('DELE', faults.Reply('550 No.'), path='*.xml')
        self.assert_run(1, ' '.join(names), self.run_import(*names))
        self.server.clear_faults()
        for name in names:
            self.server.delete(f'/cds/{name}')
            take(self.path, name)
        before = len(self.server.commands('MLSD'))
        self.assert_run(0, '', self.run_import())
        self.assertEqual(4, len(self.server.commands('MLSD')) - before)
        self.assert_run(0, ' '.join(names), self.run_import(*names))

    def test_a_server_that_permits_no_size(self):
        """It says 550, as of a file that is not there: without a size check it is taken."""
        self.offer('a.xml')
        self.fault('SIZE MLSD', faults.Reply('550 Permission denied.'))
        self.assert_run(78, '', self.run_import())
        self.assert_run(0, 'a.xml', self.run_import(size_check=False))


class Server:
    """What a `Presence` asks: `sizes` and `listings` by what they are asked for."""

    def __init__(self, capabilities):
        self.capabilities = capabilities
        self.there = {}
        self.listed = set()
        self.refusal = errors.PermanentError(550, '550 No.')
        self.asked = []

    def __call__(self, method, *args):
        self.asked.append(' '.join([method, *args]))
        if method == 'list_facts':
            return dict.fromkeys(self.listed, (None, None))
        (name,) = args
        if name not in self.there:
            raise self.refusal
        self.capabilities.sizes = True
        return self.there[name]


class PresenceTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.capabilities = Capabilities()
        self.server = Server(self.capabilities)
        self.presence = Presence(self.server, capabilities=self.capabilities)

    def assert_unknown(self, name):
        for ask in (self.presence.size, self.presence.exists):
            with self.assertRaises(errors.NotTold):
                ask(name)

    def test_a_refusal_proves_nothing(self):
        """Nor if SIZE has told the length of another file: this one may be in use."""
        self.assert_unknown('a')
        self.server.listed = {'b', 'c'}
        self.assert_unknown('a')
        self.server.there = {'b': 3}
        self.assertEqual(3, self.presence.size('b'))
        self.assert_unknown('a')

    def test_a_listing_proves_it_that_shows_what_is_known_to_be_there(self):
        self.capabilities.known.add('lock')
        self.assert_unknown('a')
        self.server.listed = {'lock'}
        self.assertEqual((None, False), (self.presence.size('a'), self.presence.exists('a')))

    def test_whether_sizes_are_told_is_asked_once(self):
        self.assertFalse(self.presence.tells_sizes())
        self.server.there = {'lock': 1}
        self.capabilities.known.add('lock')
        self.assertTrue(self.presence.tells_sizes() and self.presence.tells_sizes())
        self.assertEqual(['size lock'], self.server.asked)

    def test_what_is_listed_is_there_whatever_it_is_refused_by(self):
        """A directory, or a file that somebody has in use: Windows says 550 of it."""
        self.server.there = {'lock': 1}
        self.capabilities.known.add('lock')
        self.presence.size('lock')
        for refusal in REFUSALS:
            with self.subTest(refusal):
                kind = errors.TemporaryError if refusal[0] == '4' else errors.PermanentError
                self.server.refusal = kind(int(refusal[:3]), refusal, command='RETR a')
                self.server.listed = set()
                self.assert_unknown('a')
                self.server.listed = {'lock'}
                self.assertIsNone(self.presence.size('a'))
                self.assertFalse(self.presence.exists('a'))
                self.presence.require_unreadable('a', self.server.refusal)
                self.server.listed = {'lock', 'a'}
                self.assertTrue(self.presence.exists('a'))
                with self.assertRaises(errors.NotTold) as caught:
                    self.presence.size('a')
                self.assertIn(refusal, caught.exception.message)
                with self.assertRaises(kind):
                    self.presence.require_unreadable('a', self.server.refusal)

    def test_what_has_a_size_is_there_and_not_sent(self):
        refusal = errors.PermanentError(551, '551 No.', command='RETR a')
        self.server.there = {'a': 3}
        with self.assertRaises(errors.PermanentError):
            self.presence.require_unreadable('a', refusal)

    def test_only_that_a_file_is_not_available_is_said_of_one_that_is_not_there(self):
        """Where sizes are told; any other refusal is handed on, as of one that is in use."""
        missing = errors.PermanentError(550, '550 No such file.')
        busy = errors.TemporaryError(450, '450 In use.')
        self.assertEqual([missing, busy], self.presence.found([missing, busy]))
        self.capabilities.sizes = True
        self.assertEqual([None, busy, 3], self.presence.found([missing, busy, 3]))
