"""What the page shows."""

import datetime
import os
import time
import unittest.mock
from errno import ECONNREFUSED

from zeit.cds.browser import messages, overview, rendering, source, status_page
from zeit.cds.browser.tests.case import HOSTILE, BrowserCase, Seen
from zeit.cds.errors import PermanentError
from zeit.cds.network.oserrors import from_os
from zeit.cds.publish.publisher import FIRST_SECONDS
from zeit.cds.text import printable


class PageTests(BrowserCase):
    def test_all_is_well(self):
        self.spool.put('a.xml', b'<a/>')
        self.export()
        seen = self.get()
        self.assertIn('All is well.', seen.text)
        self.assertIn('a.xml', seen.text)
        self.assertEqual([], seen.values)

    def test_when_a_publication_is_tried_again(self):
        self.spool.unpublished.add('http://xml.zeit.de/a', HOSTILE)
        (failure,) = self.spool.status().unpublished
        for seconds, expected in (
            (0, 'Attempts: 1, the next one in 60 s'),
            (FIRST_SECONDS, 'Attempts: 1, the next one is due'),
        ):
            now = int(failure.last) + seconds
            shown = status_page.of(self.site.source.objects(), now=now)
            text = Seen(rendering.status(shown, language='en')).text
            self.assertIn(expected, text)
            self.assertIn('Not published', text)

    def test_a_retraction_in_doubt(self):
        with self.spool.batch() as batch:
            batch.retract(HOSTILE, 'no more', until=1)
            batch.prepare(asks=True)
        (found,) = self.site.source.objects()
        self.assertEqual(([], [HOSTILE]), (found['in_doubt'][0]['names'],
                                           found['in_doubt'][0]['retracts']))  # fmt: skip
        text = self.get().text
        self.assertIn('In doubt', text)
        self.assertIn(printable(HOSTILE), text)

    def test_until_when_a_file_is_under_embargo(self):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=5)
        late = end + datetime.timedelta(hours=1)
        self.spool.put('a.xml', b'<a/>', not_before=end, not_after=late)
        self.spool.put('b.xml', b'<b/>', not_before=end - datetime.timedelta(hours=9))
        begin, last = (f'{each.astimezone():%Y-%m-%d %H:%M:%S %Z}' for each in (end, late))
        for query in {}, {'find': '.xml'}:
            text = self.get(**query).text
            self.assertEqual(1, text.count('Embargo until'))
            self.assertIn(f'Embargo until {begin}. Is not sent after {last}.', text)
        self.spool.withdraw('b.xml', '')
        self.site.source.forget()
        (shown,) = status_page.of(self.site.source.objects(), now=time.time()).spools
        self.assertEqual((1, None), (shown.waiting, shown.oldest))
        shown = status_page.of(self.site.source.objects(), now=late.timestamp())
        self.assertNotIn('Embargo until', Seen(rendering.status(shown, language='en')).text)

    def test_times_are_local_and_name_their_zone(self):
        self.addCleanup(time.tzset)
        with unittest.mock.patch.dict(os.environ, TZ='Europe/Berlin'):
            time.tzset()
            found = messages.moment('2026-11-30T17:05:09+00:00', time.time())
            self.assertEqual('2026-11-30 18:05:09 CET', found.full)
            self.assertEqual('2026-11-30T17:05:09+00:00', found.iso)
            never = messages.moment('9999-12-31T23:59:59+00:00', time.time())
            self.assertEqual('9999-12-31 23:59:59 UTC', never.full)
            self.spool.put('a.xml', b'<a/>')
            self.export()
            seen = self.get()
            self.assertRegex(seen.text, r'As of [-0-9]+ [0-9:]+ CES?T ')
            self.assertRegex(seen.text, r'When \(CES?T\) ')

    def test_a_file_that_failed_is_told_however_long_the_queue(self):
        for number in range(source.SHOWN + 5):
            self.spool.put(f'{number:02}.xml', b'')
            self.spool.hold(f'{number:02}.xml', 'Wait.')
        self.spool.put('bad.xml', b'')
        self.spool.put('good.xml', b'')

        def hook(operation, name):
            if name == 'bad.xml' and operation != 'open':
                raise PermanentError(550, 'No.')

        self.target.hook = hook
        self.export()
        self.assertEqual(['good.xml'], [*self.target.files])
        seen = self.get()
        self.assertIn('Failed: 1', seen.text)
        self.assertIn('bad.xml', seen.text)

    def test_a_lock_is_told_before_it_is_trouble(self):
        self.spool.put('a.xml', b'<a/>')
        self.target.files['write'] = b'Alice'
        self.export()
        self.assertIn('All is well. A server was locked when the last run came', self.get().text)
        now = time.time() + overview.LOCKED_SECONDS + 2
        shown = status_page.of(self.site.source.objects(), now=now)
        text = Seen(rendering.status(shown, language='en')).text
        self.assertIn('The server has been locked by “write” for 5 min.', text)
        self.assertNotIn('All is well.', text)

    def test_in_german(self):
        german = self.visitor._replace(language='de')
        self.assertIn('Alles in Ordnung.', self.get(german).text)
        # What is always the same is German, too.
        self.spool.put('a.xml', b'<a/>')
        refused = from_os(OSError(ECONNREFUSED, os.strerror(ECONNREFUSED)), activity='connecting')

        def hook(operation, name):
            raise refused

        self.target.hook = hook
        self.export()
        self.assertIn('(Connection refused). Dort nimmt niemand an', self.get(german).text)
        self.assertIn('Connection refused. Nothing listens there', self.get().text)

    def test_nothing_that_others_say_is_markup(self):
        self.spool.put(HOSTILE, b'<a/>', content=HOSTILE)
        self.spool.hold(HOSTILE, HOSTILE)
        self.spool.put('b.xml', b'', content=HOSTILE)
        self.spool.drop('b.xml', HOSTILE)
        self.spool.put('c.xml', b'', content=HOSTILE)
        self.export()
        for query in {}, {'find': HOSTILE}:
            seen = self.get(**query)
            self.assertNotIn('script', [tag for tag, _ in seen.tags])
            self.assertIn('<script>alert(1)<script>"\'&\\u202e.xml', seen.text)
            for _tag, attributes in seen.tags:
                self.assertFalse([each for each in attributes if each.startswith('on')])
