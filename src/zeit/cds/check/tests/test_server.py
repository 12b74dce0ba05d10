"""What is found out about servers, that nothing stays there, and what is remembered."""

import contextlib
import itertools
import os
import unittest
import unittest.mock

from zeit.cds import errors, names
from zeit.cds.check import server as checking
from zeit.cds.check.finding import CAN, CANNOT, FAILED, UNKNOWN, WARNING
from zeit.cds.run.exporter import Exporter
from zeit.cds.sftp.tests.test_faults import target as oversftp
from zeit.cds.sftp.tests.test_hostile import always, attributes, number
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import faults, layers
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.ftpdata import Port
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.testing.sftpfaults import SFTPFaultServer
from zeit.cds.testing.tls import TLS
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.killing import Killer, Process
from zeit.cds.tests.oversftp import FTP_WORDS
from zeit.cds.tests.test_contract import target


#: What a name is for `questions.NAMES`, by a character in it that a server may change.
KINDS = {'umlauts': 'a\xe4b', 'blanks': 'a b', 'blanks at ends': ' b ', 'quotes': 'a"b'}


def check(spool, target, *, imports=False, **options):
    """Return the findings by name."""
    found = checking.server(spool, target, imports=imports, wait=lambda seconds: None, **options)
    return {each.name: each for each in found}


def results(found):
    return {name: each.result for name, each in found.items()}


def cannot(profile):
    """Return what a server that behaves like a `Profile` cannot, by the names of findings."""
    answers, switches = profile.answers, profile.switches
    unknown = {*answers.unknown.split(), *answers.denied.split()}
    commands = {
        'EPSV': 'use EPSV',
        'SIZE': 'tell sizes',
        'MDTM': 'tell times',
        'MLSD': 'list by MLSD',
        'NLST': 'list by NLST',
        'MKD': 'guard locks',
    }
    found = {name for verb, name in commands.items() if verb in unknown}
    found |= {'replace'} if not answers.replaces else set()
    found |= {'guard locks'} if profile.merges else set()
    found |= {'take two commands'} if {'holds', 'single'} & {*switches} else set()
    return found | {f'keep {kind}' for kind, name in KINDS.items() if not profile.keeps(name)}


class SFTPTests(unittest.TestCase):
    layer = layers.QUIET

    def test_what_a_server_can(self):
        with SFTPFaultServer(directories=['/cds'], digests=['sha256']) as server:
            spool = Spool(in_memory(self))
            target = oversftp(server)
            found = check(spool, target)
            self.assertEqual(set(), {n for n, r in results(found).items() if r != CAN}, found)
            self.assertIn('aes', found['speak SSH'].found)
            self.assertNotRegex(repr(found), FTP_WORDS)
            self.assertIn('sha256', found['compare'].found)
            self.assertEqual({}, server.files)
            server.extensions, server.digests = (), ()
            found = results(check(spool, target))
            self.assertEqual(
                (CANNOT, UNKNOWN, CANNOT),
                tuple(found[name] for name in ('replace at once', 'sync files', 'compare')),
            )

    def test_the_words_are_those_of_sftp_also_of_what_it_cannot(self):
        with SFTPFaultServer(directories=['/cds']) as server:
            server.fault('FSTAT LSTAT STAT', always(attributes(number(0))))  # no size, no time
            found = check(Spool(in_memory(self)), oversftp(server, size_check=False))
        self.assertIn(CANNOT, results(found).values())
        self.assertNotRegex(repr(found), FTP_WORDS)


class ProfileTests(unittest.TestCase):
    """On mirrors of real servers."""

    layer = layers.QUIET

    def test_what_each_can(self):
        for profile in PROFILES.values():
            if 'DELE' in profile.answers.denied or 'RNFR' in profile.answers.denied:
                continue
            with self.subTest(profile.name), profile.server() as server:
                spool = Spool(in_memory(self))
                found = check(spool, target(server))
                self.assertEqual(
                    cannot(profile), {n for n, r in results(found).items() if r == CANNOT}, found
                )
                self.assertEqual([], [n for n, r in results(found).items() if r == FAILED])
                self.assertEqual({}, server.files)
                self.assertEqual(0, errors.decisive(each.code for each in found.values()))
                # A run that follows goes through, with what was learned.
                spool.put('a.xml', b'x')
                self.assertEqual(0, Exporter(spool, target(server)).run_once().exit_code)

    def test_a_right_that_is_missing_ends_it(self):
        for name in ('no-delete', 'no-rename'):
            with self.subTest(name), PROFILES[name].server() as server:
                found = check(Spool(in_memory(self)), target(server))
                self.assertEqual((FAILED, 78), (found['lock'].result, found['lock'].code))
                self.assertEqual(CAN, found['move data'].result)


class FaultTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        super().setUp()
        self.server = self.enterContext(faults.FaultServer())
        self.spool = Spool(in_memory(self))

    def check(self, **options):
        return check(self.spool, target(self.server, **options))

    def test_what_is_found_out_is_remembered(self):
        self.server.fault('MLSD', faults.Reply('500 Unknown.'))
        self.check()
        with self.spool.run():
            view = self.spool.journal.at(target(self.server).url)
            self.assertEqual(['NLST', '', 'I'], view.learned()['facts']['listing'])
            self.assertTrue(self.spool.journal.row('rights', view.url)['known'])
        self.server.clear_faults()
        self.check()
        with self.spool.run():
            view = self.spool.journal.at(target(self.server).url)
            self.assertNotIn('listing', view.learned()['facts'])

    def test_rights_are_tried_anew(self):
        self.server.fault('MKD', faults.Reply('550 No.'))
        self.assertEqual(CANNOT, self.check()['guard locks'].result)
        self.server.clear_faults()
        self.assertEqual(CAN, self.check()['guard locks'].result)
        self.server.fault('DELE', faults.Reply('550 No.'), path='/write.*')
        self.assertEqual(78, self.check()['lock'].code)

    def test_it_counts_as_no_run(self):
        self.check()
        self.assertEqual({}, self.spool.status().numbers.runs)

    def test_a_lock_of_somebody_else(self):
        self.server.put('/write', b'The partner, since noon')
        found = self.check()
        self.assertEqual((UNKNOWN, 75), (found['lock'].result, found['lock'].code))
        self.assertIn('The partner, since noon', found['lock'].found)
        self.assertEqual((CAN, CAN), (found['log in'].result, found['move data'].result))
        self.assertEqual({'/write': b'The partner, since noon'}, dict(self.server.files))

    def test_another_run_of_the_spool(self):
        with self.spool.run():
            found = self.check()
        self.assertEqual((UNKNOWN, 75), (found['lock'].result, found['lock'].code))
        self.assertEqual(CAN, found['log in'].result)

    def test_a_refused_login(self):
        self.server.fault('PASS', faults.Reply('530 No.'))
        found = self.check()
        self.assertEqual((FAILED, 77), (found['log in'].result, found['log in'].code))

    def test_no_server(self):
        self.server.stop()
        found = self.check()
        self.assertEqual((FAILED, 69), (found['log in'].result, found['log in'].code))

    def test_an_importer_takes_its_own_lock(self):
        check(self.spool, target(self.server), imports=True)
        made = {each.partition(' ')[2] for each in self.server.commands('RNTO')}
        self.assertIn('read', made)
        self.assertNotIn('write', made)
        self.server.put('/write', b'A partner')
        found = check(self.spool, target(self.server), imports=True)
        self.assertEqual(75, found['lock'].code)

    def test_without_renaming(self):
        self.server.fault('RNFR RNTO', faults.Reply('502 No.'))
        self.assertIn('temporary', self.check()['lock'].setting)
        found = self.check(temporary=False)
        self.assertEqual(CANNOT, found['rename'].result)
        self.assertEqual(0, errors.decisive(each.code for each in found.values()))
        self.assertEqual({}, self.server.files)

    def test_without_sizes(self):
        self.server.fault('SIZE MLSD', faults.Reply('502 No.'))
        self.assertIn('size_check="no"', self.check()['lock'].setting)
        found = self.check(size_check=False)
        self.assertEqual(CANNOT, found['tell sizes'].result)
        self.assertIn('size_check="no"', found['tell sizes'].setting)

    def test_a_target_that_somebody_else_made(self):
        found = check(self.spool, MemoryTarget())
        self.assertEqual(CAN, found['replace'].result, found)
        self.assertEqual(0, errors.decisive(each.code for each in found.values()))

    def test_data_ports_behind_a_firewall(self):
        with contextlib.closing(Port('127.0.0.1', kind='refused')) as port:
            number = port.number
            self.server.fault('EPSV', faults.Reply(f'229 Ok (|||{number}|)'))
            pasv = f'227 Ok (127,0,0,1,{number >> 8},{number & 255})'
            self.server.fault('PASV', faults.Reply(pasv))
            found = self.check()
        self.assertEqual((FAILED, 69), (found['move data'].result, found['move data'].code))
        self.assertIn('passive="no"', found['move data'].setting)

    def test_no_data_connection(self):
        self.server.fault('EPSV', faults.Reply('500 No.'))
        self.server.fault('PASV', faults.Reply('500 No.'))
        found = self.check()
        self.assertEqual(CAN, found['log in'].result)
        self.assertEqual(FAILED, found['list'].result)

    def test_a_clock_in_another_zone(self):
        for off, name in ((7200, 'tell UTC'), (-2700, 'tell UTC'), (500, 'keep time')):
            with self.subTest(off):
                self.server.clear_faults()
                self.server.fault('MDTM', faults.Call(self.shift(off)))
                found = self.check()[name]
                self.assertEqual(CANNOT, found.result)
                said = {7200: 'UTC+02:00', -2700: 'UTC-00:45', 500: 'ahead'}[off]
                self.assertIn(said, found.found)

    def shift(self, seconds):
        """Return what lets the file that is asked for be of another time."""

        def call(event):
            content = event.server.files[event.path]
            event.server.put(event.path, content, modified=checking.time.time() + seconds)

        return call

    def test_a_file_that_is_changed_on_the_way(self):
        def change(event):
            if b'check' in event.path.encode() and event.path in event.server.files:
                data = event.server.files[event.path]
                event.server.put(event.path, data.replace(b'\r\n', b'\n\n'))

        self.server.fault('RETR', faults.Call(change))
        found = self.check()
        self.assertEqual((FAILED, 78), (found['send files'].result, found['send files'].code))
        self.assertEqual({}, self.server.files)

    def test_a_server_that_only_says_that_it_replaces(self):
        self.server.fault('RNTO', faults.Reply('250 Ok.'), path='/check.*-1.part', nth=1)
        found = self.check()
        self.assertEqual((FAILED, 78), (found['replace'].result, found['replace'].code))
        self.assertEqual({}, self.server.files)

    def test_one_that_only_says_that_it_deletes(self):
        self.server.fault('DELE', faults.Reply('250 Ok.'), path='/check.*-1.part', times=1)
        found = self.check()
        self.assertEqual((FAILED, 78), (found['delete'].result, found['delete'].code))
        self.assertEqual({}, self.server.files)

    def test_one_login_at_a_time(self):
        with faults.FaultServer(max_connections=1) as server:
            found = check(self.spool, target(server))
            self.assertEqual(CANNOT, found['send at once'].result)
            self.assertEqual({}, server.files)
        self.assertEqual(CAN, self.check()['send at once'].result)

    def test_a_signal_leaves_nothing(self):
        def ask(name, probe):
            probe.session.store(probe.new(), b'x')
            raise SystemExit(143)

        with unittest.mock.patch.dict(checking.questions.QUESTIONS, {'send files': ask}):
            with self.assertRaises(SystemExit):
                self.check()
        self.assertEqual({}, self.server.files)

    def test_what_cannot_be_deleted_is_said_and_goes_later(self):
        self.server.fault('DELE', faults.Reply('450 Later.'), path='/check.*-1.part')
        found = self.check()
        self.assertIn('450', found['delete'].found)
        self.assertEqual(WARNING, found['clean up'].result)
        self.assertEqual(1, len(self.server.files))
        self.server.clear_faults()
        self.check()
        self.assertEqual({}, self.server.files)

    def test_in_tls(self):
        with Certificates() as certificates:
            tls = TLS(certificate=certificates.server)
            with faults.FaultServer(tls=tls) as server:
                goal = target(server, tls='explicit', ca_file=str(certificates.ca_file))
                found = check(self.spool, goal)
                for name in 'speak TLS', 'resume TLS':
                    self.assertEqual(CAN, found[name].result)
                self.assertRegex(found['speak TLS'].found, '^TLSv1.3')
                self.assertIn('127.0.0.1', found['certificate'].found)
            with faults.FaultServer(tls=tls, tickets=0) as server:
                goal = target(server, tls='explicit', ca_file=str(certificates.ca_file))
                self.assertEqual(CANNOT, check(self.spool, goal)['resume TLS'].result)


class KillTests(unittest.TestCase):
    """Killed at each command, its traces are removed by the next run."""

    layer = layers.QUIET
    level = 2

    def test_the_next_run_removes_what_is_left(self):
        for moment in ('lost', 'executed'):
            for nth in itertools.count(1):
                killer = Killer()
                with faults.FaultServer(hook=killer) as server:
                    spool = Spool(in_memory(self))

                    def run(spool=spool, server=server):
                        check(spool, target(server))
                        return 0

                    process = Process(run, log=os.path.join(in_memory(self), 'log'))
                    killer.aim(process, nth, moment=moment)
                    code = process.run()
                    killer.process = None
                    server.wait_closed()
                    server.clear_faults()
                    with self.subTest(moment=moment, nth=nth):
                        spool.put('a.xml', b'x')
                        report = Exporter(spool, target(server)).run_once()
                        self.assertEqual(0, report.exit_code, report.errors)
                        self.assertEqual(['/a.xml'], [*server.files])
                        left = [d for d in server.directories if names.is_guard(d.strip('/'))]
                        self.assertEqual([], left)
                if not code:
                    break
            self.assertGreater(nth, 60)


class LossTests(unittest.TestCase):
    """The connection is lost at each command: it is told, and the next run removes what is left."""

    layer = layers.QUIET
    level = 2

    def test_each_command(self):
        codes = set()
        for moment in ('before', 'executed'):
            for nth in itertools.count():
                with faults.FaultServer() as server:
                    spool = Spool(in_memory(self))
                    rule = server.fault('*', faults.Cut(moment), nth=nth, times=1)
                    found = check(spool, target(server))
                    commands = len(server.commands())
                    server.remove_fault(rule)
                    code = errors.decisive(each.code for each in found.values())
                    codes.add(code)
                    with self.subTest(moment=moment, nth=nth):
                        spool.put('a.xml', b'x')
                        report = Exporter(spool, target(server)).run_once()
                        self.assertEqual(0, report.exit_code, (code, report.errors))
                        self.assertEqual(['/a.xml'], [*server.files])
                        told = [e for e in found.values() if e.result == CANNOT]
                        broke = [e for e in told if 'connection' in e.found]
                        self.assertEqual(told, broke)
                        bare = {'DELE', 'RNTO', 'RNFR', 'STOR', 'SIZE'} & {*server.commands()}
                        self.assertEqual(set(), bare)
                if nth >= commands:
                    break
            self.assertGreater(nth, 60)
        self.assertLessEqual(codes, {0, 69, 73})


class RealTests(layers.ServerTests, unittest.TestCase):
    """On a real server."""

    layer = layers.VSFTPD

    def test_all_is_found_out(self):
        found = check(Spool(in_memory(self)), target(self.server))
        wrong = {n for n, r in results(found).items() if r in (FAILED, UNKNOWN, WARNING)}
        self.assertEqual(set(), wrong)
        self.assertEqual({'list by MLSD'}, {n for n, r in results(found).items() if r == CANNOT})
        self.assertEqual(CAN, found['take packets'].result)
        self.assertEqual([], os.listdir(self.server.root))
