"""The id of a content, and its version, which the application tells: where they go along."""

import json
import os
import unittest.mock

import zope.interface

from zeit.cds.exporter import Exporter
from zeit.cds.interfaces import IDeliverable
from zeit.cds.jsonlog import JSONLog
from zeit.cds.kinds import LONGEST
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered
from zeit.cds.tests.test_history import Recovering
from zeit.cds.tests.test_publish import UUID, PublishTests


ID = 'http://xml.zeit.de/politik/a'

TOLD = {'content': ID, 'content_version': '7'}


class ToldTests(Recovering):
    def setUp(self):
        super().setUp()
        # Each run makes the journal anew, with what matters later.
        self.enterContext(unittest.mock.patch.object(JSONLog, 'is_full', True))

    def put(self, data=b'1', **told):
        self.spool.put('a', data, **{**TOLD, **told})

    def told(self, kind='delivered'):
        """Return what each receipt of this kind tells of the content, oldest first."""
        found = [each for each in remembered.history(self.path / '.cds') if each['kind'] == kind]
        return [(each.get('content'), each.get('content_version')) for each in found]

    def park(self):
        with self.spool.run():
            (entry,), _ = self.spool.pending()
            self.spool.park(entry, 'No.')

    def test_into_the_receipt(self):
        self.put()
        self.export()
        self.put(content_version='8')
        self.export()
        self.assertEqual([(ID, '7'), (ID, '8')], self.told())

    def test_nobody_tells_it(self):
        (self.path / 'new').mkdir()
        (self.path / 'new' / 'renamed').write_bytes(b'1')
        self.spool.put('a', b'1')
        self.spool.put('b', b'1', content=ID)
        self.spool.put('c', b'1', content_version='7')
        self.export()
        self.assertCountEqual([(None, None)] * 2 + [(ID, None), (None, '7')], self.told())

    def test_a_later_version_that_nobody_tells_of_has_none(self):
        self.put()
        (self.path / 'tmp' / 'x').write_bytes(b'12')
        os.rename(self.path / 'tmp' / 'x', self.path / 'new' / 'a')
        self.export()
        self.assertEqual([(None, None)], self.told())

    def test_one_that_comes_while_the_one_before_is_sent(self):
        self.put()

        def correct(operation, name):
            if operation == 'publish':
                self.target.hook = lambda *args: None
                self.put(b'12', content_version='8')

        self.target.hook = correct
        self.export()
        self.assertEqual([(ID, '7'), (ID, '8')], self.told())

    def test_killed_between_cur_and_receipt(self):
        self.put()
        self.killed_at(self.export, 'delivered', before=True)
        self.assertEqual((['a'], []), (os.listdir(self.path / 'cur'), self.told()))
        with self.spool.run():
            pass  # one that does not come to it, as the server is away
        for _ in range(2):
            self.export()
            self.assertEqual([(ID, '7')], self.told())

    def test_killed_behind_the_receipt(self):
        self.put()
        self.killed_at(self.export, 'delivered', before=False)
        self.export()
        self.assertEqual([(ID, '7')], self.told())

    def test_what_is_delivered_needs_no_row_any_more(self):
        self.put()
        self.export()
        with self.spool.run():
            self.assertEqual([], self.spool.journal.find('versions'))

    def test_parked_and_brought_back(self):
        self.put()
        self.park()
        for _ in range(2):  # nor does the journal know it any more
            with self.spool.run():
                self.assertEqual([], self.spool.journal.find('versions'))
        self.spool.retry('a')
        self.export()
        for kind in ('parked', 'resent', 'delivered'):
            self.assertEqual([(ID, '7')], self.told(kind), kind)

    def test_withdrawn(self):
        self.put()
        self.assertTrue(self.spool.withdraw('a', 'It was retracted.'))
        self.assertEqual([(ID, '7')], self.told('withdrawn'))

    def test_parked_again(self):
        self.put()
        for _ in range(2):
            self.park()
            self.spool.retry('a')
        self.assertEqual([(ID, '7')] * 2, self.told('parked'))

    def test_an_older_one_that_is_brought_back_over_a_newer_one(self):
        self.put()
        self.park()
        self.put(b'12', content_version='8')
        self.spool.retry('a', older=True)
        self.assertEqual([(ID, '7')], self.told('resent'))
        self.assertEqual([(ID, '7'), (ID, '8')], self.told('parked'))
        self.export()
        self.assertEqual([(ID, '7')], self.told())

    def test_replaced_while_a_run_was_killed(self):
        """It is parked by the next run, which knows of it from the journal only."""
        self.put()
        (self.path / '.cds' / 'filing').mkdir()
        os.rename(self.path / 'new' / 'a', self.path / '.cds' / 'filing' / 'a')
        self.put(b'12', content_version='8')
        self.export()
        self.assertEqual(([(ID, '7')], [(ID, '8')]), (self.told('parked'), self.told()))

    def test_an_id_of_any_text(self):
        for text in ('ü\n"\\', os.fsdecode(b'caf\xe9'), '\U0001f600' * 5000, 5):
            with self.subTest(text=str(text)[:9]):
                self.setUp()
                self.put(content=text, content_version=text)
                self.park()
                self.spool.retry('a')
                self.export()
                self.assertEqual([(str(text)[:LONGEST],) * 2], self.told())

    def test_damaged_beside_a_parked_file(self):
        self.put()
        self.park()
        beside = self.path / 'parked' / '.a.parked'
        beside.write_text(json.dumps({**json.loads(beside.read_text()), 'content': ['x']}))
        self.spool.retry('a')
        self.assertEqual([("['x']", '7')], self.told('resent'))


class PublishedTests(PublishTests):
    def deliver(self):
        with self.assertLogs('zeit.cds'):
            Exporter(self.spool, MemoryTarget()).run_once()

    def receipt(self):
        (found,) = remembered.receipts(self.folder / 'spool' / '.cds')
        return found['name'], found.get('content'), found.get('content_version')

    def test_an_adapter_tells_the_version(self):
        @zope.interface.implementer(IDeliverable)
        class Versioned:
            def __init__(self, article):
                self.version = 7
                self.name, self.wanted, self.open = 'a.xml', True, article.open

        self.adapt(Versioned, name='s')
        self.publish()
        self.deliver()
        self.assertEqual(('a.xml', ID, '7'), self.receipt())

    def test_or_none(self):
        self.publish()
        self.deliver()
        self.assertEqual((f'{UUID}.xml', ID, None), self.receipt())
