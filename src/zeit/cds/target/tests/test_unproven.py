"""A final reply that is another command's own proves nothing: the effect is asked for."""

import contextlib
import io
import itertools
import os
import unittest

from zeit.cds import errors
from zeit.cds.run.importer import Importer
from zeit.cds.testing import actions, faults
from zeit.cds.tests.sampling import some
from zeit.cds.tests.scenario import Scenario, content, target


#: Codes that no command has that changes a file or a directory, but others have.
CODES = (202, 211, 213, 220, 221, 225, 227, 229, 230, 331, 350)


class CommandTests(Scenario, unittest.TestCase):
    """One command over a session; it answers with another command's code."""

    def prepare(self):
        super().prepare()
        self.server.put('/cds/a', b'12345')
        self.server.make_directory('/cds/d')
        self.server.make_directory('/cds/full/inside')
        self.session = target(self.server, reply_timeout=0.5).open()
        self.addCleanup(self.session.close)
        self.session.names()
        self.server.put('/cds/kept', b'')
        self.session.known.add('kept')  # which a listing must show to be believed

    CALLS = (
        ('RNTO', lambda session: session.rename('a', 'b')),
        ('RNTO', lambda session: session.rename('d', 'e')),
        ('DELE', lambda session: session.delete('a')),
        ('MKD', lambda session: session.make_directory('new')),
        ('MKD', lambda session: session.make_directory('d/new')),
        ('RMD', lambda session: session.remove_directory('d')),
        ('RMD', lambda session: session.remove_directory('full/inside')),
        ('STOR', lambda session: session.store('a.xml', b'content')),
    )

    def state(self):
        return self.server.files, self.server.directories

    def test_a_directory_that_is_entered_although_that_was_refused_is_left(self):
        for code in 450, 503, 550:
            with self.subTest(code):
                self.prepare()
                self.fault('CWD', faults.Lie(f'{code} No.'), path='/cds/d', times=1)
                with self.assertRaises(errors.ServerError):
                    self.session.names(inside='d')
                self.session.store('b.xml', b'content')
                self.assertIn('/cds/b.xml', self.server.files)

    def test_what_was_not_answered_may_still_be_executed(self):
        for verb, call in (
            ('DELE', lambda session: session.delete('a')),
            ('RNTO', lambda session: session.rename('a', 'b')),
            ('DELE', lambda session: session.perform(('MKD', 'new'), ('DELE', 'a'))),
        ):
            with self.subTest(verb):
                self.prepare()
                self.session.capabilities.orderly = True
                self.fault(verb, faults.Cut())
                with self.assertRaises(errors.Error):
                    call(self.session)
                self.assertEqual({'a'}, self.session.unconfirmed)

    def closed_while_listing(self, *actions, **when):
        """Pure-FTPd's last words, about a directory that went while it was listed."""
        last = faults.Reply('421 0 matches total / chdir: No such file or directory')
        self.fault('MLSD', *actions, last, path='/cds/d', **when)

    def test_a_directory_that_goes_while_it_is_listed(self):
        """Somebody has removed it: a refusal, and no lost connection."""
        remove = faults.Call(lambda event: self.server.remove_directory('/cds/d'))
        self.closed_while_listing(times=1)
        self.closed_while_listing(remove, nth=1, times=1)
        with self.assertRaises(errors.TemporaryError):
            self.session.names(inside='d')
        self.assertIn('a', self.session.names())

    def test_a_directory_that_came_back_meanwhile(self):
        self.closed_while_listing(times=4)
        self.assertEqual(set(), self.session.names(inside='d'))

    def test_a_server_that_closes_whenever_a_directory_is_listed(self):
        self.closed_while_listing(times=None)
        with self.assertRaises(errors.LOST):
            self.session.names(inside='d')

    def test_a_command_that_was_executed_succeeds(self):
        for number, (verb, call) in enumerate(self.CALLS):
            for code in CODES[number::3]:
                for told in False, True:
                    with self.subTest(verb, number=number, code=code, told=told):
                        self.prepare()
                        if told:
                            self.session.size('a')
                        before = self.state()
                        self.fault(verb, faults.Lie(f'{code} (|||1|).'), times=1)
                        call(self.session)
                        self.assertNotEqual(before, self.state())
                        self.session.names()
                        self.assertEqual(1, self.server.connected)

    def test_a_command_that_was_not_executed_is_a_lost_connection(self):
        for number, (verb, call) in enumerate(self.CALLS):
            for code in CODES[number::3]:
                with self.subTest(verb, number=number, code=code):
                    self.prepare()
                    before = self.state()
                    self.fault(verb, faults.Reply(f'{code} (|||1|).'), times=1)
                    with self.assertRaises(errors.LOST):
                        call(self.session)
                    self.assertEqual(before, self.state())
                    self.session.names()
                    self.assertEqual(2, self.server.connected)

    def test_a_server_that_does_not_know_noop(self):
        """Its refusal is an answer like any other; one that is left over is noticed."""
        for number, (verb, call) in enumerate(self.CALLS):
            for refusal in '500 What?', '402 No.':
                for more, connected in ('', 1), ('\n500 What?', 2), ('\n250 Done.', 2):
                    with self.subTest(verb, number=number, refusal=refusal, more=more):
                        self.prepare()
                        self.fault('NOOP', faults.Reply(refusal))
                        self.fault(verb, faults.Lie(f'229 (|||1|).{more}'), times=1)
                        with contextlib.suppress(errors.LOST):
                            call(self.session)
                        self.session.names()
                        self.assertEqual(connected, self.server.connected)

    def test_what_cannot_be_there_is_not_there(self):
        """A directory in one that is not there, or not any more."""
        for verb in 'CWD', '':
            with self.subTest(verb):
                self.prepare()
                self.fault('RMD', faults.Lie('226 Done.'), times=1)
                self.session.remove_directory('none/inside')
                self.assertEqual(1, self.server.connected)

    def test_a_reply_comes_late(self):
        """It is an answer to SIZE in its form; only the last question shows it."""
        self.session.size('a')
        self.session._capabilities.together = False
        self.fault('RNTO', faults.Reply('226 Done.'), times=1)
        self.fault('SIZE', faults.Extra('213 5', first=True), times=1)
        with self.assertRaises(errors.LOST):
            self.session.rename('a', 'b')
        self.assertEqual(5, self.session.size('a'))

    def test_one_that_sizes_say_nothing_about(self):
        self.fault('SIZE', faults.Reply('502 No.'))
        for verb, call in self.CALLS[:3]:
            with self.subTest(verb):
                self.server.put('/cds/a', b'12345')
                before = self.state()
                self.fault(verb, faults.Lie('226 Done.'), times=1)
                call(self.session)
                self.assertNotEqual(before, self.state())
        self.assertEqual(1, self.server.connected)

    def test_another_file_has_the_new_name(self):
        """It has had it before: an older one, of another size."""
        self.server.put('/cds/b', b'old')
        self.session.size('a')
        gone = faults.Call(lambda event: self.server.delete('/cds/a'))
        self.fault('RNTO', gone, faults.Reply('213 5'))
        with self.assertRaises(errors.LOST):
            self.session.rename('a', 'b')

    def test_what_is_in_use_is_not_gone(self):
        """550 to SIZE is no more than that: only a listing shows what a command has done."""
        calls = (
            ('RNTO', lambda: self.session.rename('a', 'b')),
            (
                'DELE',
                lambda: self.session.delete('a'),
            ),
        )
        for (verb, call), listing in itertools.product(calls, (None, 0)):
            with self.subTest(verb, listing=listing):
                self.prepare()
                self.server.put('/cds/b', b'other')  # of the same length
                self.session.size('a')
                self.fault('SIZE', faults.Reply('550 In use.'), path='/cds/a')
                self.fault('MLSD NLST', faults.Alter(keep=listing))
                self.fault(verb, faults.Reply('226 Done.'))
                before = self.state()
                if verb == 'RNTO' or listing is None:
                    with self.assertRaises(errors.LOST):
                        call()
                else:
                    call()  # whoever depends on it looks once more
                self.assertEqual(before, self.state())

    def test_a_reply_is_left_over(self):
        """It was executed, and its own answer comes behind the one that is not."""
        for (verb, call), together in itertools.product(self.CALLS[:-1], (True, False)):
            for more in '250 Done.', '550 No.', '550 No.\n550 No.':
                with self.subTest(verb, more=more, together=together):
                    self.prepare()
                    self.session.size('a')
                    self.session._capabilities.together = together
                    self.fault(verb, faults.Lie(f'229 (|||1|).\n{more}'), times=1)
                    with self.assertRaises(errors.LOST):
                        call(self.session)
                    self.session.names()
                    self.assertEqual(2, self.server.connected)


class EnteringTests(Scenario, unittest.TestCase):
    """What comes before the first file."""

    def enter(self, **options):
        session = target(self.server, **options).open()
        self.addCleanup(session.close)
        session.names()
        return session

    def test_type_and_cwd(self):
        for verb in 'TYPE', 'CWD', 'PASS', 'TYPE CWD':
            for code in 213, 221, 226, 227, 229:
                with self.subTest(verb, code=code):
                    self.prepare()
                    self.server.put('/cds/a', b'12345')
                    self.fault(verb, faults.Lie(f'{code} Well.'))
                    self.assertEqual(5, self.enter().size('a'))
                    self.assertEqual(1, self.server.connected)

    def test_cwd_was_not_executed(self):
        self.fault('CWD', faults.Reply('226 Well.'))
        with self.assertRaises(errors.NotProven):
            self.enter()

    def test_no_login(self):
        for verb in 'USER', 'PASS':
            with self.subTest(verb):
                self.prepare()
                self.fault(verb, faults.Reply('226 Well.'))
                with self.assertRaises(errors.NotProven) as caught:
                    self.enter()
                self.assertTrue(caught.exception.while_connecting)

    def test_type_is_refused(self):
        """Whether files come to be as they are, their sizes show; without sizes nothing does."""
        for reply in '502 No.', '402 No.', '202 No.':
            with self.subTest(reply):
                self.prepare()
                self.fault('TYPE', Binary(), faults.Reply(reply))
                self.assert_run(0, 'a', self.export('a'))
                self.assert_run(78, '', self.export('b', size_check=False))


class Binary(actions.Action):
    """Be in binary mode without being told."""

    def before(self, session, event):
        session.binary = True


class RunTests(Scenario, unittest.TestCase):
    """A file is filed only if it is on the server under its name: `Scenario.check`."""

    def test_a_renaming_that_is_not_answered(self):
        for executed in False, True:
            for behind in '', '229 (|||1|)', '550 No.', '553 No.', '250 Done.':
                with self.subTest(executed=executed, behind=behind):
                    self.prepare()
                    action = faults.Lie('') if executed else faults.Reply('')
                    more = [faults.Call(self.answer_port(behind))] if behind else []
                    self.fault('RNTO', action, *more, path='/cds/a', times=1)
                    self.assert_run(0, 'a', self.export('a', reply_timeout=0.3))
                    self.heal()

    def test_the_upload_is_gone_and_an_older_version_has_the_name(self):
        """Of the same size: that says nothing, neither in this run, nor in the next one."""
        for reply in '', '226 Done.', '221 Bye.', '421 Bye.':
            for options in {}, {'digest_limit': 0}:
                with self.subTest(reply, **options):
                    self.prepare()
                    self.plant('a', content('b'))
                    gone = faults.Call(self.clean)
                    self.fault('RNTO', gone, faults.Reply(reply), path='/cds/a', times=1)
                    self.export('a', reply_timeout=0.3, **options)
                    self.heal()

    def clean(self, event):
        """Be a server that takes away what is temporary, as some do when they start."""
        for path in [path for path in self.server.files if path.endswith('.part')]:
            self.server.delete(path)

    def test_a_renaming_that_is_never_answered_truly(self):
        """What has the name is what was sent, or it is not filed: also what is sent unread."""
        for code in 226, 350:
            for options in {}, {'digest_limit': 0}:
                with self.subTest(code, **options):
                    self.prepare()
                    self.fault('RNTO', faults.Lie(f'{code} Well.'))
                    self.plant('a', content('b'))
                    self.assert_run(0, 'a', self.export('a', **options))
                    self.assertEqual(1, self.server.connected)

    def test_the_final_reply_to_an_upload_under_the_real_name(self):
        """The server stores beside, and swaps when it has all; or it never does."""
        cut, silence, lie = faults.Cut('executed'), faults.Silence('executed'), faults.Lie('229 x')
        same, unread = content('b'), {'digest_limit': 0}
        for action, old, options in (
            (cut, same, {}),
            (cut, b'old', {}),
            (cut, b'', {}),
            (silence, same, unread),
            (lie, same, {}),
            (lie, same, unread),
            (lie, b'old', unread),
        ):
            for swapped in False, True:
                with self.subTest(action, old=old, swapped=swapped, **options):
                    self.prepare()
                    self.upload_exposed(action, old=old, swapped=swapped, **options)

    def upload_exposed(self, action, *, old, swapped, **options):
        if old:
            self.server.put('/cds/a', old, modified=1e9)
            self.theirs['a'] = old
        actions = [action]
        if not swapped:
            actions.insert(0, faults.Call(self.restore(old), moment='executed'))
        self.fault('STOR', *actions, path='/cds/a', times=1)
        options |= {'temporary': False, 'reply_timeout': 0.3}
        report = self.export('a', **options)
        if swapped:
            self.assert_run(0, 'a', report)
        self.heal(**options)

    def restore(self, old):
        def function(event):
            self.server.delete('/cds/a')
            if old:
                self.server.put('/cds/a', old, modified=1e9)

        return function

    def answer_port(self, text):
        def function(event):
            self.fault('EPSV', faults.Reply(text), times=1)

        return function

    def test_all_answers_to_one_command_say_nothing(self):
        """Also while the rights of the account are tried, when there is little that is known."""
        verbs, codes = ('RMD', 'MKD', 'DELE', 'RNTO', 'CWD'), (202, 213, 226, 350)
        for verb, code, temporary in some(itertools.product(verbs, codes, (True, False)), 7):
            with self.subTest(verb, code=code, temporary=temporary):
                self.prepare()
                url = target(self.server).url
                with self.spool.run():
                    self.spool.journal.note('rights', target=url, known=False)
                self.fault(verb, faults.Lie(f'{code} Well.'))
                self.assert_run(0, 'a', self.export('a', temporary=temporary))
                self.assert_run(0, 'b', self.export('b', temporary=temporary))
                self.assertEqual(['/cds'], self.server.directories)

    def test_the_answers_change_places(self):
        for first, second in (
            ('229 (|||1|)', '250 Done.'),
            ('502 No.', '250 Done.'),
            ('229 (|||1|)', '553 No.'),
        ):
            for executed in False, True:
                with self.subTest(first, second=second, executed=executed):
                    self.prepare()
                    action = faults.Lie(first) if executed else faults.Reply(first)
                    port = faults.Call(self.answer_port(second))
                    self.fault('RNTO', port, action, path='/cds/a', times=1)
                    self.export('a', reply_timeout=0.5)
                    self.heal()

    def test_the_final_reply_to_an_upload(self):
        for code in CODES:
            for size_check in True, False:
                with self.subTest(code, size_check=size_check):
                    self.prepare()
                    self.fault('STOR', faults.Lie(f'{code} Well.'), path='*.part')
                    self.assert_run(0, 'a b', self.export('a', 'b', size_check=size_check))

    def test_the_final_reply_to_half_an_upload(self):
        for code in CODES[::2]:
            for size_check in True, False:
                with self.subTest(code, size_check=size_check):
                    self.prepare()
                    half = faults.Alter(keep=10), faults.Lie(f'{code} Well.')
                    self.fault('STOR', *half, path='*.part')
                    self.assertEqual([], self.export('a', size_check=size_check).delivered)

    def test_a_deletion_of_an_import(self):
        """What is not deleted is not imported a second time."""
        for reply in '', '229 (|||1|)', '202 No.', '226 Done.':
            with self.subTest(reply):
                self.prepare()
                for name in 'abc':
                    self.server.put(f'/cds/{name}', b'content', modified=1e9)
                self.fault('DELE', faults.Reply(reply), path='/cds/[abc]', times=1)
                goal, got = target(self.server, reply_timeout=0.5), []
                for _ in range(3):
                    got += Importer(self.spool, goal).run_once().delivered
                    for name in self.section('new'):
                        os.unlink(self.path / 'new' / name)
                self.assertEqual(['a', 'b', 'c'], sorted(got))
                self.assertEqual({}, self.remote)

    def test_a_download(self):
        for code in CODES:
            with self.subTest(code):
                self.prepare()
                self.server.put('/cds/a', b'content')
                session = target(self.server).open()
                self.addCleanup(session.close)
                self.fault('RETR', faults.Lie(f'{code} Well.'), times=1)
                sink = io.BytesIO()
                session.fetch('a', sink)
                self.assertEqual((b'content', 1), (sink.getvalue(), self.server.connected))
                self.fault('RETR', faults.Alter(keep=3), faults.Lie(f'{code} Well.'), times=1)
                with self.assertRaises(errors.LOST):
                    session.fetch('a', sink)
