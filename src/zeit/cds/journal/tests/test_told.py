"""The id of a content, and its version, which the application tells: where they go along."""

import contextlib
import datetime
import io
import json
import math
import os
import unittest.mock

import transaction
import zope.component
import zope.component.testing
import zope.interface

from zeit.cds.cli import main
from zeit.cds.errors import PermanentError
from zeit.cds.interfaces import (
    IExchangeFinished,
    IFileExported,
    IFilePut,
    ITimedDeliverable,
    IVersionedDeliverable,
)
from zeit.cds.journal.append_log import JSONLog
from zeit.cds.journal.kinds import LONGEST
from zeit.cds.journal.tests.test_history import Recovering
from zeit.cds.publish.outbox import Outbox
from zeit.cds.publish.tests.test_publisher import UUID, Deliverable, PublishTests
from zeit.cds.run import exporter
from zeit.cds.run.exporter import Exporter
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests import remembered


ID = 'http://xml.zeit.de/politik/a'

TOLD = {'content': ID, 'content_version': '7'}


class ToldCase(Recovering):
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

class ToldTests(ToldCase):
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


class BatchTests(ToldCase):
    """Files of a transaction."""

    def vote(self, data=b'1', **told):
        batch = self.spool.batch()
        self.addCleanup(batch.close)
        batch.put('a', data, **{**TOLD, **told})
        batch.prepare()
        return batch

    def test_into_the_receipt(self):
        self.vote().commit()
        self.export()
        self.assertEqual([(ID, '7')], self.told())

    def test_what_is_taken_back_tells_nothing(self):
        batch = self.spool.batch()
        batch.put('a', b'1', content=ID)
        mark = batch.mark()
        batch.put('a', b'12', content='other')
        batch.rollback(mark)
        self.assertEqual({'a': {'content': ID}}, batch.told)
        batch.prepare()
        batch.commit()
        self.export()
        self.assertEqual([(ID, None)], self.told())

    def test_its_process_dies(self):
        self.vote().close()
        with self.spool.run():
            pass
        self.export()
        self.assertEqual([(ID, '7')], self.told())

    def test_and_what_it_put_is_parked_for_a_newer_one(self):
        batch = self.vote()
        self.put(b'12', content_version='8')
        self.export()
        batch.close()
        self.export()
        self.assertEqual([(ID, '7')], self.told('parked'))
        self.spool.retry('a', older=True)
        self.assertEqual([(ID, '7')], self.told('resent'))


class EventTests(ToldCase):
    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        self.events = []
        for each in IFilePut, IFileExported, IExchangeFinished:
            zope.component.provideHandler(self.events.append, [each])

    def told_of(self, interface):
        found = [getattr(e, 'result', e) for e in self.events if interface.providedBy(e)]
        return [(each.content, each.content_version) for each in found]

    def results(self):
        report = self.events[-1].report
        return {(each.status, each.content, each.content_version) for each in report.results}

    def test_a_file_is_put(self):
        self.put()
        self.spool.put('b', b'1')
        self.assertEqual([(ID, '7'), ('', '')], self.told_of(IFilePut))

    def test_in_a_transaction(self):
        outbox = Outbox(self.spool)
        outbox.put('a', b'1', **TOLD)
        outbox.put('b', b'1')
        transaction.commit()
        self.assertEqual([(ID, '7'), ('', '')], self.told_of(IFilePut))

    def test_a_file_is_delivered(self):
        self.put()
        self.spool.put('b', b'1')
        self.export()
        self.assertEqual([(ID, '7'), ('', '')], self.told_of(IFileExported))
        self.assertEqual({('delivered', ID, '7'), ('delivered', '', '')}, self.results())

    def test_a_newer_version_comes_before_it_is_opened(self):
        self.put()

        def correct(*operation):
            self.target.hook = lambda *args: None
            self.spool.put('a', b'12')

        self.target.hook = correct
        self.export()
        self.assertEqual([('', '')], self.told_of(IFileExported))

    def test_newer_versions_come_before_it_is_opened_and_while_it_is_sent(self):
        self.put()

        def correct(operation, name):
            if not versions or (versions == ['9'] and operation != 'publish'):
                return
            version = versions.pop(0)
            self.put(version.encode() * int(version), content_version=version)

        versions = ['8', '9']
        self.target.hook = correct
        self.export()
        self.assertEqual([(ID, '8'), (ID, '9')], self.told_of(IFileExported))

    def test_an_urgent_one_is_seen_while_it_is_sent(self):
        self.put()
        transfer, running = exporter._Export.transfer, []

        def noted(run, session, lock):
            running[:] = run, session
            transfer(run, session, lock)

        def correct(operation, name):
            if operation == 'publish':
                self.target.hook = lambda *args: None
                self.put(b'12', content_version='8', priority=1)
                run, session = running
                # As while it goes over another connection, and over this one others went.
                with run.spool.journal.log.locked():
                    run.between(session)

        self.target.hook = correct
        self.enterContext(unittest.mock.patch.object(exporter._Export, 'transfer', noted))
        self.enterContext(unittest.mock.patch.multiple(exporter, LOOK=0, PART=math.inf))
        self.export()
        self.assertEqual([(ID, '7'), (ID, '8')], self.told_of(IFileExported))

    def test_a_newer_version_comes_while_it_is_sent_and_is_refused(self):
        self.put()

        def refuse(operation, name):
            if operation == 'publish':
                raise PermanentError(550, 'No.')

        def correct(operation, name):
            if operation == 'publish':
                self.target.hook = refuse
                self.put(b'12', content_version='8')

        self.target.hook = correct
        self.export()
        self.assertEqual([(ID, '7')], self.told_of(IFileExported))
        self.assertEqual({('delivered', ID, '7'), ('failed', ID, '8')}, self.results())

    def test_a_file_fails_and_one_is_parked(self):
        self.put()
        self.target.exists = 'park'
        self.target.write('a', b'there')
        self.export()
        self.assertEqual({('parked', ID, '7')}, self.results())
        self.target.files.clear()
        self.put()

        def refuse(operation, name):
            if operation == 'publish':
                raise PermanentError(550, 'No.')

        self.target.hook = refuse
        self.export()
        self.assertEqual({('failed', ID, '7')}, self.results())


class PublishedTests(PublishTests):
    def deliver(self):
        with self.assertLogs('zeit.cds'):
            Exporter(self.spool, MemoryTarget()).run_once()

    def receipt(self):
        (found,) = remembered.receipts(self.folder / 'spool' / '.cds')
        return found['name'], found.get('content'), found.get('content_version')

    def test_an_adapter_tells_the_version(self):
        self.article.version = 7
        self.adapt(Versioned, name='s')
        self.publish()
        self.deliver()
        self.assertEqual((f'{UUID}.xml', ID, '7'), self.receipt())

    def test_what_fails_to_tell_it_is_kept_and_tried_again(self):
        self.adapt(Versioned, name='s')
        self.assertIn("no attribute 'version'", self.fail_once().getMessage())
        self.article.version = 7
        self.retry()
        self.deliver()
        self.assertEqual((f'{UUID}.xml', ID, '7'), self.receipt())

    def test_a_content_without_a_version_has_none_in_its_receipt(self):
        self.publish()
        self.deliver()
        self.assertEqual((f'{UUID}.xml', ID, None), self.receipt())


class ShownTests(PublishTests):
    """What `status` and `receipt` say of it."""

    def setUp(self):
        super().setUp()
        self.article.version = 7
        self.adapt(Versioned, name='s')

    def call(self, *words, code=0):
        """Return what a command says of the spool, to whom it may concern."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            with contextlib.redirect_stderr(io.StringIO()) as err:
                found = main.main([*words, '--spool', str(self.folder / 'spool')])
        self.assertEqual(code, found, err.getvalue())
        self.assertEqual(bool(code), err.getvalue().count('\n'))
        return out.getvalue() + err.getvalue()

    def deliver(self):
        with self.assertLogs('zeit.cds'):
            Exporter(self.spool, MemoryTarget()).run_once()

    def status(self):
        (found,) = json.loads(self.call('status', '--json'))
        return found

    def park(self):
        with self.spool.run():
            self.spool.park(self.spool.pending()[0][0], 'No.')

    def test_a_receipt_by_its_id(self):
        self.publish()
        self.deliver()
        self.article.uuid, self.article.version = 'other', 8
        self.publish()
        self.deliver()
        self.spool.put(f'{UUID}.xml', b'1', content='http://xml.zeit.de/other')
        self.deliver()
        found = json.loads(self.call('receipt', '--json', '--id', ID))
        told = [(each['name'], each['content'], each['content_version']) for each in found]
        self.assertEqual([(f'{UUID}.xml', ID, '7'), ('other.xml', ID, '8')], told)
        text = self.call('receipt', '--id', ID)
        self.assertIn(f'{ID}: delivered 2 times\n', text)
        self.assertIn('    file     other.xml\n    version  8\n', text)
        self.assertNotIn('    content  ', text)

    def test_a_receipt_by_its_name_tells_the_id(self):
        self.publish()
        self.deliver()
        text = self.call('receipt', f'{UUID}.xml')
        self.assertIn(f'    content  {ID}\n    version  7\n', text)
        self.spool.put('b', b'1')
        self.deliver()
        (found,) = json.loads(self.call('receipt', '--json', 'b'))
        self.assertEqual([None, None], [found['content'], found['content_version']])
        self.assertNotRegex(self.call('receipt', 'b'), '(?m)^    (content|version|file) ')

    def test_a_receipt_of_a_withdrawal(self):
        self.publish()
        self.spool.withdraw(f'{UUID}.xml', 'It was retracted.')
        self.assertIn(f'{ID}: withdrawn 1 time\n', self.call('receipt', '--id', ID))

    def test_an_id_that_is_longer_than_what_is_kept(self):
        self.spool.put('a', b'1', content='x' * 2 * LONGEST)
        self.deliver()
        self.assertIn('delivered 1 time', self.call('receipt', '--id', 'x' * 2 * LONGEST))

    def test_no_receipt_and_what_is_known(self):
        expected = f'zeit-cds: There is no receipt for {ID}'

        def receipt():
            return self.call('receipt', '--id', ID, code=1)

        self.assertEqual(f'{expected}\n', receipt())
        self.publish()
        where = self.folder / 'spool'
        self.assertEqual(f'{expected}. It is waiting in {where}.\n', receipt())
        self.park()
        self.assertEqual(f'{expected}. It is parked in {where}: No.\n', receipt())
        self.article.uuid = '/'
        self.fail_once()
        self.assertRegex(receipt(), f'It could not be put into {where}: The name is not')

    def test_which_it_is_of(self):
        for words in (), ('--id', ''):
            text = self.call('receipt', *words, code=64)
            self.assertIn("Missing argument 'NAME'", text)

    def test_what_it_tells_of_its_time(self):
        """An adapter that is timed; a time without a zone is a failure that is kept."""
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        for values, expected in (
            ((None, None, None), (0, '', '')),
            ((7, later, None), (7, later.isoformat(), '')),
            ((0, None, later), (0, '', later.isoformat())),
        ):
            for field, value in zip(Timed.FIELDS, values, strict=True):
                setattr(Timed, field, value)
            self.adapt(Timed, name='s')
            self.publish()
            (entry,), _ = self.spool.pending()
            self.assertEqual(expected, (entry.priority, entry.not_before, entry.not_after))
            self.assertEqual(ID, entry.content)
        Timed.not_before = datetime.datetime.now()  # noqa: DTZ005
        with self.assertLogs('zeit.cds', 'ERROR') as logs:
            self.publish()
        self.assertIn('not_before has no time zone', logs.output[0])
        (kept,) = self.spool.unpublished.content()
        self.assertIn('not_before has no time zone', kept.reason)

    def test_status_of_what_waits(self):
        self.publish()
        self.spool.put('b', b'1')
        self.spool.put('c', b'1', content_version='9')
        found = self.status()['waiting']['names']
        told = [(each['content'], each['content_version']) for each in found]
        self.assertEqual([(ID, '7'), (None, None), (None, '9')], told)
        text = self.call('status')
        self.assertRegex(text, rf'  {UUID}.xml\n +{ID}, version 7\n.* b\n.* c\n .*, version 9\n')

    def test_status_of_what_is_on_its_way(self):
        self.publish()
        with self.spool.run():
            pass
        new = self.folder / 'spool' / 'new' / f'{UUID}.xml'
        os.rename(new, self.folder / 'spool' / '.cds' / 'filing' / new.name)
        (found,) = self.status()['filing']['names']
        self.assertEqual((ID, '7'), (found['content'], found['content_version']))
        self.assertIn(f'  {ID}, version 7\n', self.call('status'))

    def test_status_of_what_is_parked(self):
        self.publish()
        self.park()
        self.spool.put('z', b'1')
        self.park()
        found = self.status()['parked']
        told = [(each['name'], each['content'], each['content_version']) for each in found]
        self.assertCountEqual([(f'{UUID}.xml', ID, '7'), ('z', None, None)], told)
        self.assertIn(f'  {ID}, version 7\n', self.call('status'))


@zope.interface.implementer(ITimedDeliverable)
class Timed(Deliverable):
    FIELDS = 'priority', 'not_before', 'not_after'


@zope.interface.implementer(IVersionedDeliverable)
class Versioned(Deliverable):
    @property
    def version(self):
        return self.article.version
