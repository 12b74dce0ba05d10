"""What buttons do to files and locks, as they are pressed."""

import os
import threading
import unittest.mock

from zeit.cds.browser import actions, messages, responses, shared_look, source
from zeit.cds.browser.actions import Task
from zeit.cds.browser.tests.case import HOSTILE, BrowserCase, Seen
from zeit.cds.errors import FTPOSError, PermanentError
from zeit.cds.tests import remembered
from zeit.cds.values.run_options import Options


class ActionCase(BrowserCase):
    def setUp(self):
        super().setUp()
        self.spool.put('a.xml', b'<a/>', content='http://xml.zeit.de/a')

    def press(self, action, name='a.xml', *, status=200, **form):
        """Press a button, and confirm it."""
        answer = self.post(Task(action, 'articles', name).value, confirmed='yes', **form)
        self.assertEqual(status, answer.status, Seen(answer.body).text)
        return Seen(answer.body).text

    def waiting(self):
        return [each.name for each in self.spool.status().waiting]

    def parked(self):
        return [name for name, _ in self.spool.status().parked]

    def kinds(self):
        private = self.spool.path / '.cds'
        return [each['kind'] for each in remembered.history(private) if each.get('name') == 'a.xml']


class FileTests(ActionCase):
    def test_hold_and_release(self):
        self.assertIn('a.xml is held until it is released.', self.press('hold', reason='Wait\n!'))
        self.export()
        self.assertEqual(({}, ['a.xml']), (self.target.files, self.waiting()))
        self.assertEqual('Otto: Wait !', self.spool.status().held['a.xml'][0])
        self.assertIn('the next run sends it', self.press('release'))
        self.export()
        self.assertEqual({'a.xml': b'<a/>'}, self.target.files)

    def test_a_spool_that_is_held_is_released(self):
        self.spool.hold('', 'The partner moves.')
        self.assertIn('The whole spool', self.get().text)
        (value,) = self.get().values
        self.assertEqual(200, self.post(value).status)
        self.assertEqual({}, self.spool.status().held)

    def test_park_and_retry(self):
        self.press('park', reason='A test.')
        self.assertEqual(([], ['a.xml']), (self.waiting(), self.parked()))
        self.press('retry')
        self.assertEqual((['a.xml'], []), (self.waiting(), self.parked()))

    def test_give_up_what_is_parked(self):
        self.spool.put('b.xml', b'<b/>')
        self.target.hook = _refuse('a.xml', PermanentError(550, 'No way.'))
        self.export(options=Options(park_after=1))
        self.target.hook = None
        self.assertEqual(['a.xml'], self.parked())
        (shown,) = [value for value in self.get().values if 'give-up' in value]
        asked = Seen(self.post(shown).body).text
        self.assertIn('Give this file up', asked)
        self.assertEqual(['a.xml'], self.parked())
        self.assertIn('is given up', self.press('give-up', reason='No longer wanted.'))
        self.assertEqual(['a.xml'], [*self.spool.status().given_up])
        # What was dealt with is no trouble any more, also before the next run.
        seen = self.get().text
        self.assertIn('All is well.', seen)
        self.assertIn('dealt with since', seen)
        self.export()
        self.assertIn('All is well.', self.get().text)
        self.assertNotIn('dealt with since', self.get().text)

    def test_what_failed_is_dealt_with_when_nothing_of_it_is_left(self):
        for name in 'b.xml', 'c.xml', 'd.xml':
            self.spool.put(name, b'')
        self.target.hook = _refuse('a.xml', PermanentError(550, 'No way.'))
        self.export()
        self.assertIn('Failed: 1 a.xml: No way.', self.get().text)
        self.press('hold')
        self.assertIn('All is well.', self.get().text)
        self.assertIn('Held 1', self.get().text)
        self.press('release')
        self.assertIn('Failed: 1', self.get().text)
        self.press('withdraw')
        self.assertIn('All is well.', self.get().text)
        # That may be what has failed.
        self.press('withdraw', 'b.xml')
        self.assertIn('The last run failed: not all files went through', self.get().text)

    def test_what_was_retried_by_somebody_else_is_not_given_up(self):
        self.assertIn('is not parked any more', self.press('give-up', status=409))
        self.assertEqual((['a.xml'], []), (self.waiting(), self.parked()))

    def test_send_once_more(self):
        self.export()
        self.target.files.clear()
        self.press('resend')
        self.export()
        self.assertEqual({'a.xml': b'<a/>'}, self.target.files)

    def test_withdraw_what_waits(self):
        self.press('withdraw', reason='Wrong.')
        self.assertEqual([], self.waiting())
        self.assertEqual(['withdrawn'], self.kinds())

    def test_withdraw_what_was_delivered(self):
        self.export()
        self.assertIn('will be deleted on memory:', self.press('withdraw'))
        self.export()
        self.assertEqual({}, self.target.files)

    def test_what_is_to_be_confirmed_is_asked_first(self):
        for action in 'hold', 'park', 'give-up', 'resend', 'withdraw':
            answer = self.post(Task(action, 'articles', 'a.xml').value)
            page = Seen(answer.body)
            self.assertEqual((200, ['a.xml']), (answer.status, self.waiting()))
            self.assertIn('a.xml', page.text)
            self.assertEqual([Task(action, 'articles', 'a.xml').value], page.values)
            self.assertIn('articles', page.text)
            self.assertIn(('input', 'confirmed'), [(t, a.get('name')) for t, a in page.tags])

    def test_what_cannot_be_done_is_told(self):
        for action, name in (
            ('hold', 'none.xml'),
            ('retry', 'a.xml'),
            ('release', 'a.xml'),
            ('resend', 'a.xml'),
            ('withdraw', 'none.xml'),
            ('park', 'none.xml'),
            ('park', '../a.xml'),
            ('withdraw', '..'),
            ('resend', 'b\0.xml'),
            ('unlock', 'nobody'),
        ):
            with self.subTest(action, name=name):
                self.assertIn('It was not done.', self.press(action, name, status=409))
        self.assertEqual((['a.xml'], {}), (self.waiting(), self.spool.status().held))

    def test_what_cannot_be_done_is_told_in_german(self):
        german = self.visitor._replace(language='de')
        for action, expected in (
            ('give-up', 'a.xml ist nicht mehr geparkt Bitte die Seite neu laden.'),
            ('release', 'a.xml ist nicht angehalten Bitte die Seite neu laden.'),
        ):
            task = Task(action, 'articles', 'a.xml').value
            answer = self.post(task, visitor=german, confirmed='yes')
            self.assertIn(expected, Seen(answer.body).text)

    def test_what_a_form_may_have_in_place_of_a_text(self):
        self.press('hold', reason=['a', 'b'])
        self.assertEqual('Otto: no reason given', self.spool.status().held['a.xml'][0])
        self.press('park', 'a\0b', status=409)

    def test_a_file_whose_name_is_no_text_is_looked_for(self):
        (self.spool.path / 'new' / os.fsdecode(b'a\xff.xml')).write_bytes(b'<a/>')
        links = [found.get('href') for tag, found in self.get().tags if tag == 'a']
        self.assertIn('@@cds.html?file=a%FF.xml', links)
        answer = self.site.page({'file': 'a%FF.xml'}, self.visitor)
        answer.body.encode('utf-8')
        self.assertIn('a\\xff.xml', Seen(answer.body).text)

    def test_only_spools_that_are_shown(self):
        for key in ('', 'other', '/etc', str(self.spool.path.parent)):
            answer = self.post(Task('retry', key, 'a.xml').value)
            self.assertEqual(409, answer.status)

    def test_who_did_it_is_in_the_log(self):
        with self.assertLogs('zeit.cds.browser.actions', 'INFO') as logs:
            self.press('hold', reason=HOSTILE)
        self.assertIn('Otto: hold a.xml in', logs.output[0])

    def test_what_is_not_allowed_is_not_done_whoever_asks(self):
        nobody = self.visitor._replace(allowed=frozenset((actions.VIEW, actions.WITHDRAW)))
        answer = self.post(Task('retry', 'articles', 'a.xml').value, visitor=nobody)
        self.assertEqual(403, answer.status)
        # Nor by the page of another permission.
        answer = self.post(
            Task('withdraw', 'articles', 'a.xml').value,
            permission=actions.RETRY,
            confirmed='yes',
        )
        self.assertEqual((403, ['a.xml']), (answer.status, self.waiting()))

    def test_a_file_that_fails_has_buttons(self):
        self.target.hook = _refuse('a.xml', FTPOSError(28, HOSTILE))
        self.export(options=Options(park_after=9))
        page = self.get()
        self.assertIn('Failed', page.text)
        found = [dict(pair.split('=') for pair in value.split('&')) for value in page.values]
        self.assertEqual(['hold', 'park'], [each['action'] for each in found])


def _refuse(wanted, error):
    """Return a hook of a `MemoryTarget` that does not take the file of this name."""

    def hook(operation, name):
        if operation != 'open' and name == wanted:
            raise error

    return hook


class LockTests(ActionCase):
    def setUp(self):
        super().setUp()
        self.target.files['write'] = f'agency: {HOSTILE}'.encode()
        self.export()
        self.task = Task('unlock', 'articles', 'partner')

    def look(self):
        answer = self.post(self.task.value)
        self.assertEqual(200, answer.status)
        return Seen(answer.body)

    def test_who_holds_it_is_shown_and_confirmed(self):
        shown = self.get()
        self.assertIn('the server was locked', shown.text)
        self.assertIn('agency: <script>', shown.text)
        (value,) = shown.values
        self.assertIn('action=unlock', value)
        asked = self.look()
        self.assertIn('agency: <script>', asked.text)
        self.assertIn('write', self.target.files)
        (confirmed,) = asked.values
        answer = self.post(confirmed, confirmed='yes')
        self.assertIn('was removed', Seen(answer.body).text)
        self.assertNotIn('write', self.target.files)

    def test_another_one_than_was_shown_stays(self):
        (confirmed,) = self.look().values
        self.target.files['write'] = b'somebody else'
        answer = self.post(confirmed, confirmed='yes')
        self.assertEqual((409, b'somebody else'), (answer.status, self.target.files['write']))

    def test_one_that_was_not_shown_stays(self):
        self.assertEqual(200, self.post(self.task.value, confirmed='yes').status)
        forged = self.task._replace(seen='0' * 64)
        self.assertEqual(409, self.post(forged.value, confirmed='yes').status)
        self.assertIn('write', self.target.files)

    def test_one_that_is_gone_is_told(self):
        (confirmed,) = self.look().values
        self.assertEqual(200, self.post(confirmed, confirmed='yes').status)
        again = self.post(confirmed, confirmed='yes')
        self.assertEqual(409, again.status)
        self.assertIn('is not there any more', Seen(again.body).text)

    def test_that_of_an_active_run_stays(self):
        del self.target.files['write']
        answers = []

        def hook(operation, name):
            if operation == 'upload' and not answers:
                answers.append(None)
                page = self.look()
                answers.append((page.values, page.text))

        self.target.hook = hook
        self.spool.put('b.xml', b'1')
        self.export()
        self.assertEqual([], answers[1][0])
        self.assertIn('is left alone', answers[1][1])

    def test_a_server_that_is_away_is_told(self):
        def hook(operation, name):
            raise FTPOSError(111, 'Connection refused')

        self.target.hook = hook
        answer = self.post(self.task.value)
        self.assertEqual(409, answer.status)
        self.assertIn('Connection refused', Seen(answer.body).text)

    def test_not_locked_any_more(self):
        del self.target.files['write']
        self.assertIn('The server is not locked.', self.look().text)


class LoadTests(ActionCase):
    def test_many_who_look_are_one_look(self):
        status = self.spool.status
        with unittest.mock.patch.object(self.spool, 'status', side_effect=status) as looked:
            for _ in range(20):
                self.site.page({}, self.visitor)
        self.assertEqual(1, looked.call_count)
        with unittest.mock.patch.object(self.spool, 'status', side_effect=status) as looked:
            for _ in range(20):
                self.assertIn('a.xml', self.site.data({}).body)
        self.assertEqual(1, looked.call_count)
        self.press('withdraw')
        self.assertNotIn('a.xml', self.site.data({}).body)

    def test_what_was_seen_is_rendered_once(self):
        page = responses.status_page
        spare = unittest.mock.patch.object(page, 'of', side_effect=page.of)
        with spare as rendered:
            for _ in range(20):
                self.site.page({}, self.visitor)
                self.site.page({}, self.visitor._replace(language='de', allowed=frozenset()))
        self.assertEqual(2, rendered.call_count)

    def test_each_browser_has_its_own_token(self):
        self.press('hold')
        tokens = ['a' * 43, 'b' * 43, '']
        for token in tokens:
            answer = self.site.page({}, self.visitor._replace(cookie=token))
            fields = [found for tag, found in Seen(answer.body).tags if tag == 'input']
            values = {each['value'] for each in fields if each.get('name') == 'csrf_token'}
            self.assertEqual({answer.token}, values)
            self.assertIn(token, answer.token)
            self.assertFalse([each for each in tokens if each not in (token, '')
                              and each in answer.body])  # fmt: skip

    def test_the_longer_a_look_takes_the_longer_it_is_good(self):
        share = 0.2 * shared_look.SHARE
        least, most = shared_look.MIN_SECONDS, shared_look.MAX_SECONDS
        for seconds, good in (0, least), (0.2, share), (9, most):
            now = [0.0]

            def look(now=now, seconds=seconds):
                now[0] += seconds
                return now[0]

            shared = shared_look.Looks(look, clock=lambda now=now: now[0])
            first = shared.get()
            now[0] += good * 0.99
            self.assertEqual(first, shared.get())
            now[0] += good * 0.02
            self.assertGreater(shared.get(), first)

    def test_what_was_done_is_seen_at_once(self):
        self.site.page({}, self.visitor)
        self.press('hold')
        self.assertIn('Held', Seen(self.site.page({}, self.visitor).body).text)

    def test_what_is_done_while_somebody_looks_is_seen_as_well(self):
        look = self.spool.status

        def slow():
            found = look()
            # What was found is old before it is known.
            self.spool.hold('a.xml', 'Wait.')
            self.site.source.forget()
            return found

        with unittest.mock.patch.object(self.spool, 'status', side_effect=slow):
            self.site.source.objects()
        self.assertIn('Held', Seen(self.site.page({}, self.visitor).body).text)

    def test_it_is_looked_at_again(self):
        now = [0.0]
        self.site.source = source.Local(lambda: self.selected, clock=lambda: now[0])
        self.assertNotIn('b.xml', Seen(self.site.page({}, self.visitor).body).text)
        self.spool.put('b.xml', b'1')
        self.assertNotIn('b.xml', Seen(self.site.page({}, self.visitor).body).text)
        now[0] += shared_look.MAX_SECONDS
        self.assertIn('b.xml', Seen(self.site.page({}, self.visitor).body).text)

    def test_who_asks_while_somebody_looks_gets_what_was_so_before(self):
        now, begun, goes_on = [0.0], threading.Event(), threading.Event()
        self.site.source = source.Local(lambda: self.selected, clock=lambda: now[0])
        before = self.site.source.objects()
        now[0] += shared_look.MIN_SECONDS
        status = self.spool.status

        def slow():
            begun.set()
            goes_on.wait(20)
            return status()

        with unittest.mock.patch.object(self.spool, 'status', side_effect=slow):
            thread = threading.Thread(target=self.site.source.objects)
            thread.start()
            self.addCleanup(thread.join)
            self.addCleanup(goes_on.set)
            self.assertTrue(begun.wait(20))
            with unittest.mock.patch.object(source.time, 'time', return_value=before[0]['at'] + 9):
                page = Seen(self.site.page({}, self.visitor).body)
            self.assertIn(messages.before(0, before[0]['at']).local, page.text)
            now[0] += shared_look.OLD_SECONDS
            with unittest.mock.patch.object(shared_look, 'WAIT_SECONDS', 0):
                self.assertIn('are slow', Seen(self.site.page({}, self.visitor).body).text)
            goes_on.set()
            thread.join()
        self.assertIsNot(before, self.site.source.objects())

    def test_a_part_of_a_name_or_an_id_finds_what_was_delivered(self):
        self.export()
        for text in 'a.xml', '.xm', 'a', 'http://xml.zeit.de/a', 'zeit.de':
            with self.subTest(text):
                self.assertIn('What has happened', self.get(find=text).text)
        for text in 'b.xml', 'delivered', 'kind', '"':
            with self.subTest(text):
                self.assertIn('Nothing is known of that', self.get(find=text).text)

    def test_a_search_is_ended_in_time(self):
        self.export()
        now = iter(range(0, 10000, source.SEARCH_SECONDS + 1))
        self.site.source = source.Local(lambda: self.selected, clock=lambda: next(now))
        page = Seen(self.site.page({'find': 'a.xml'}, self.visitor).body)
        self.assertIn('took too long', page.text)
        self.site.source = source.Local(lambda: self.selected)
        self.assertNotIn('took too long', self.get(find='a.xml').text)

    def test_ten_thousand_files(self):
        for number in range(10000):
            (self.spool.path / 'new' / f'{number:05}.xml').write_bytes(b'')
        page = self.site.page({}, self.visitor)
        self.assertLess(len(page.body.encode()), 200 * 1024)
        self.assertIn('10001', Seen(page.body).text)
        # Nor does another machine get all of them.
        (found,) = self.site.source.objects()
        self.assertEqual(source.SHOWN, len(found['waiting']['names']))
        found = self.get(find='07654.xml')
        self.assertIn('07654.xml', found.text)

    def test_names_as_long_as_they_get(self):
        for number in range(60):
            self.spool.put(f'{number:02}{"<" * 253}', b'', content='<' * 1000)
        self.export()
        for number in range(60):
            self.spool.put(f'{number:02}{"&" * 253}', b'', content='&' * 1000)
        page = self.site.page({}, self.visitor)
        self.assertLess(len(page.body.encode()), 200 * 1024)
        self.assertIn(f'00{"&" * 90}', Seen(page.body).text)

