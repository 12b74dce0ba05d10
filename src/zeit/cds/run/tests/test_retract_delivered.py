"""What was delivered and is retracted is deleted on the server, if it is what was delivered."""

import errno
import io
import itertools
import json
import os
import shutil
import threading
import unittest.mock

import transaction
import zope.component
import zope.interface

from zeit.cds.errors import ConnectionLost, FTPOSError, PermanentError
from zeit.cds.interfaces import IDeliverable, IExporter, IPublisher, IRetraction, IWakeUp
from zeit.cds.monitoring.metrics import families
from zeit.cds.publish.tests.test_publisher import UUID, PublishTests
from zeit.cds.publish.tests.test_retract import RetractCase
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.retract_delivered import RetractedFiles
from zeit.cds.spool.tests.test_withdrawal import output
from zeit.cds.tests import remembered
from zeit.cds.tests.driving import TIMEOUT, undigested
from zeit.cds.tests.sampling import some


NAME = f'{UUID}.xml'


@zope.interface.implementer(IRetraction)
class Retraction:
    """What an integrator writes."""

    given = 'delete'

    def __init__(self, article):
        self.article = article

    @property
    def answer(self):
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


class EraseTests(RetractCase):
    def setUp(self):
        super().setUp()
        self.answer('delete')

    def answer(self, given):
        from zeit.content.article.article import Article

        factory = type('Retraction', (Retraction,), {'given': given})
        zope.component.provideAdapter(factory, (Article,), IRetraction, name='s')

    def run_once(self, **options):
        """Return the report of a run."""
        return Exporter(self.spool, self.target).run_once(Options(**options))

    def outcomes(self):
        """Return what has become of what was to be deleted."""
        found = remembered.history(self.spool.path / '.cds')
        return [each['outcome'] for each in found if each['kind'] == 'retraction']

    def number(self, name):
        found = {family.name: family.samples for family in families([('s', self.spool)], now=0)}
        return sum(value for _, value in found[f'zeit_cds_{name}'])


class DeleteTests(EraseTests):
    def test_what_was_delivered_is_deleted(self):
        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        self.assertEqual(1, self.number('retracted_files'))
        report = self.run_once()
        (result,) = report.results
        self.assertEqual((0, NAME, 'retracted'), (report.exit_code, result.name, result.status))
        self.assertEqual(self.article.uniqueId, result.content)
        self.assertEqual(({}, ['deleted']), (self.target.files, self.outcomes()))
        self.assertEqual((0, 1), (self.number('retracted_files'), self.number('retractions_total')))

    def test_exporters_are_woken_when_it_is_committed(self):
        waker = unittest.mock.Mock()
        zope.component.provideUtility(Exporter(self.spool, self.target), IExporter, name='e')
        zope.component.provideUtility(waker, IWakeUp)
        transaction.begin()
        self.retract()
        waker.wake.assert_not_called()
        transaction.commit()
        waker.wake.assert_called_once_with('e')

    def test_nothing_more_happens_then(self):
        self.publish()
        self.export()
        for _ in range(3):
            self.retract()
            transaction.commit()
            self.export()
        opened = self.target.opened
        self.export()
        self.assertEqual((opened, ['deleted']), (self.target.opened, self.outcomes()))

    def test_what_was_never_delivered(self):
        self.retract()
        transaction.commit()
        self.assertEqual(0, self.run_once().exit_code)
        self.assertEqual(([], 0), (self.outcomes(), self.target.opened))

    def test_an_answer_that_is_none(self):
        self.answer(None)
        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        self.assertEqual(([b'<article/>'], []), (self.export(), self.outcomes()))

    def test_what_somebody_has_changed_stays(self):
        for content in b'theirs', b'<ARTICLE/>':
            self.publish()
            self.export()
            self.target.write(NAME, content)
            self.retract()
            transaction.commit()
            self.assertEqual([content], self.export())
        self.assertEqual(['changed', 'changed'], self.outcomes())

    def test_what_somebody_has_taken(self):
        self.publish()
        self.export()
        self.target.files.clear()
        self.retract()
        transaction.commit()
        self.assertEqual(([], ['gone']), (self.export(), self.outcomes()))

    def test_of_what_the_receipt_has_no_digest_it_stays(self):
        self.publish()
        with undigested():
            self.export()
        self.retract()
        transaction.commit()
        self.assertEqual(([b'<article/>'], ['unknown']), (self.export(), self.outcomes()))

    def test_the_last_version_counts(self):
        for body in b'1', b'2':
            self.article.body = body
            self.publish()
            self.export()
        self.retract()
        transaction.commit()
        self.assertEqual(([], ['deleted']), (self.export(), self.outcomes()))

    def test_each_name_that_it_had(self):
        for uuid in '{urn:uuid:1}', '{urn:uuid:2}':
            self.article.uuid = uuid
            self.publish()
            self.export()
        self.retract()
        transaction.commit()
        self.assertEqual(([], ['deleted'] * 2), (self.export(), self.outcomes()))

    def test_other_content_that_took_its_name_stays(self):
        from zeit.content.article.article import Article

        self.publish()
        self.export()
        other = Article('b', uuid=UUID)
        self.publish(other)
        self.export()
        self.retract()
        transaction.commit()
        self.assertEqual(([b'<article/>'], ['replaced']), (self.export(), self.outcomes()))

    def test_what_is_published_later_goes_whatever_is_done_when(self):
        for actions in some(itertools.product('prx', repeat=4), 4):
            with self.subTest(actions):
                self.article.body = '-'.join(actions).encode()
                self.target.files.clear()
                for action in actions:
                    {'p': self.publish, 'r': self.retract, 'x': self.export}[action]()
                    transaction.commit()
                last = [action for action in actions if action != 'x'][-1:]
                expected = [self.article.body] if last == ['p'] else []
                self.assertEqual(expected, self.export())

    def test_in_one_transaction_the_order_counts(self):
        for actions in 'pr', 'rp':
            with self.subTest(actions):
                self.publish()
                self.export()
                transaction.begin()
                for action in actions:
                    self.retract() if action == 'r' else PublishTests.publish(self)
                transaction.commit()
                self.assertEqual(actions == 'rp', bool(self.export()))

    def test_not_if_it_is_aborted(self):
        self.publish()
        self.export()
        transaction.begin()
        self.retract()
        transaction.abort()
        self.assertEqual(([b'<article/>'], []), (self.export(), self.outcomes()))

    def test_while_the_server_is_away(self):
        def away(operation, name):
            raise FTPOSError(errno.ECONNREFUSED, 'away')

        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        self.target.hook = away
        for _ in range(2):
            self.assertEqual(1, len(self.export()))
        self.assertEqual(1, self.number('retracted_files'))
        self.target.hook = lambda operation, name: None
        self.assertEqual([], self.export())

    def test_what_the_server_refuses_is_tried_again_and_told(self):
        def refuse(operation, name):
            if operation == 'delete' and name == NAME:
                raise PermanentError(550, '550 No.')

        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        self.target.hook = refuse
        self.assertEqual(1, self.run_once().exit_code)
        self.assertEqual(1, self.number('retracted_files'))
        told = output(['status', '--spool', str(self.spool.path)])
        self.assertIn(f'    {NAME} for', told.replace('           ', '    '))
        (found,) = json.loads(output(['status', '--json', '--spool', str(self.spool.path)]))
        (retracted,) = found['retracted']
        self.assertEqual((self.article.uniqueId, NAME), (retracted['id'], retracted['name']))
        self.target.hook = lambda operation, name: None
        self.assertEqual([], self.export())

    def test_a_person_gives_it_up(self):
        for runs in 0, 1:
            with self.subTest(runs):
                self.publish()
                self.export()
                self.retract()
                transaction.commit()
                if runs:
                    with unittest.mock.patch.object(RetractedFiles, 'delete'):
                        self.export()
                where = ['--spool', str(self.spool.path)]
                output(['retry', *where, '--forget', self.article.uniqueId])
                self.assertEqual([b'<article/>'], self.export())
        self.assertEqual(['forgotten', 'forgotten'], self.outcomes())

    def test_a_server_that_says_it_is_deleted_and_keeps_it(self):
        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        kept = {**self.target.files}

        def keep(operation, name):
            if operation == 'size' and self.deletes:
                self.target.files.update(kept)
            self.deletes = self.deletes or operation == 'delete' and name == NAME

        self.deletes = False
        self.target.hook = keep
        report = self.run_once()
        self.assertEqual((1, []), (report.exit_code, self.outcomes()))

    def test_what_waits_for_a_deletion_without_an_answer_goes_later(self):
        """The server may still come to it, and take the new file away."""

        def lose(operation, name):
            if operation == 'delete' and name == NAME:
                self.target.hook = lambda operation, name: None
                raise ConnectionLost(errno.ECONNRESET, 'lost')

        self.publish()
        self.export()
        self.retract()
        self.article.body = b'2'
        self.publish()
        self.target.hook = lose
        report = self.run_once()
        statuses = [result.status for result in report.results]
        self.assertEqual(['failed', 'skipped'], statuses)
        self.assertEqual([b'2'], self.export())

    def test_a_publication_that_is_delivered_before_it_can_be_deleted_stays(self):
        def refuse(operation, name):
            if operation == 'delete' and name == NAME:
                raise PermanentError(550, '550 No.')

        self.publish()
        self.export()
        self.retract()
        self.article.body = b'2'
        self.publish()
        self.target.hook = refuse
        self.export()
        self.assertEqual({NAME: b'2'}, self.target.files)
        self.target.hook = lambda operation, name: None
        self.assertEqual(([b'2'], ['replaced']), (self.export(), self.outcomes()))

    def test_in_the_middle_of_a_run(self):
        def retract(operation, name):
            if operation == 'publish':
                thread = threading.Thread(target=self.retract)
                thread.start()
                thread.join(TIMEOUT)

        self.target.hook = retract
        self.publish()
        self.assertEqual([b'<article/>'], self.export())
        self.target.hook = lambda operation, name: None
        self.assertEqual(([], ['deleted']), (self.export(), self.outcomes()))

    def test_a_rehearsal_deletes_nothing(self):
        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        self.run_once(dry_run=True)
        self.assertEqual([b'<article/>'], [*self.target.files.values()])

    def test_a_receipt_tells(self):
        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        self.export()
        asked = ['receipt', '--spool', str(self.spool.path), '--id', self.article.uniqueId]
        self.assertIn('retracted', output(asked))
        *_, last = json.loads(output([*asked, '--json']))
        self.assertEqual(('deleted', None), (last['outcome'], last['delivered']))
        self.assertTrue(last['retracted'])

    def test_what_a_copy_of_the_spool_was_to_delete_it_leaves_alone(self):
        self.publish()
        self.export()
        self.retract()
        transaction.commit()
        with unittest.mock.patch.object(RetractedFiles, 'delete'):
            self.export()
        self.spool.path.rename(self.folder / 'original')
        shutil.copytree(self.folder / 'original', self.spool.path)
        shutil.rmtree(self.folder / 'original')
        self.assertEqual([b'<article/>'], self.export())
        self.spool.adopt()
        self.assertEqual([], self.export())


class KeptTests(EraseTests):
    """A retraction that fails is kept with the spool, like a publication."""

    def setUp(self):
        super().setUp()
        self.publish()
        self.export()

    def retract_in_vain(self, error=None):
        self.answer(error or LookupError('the database is away'))
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            self.retract()
            transaction.commit()
        self.answer('delete')

    def test_it_is_told_and_tried_again(self):
        self.retract_in_vain()
        (failure,) = self.unpublished
        self.assertTrue(failure.retracts)
        self.assertIn('the database is away', failure.reason)
        self.assertEqual(1, self.number('unpublished_contents'))
        told = output(['status', '--spool', str(self.spool.path)])
        self.assertIn('1 retraction that failed', told)
        self.assertEqual([b'<article/>'], self.export())
        self.assertEqual([(self.article.uniqueId, 's', None)], self.retry())
        self.assertEqual(([], []), (self.unpublished, self.export()))

    def test_what_waits_is_withdrawn_all_the_same(self):
        self.article.body = b'2'
        self.publish()
        self.retract_in_vain()
        self.assertEqual([b'<article/>'], self.export())

    def test_in_a_transaction_only_if_it_is_committed(self):
        self.answer(LookupError('away'))
        transaction.begin()
        self.retract()
        transaction.abort()
        self.assertEqual([], self.unpublished)

    def test_an_answer_that_is_none_of_ours(self):
        self.answer('remove')
        with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
            self.retract()
        self.assertIn('TypeError', self.unpublished[0].reason)

    def test_a_later_publication_takes_its_place(self):
        self.retract_in_vain()
        self.article.body = b'2'
        self.publish()
        self.assertEqual(([], [], [b'2']), (self.unpublished, self.retry(), self.export()))

    def test_a_later_publication_that_fails_takes_its_place(self):
        self.retract_in_vain()
        self.article.uuid = 'no/name'
        self.fail_once()
        (failure,) = self.unpublished
        self.assertEqual((False, 1), (failure.retracts, failure.attempts))
        self.article.uuid, self.article.body = UUID, b'2'
        self.retry()
        self.assertEqual(([], [b'2']), (self.unpublished, self.export()))

    def test_it_takes_the_place_of_a_publication_that_failed(self):
        self.article.uuid = 'no/name'
        self.fail_once()
        self.retract_in_vain()
        self.article.uuid = UUID
        self.retry()
        self.assertEqual(([], []), (self.unpublished, self.export()))

    def test_each_order_of_what_fails(self):
        all_of_them = itertools.product(['p', 'r', 'failed p', 'failed r'], repeat=3)
        for n, actions in enumerate(some(all_of_them, 5)):
            with self.subTest(actions):
                self.article.body = str(n).encode()
                for action in actions:
                    self.act(action)
                self.retry()
                self.assertEqual([], self.unpublished)
                expected = [self.article.body] if actions[-1].endswith('p') else []
                self.assertEqual(expected, self.export())

    def act(self, action):
        if action == 'p':
            self.publish()
        elif action == 'r':
            self.retract()
        elif action == 'failed r':
            self.retract_in_vain()
        else:
            self.article.uuid = 'no/name'
            self.fail_once()
            self.article.uuid = UUID
        transaction.commit()

    def test_without_a_spool_that_can_be_written_it_is_in_memory(self):
        super().retract_in_vain()
        (failure,) = self.unpublished
        self.assertEqual((True, 'delete'), (failure.retracts, failure.answer))
        zope.component.getUtility(IPublisher).retry_due()
        self.assertEqual(([], []), (self.unpublished, self.export()))

    def test_a_spool_that_only_imports_makes_no_noise(self):
        from zeit.cds.interfaces import IImporter, ISpool
        from zeit.cds.run.importer import Importer
        from zeit.cds.spool.spool import Spool

        other = Spool(self.folder / 'nowhere')
        zope.component.provideUtility(other, ISpool, name='in')
        zope.component.provideUtility(Importer(other, self.target), IImporter, name='in')
        with self.assertNoLogs('zeit.cds', 'WARNING'):
            self.retract()
            transaction.commit()


@zope.interface.implementer(IDeliverable)
class Notice:
    """A file that tells the partner that a content is canceled."""

    wanted = False

    def __init__(self, name, data=b'<canceled/>'):
        self.name, self.data = name, data

    def open(self):
        return io.BytesIO(self.data)


class NoticeTests(EraseTests):
    """The partner gets a file that tells him, of the name of the other, or of its own."""

    names = NAME, 'canceled.xml'

    def everywhere(self):
        """Yield for each name of the notice; what was on the server is gone."""
        for n, name in enumerate(self.names):
            with self.subTest(name):
                self.article.uniqueId = f'http://xml.zeit.de/{n}'
                self.target.files.clear()
                self.answer(Notice(name))
                yield name

    def told(self):
        """Return whether the partner was told last that it is canceled, of all that he got."""
        found = remembered.history(self.spool.path / '.cds')
        found = [each for each in found if each['kind'] == 'delivered']
        return found[-1]['size'] == len(b'<canceled/>') if found else None

    def test_it_goes_like_a_publication(self):
        for name in self.everywhere():
            self.publish()
            self.export()
            self.retract()
            transaction.commit()
            self.assertEqual(0, self.run_once().exit_code)
            self.assertEqual(b'<canceled/>', self.target.files[name])

    def test_not_if_it_is_aborted(self):
        for name in self.everywhere():
            self.publish()
            self.export()
            transaction.begin()
            self.retract()
            transaction.abort()
            self.assertNotIn(b'<canceled/>', self.export(), name)

    def test_not_of_what_the_partner_never_had(self):
        for name in self.everywhere():
            self.publish()
            self.retract()
            transaction.commit()
            self.assertEqual([], self.export(), name)

    def test_once_only(self):
        for _ in self.everywhere():
            self.publish()
            self.export()
            for export in False, True, True:
                self.retract()
                transaction.commit()
                if export:
                    self.export()
            found = remembered.history(self.spool.path / '.cds')
            content = self.article.uniqueId
            done = [e for e in found if e['kind'] == 'delivered' and e['content'] == content]
            self.assertEqual(2, len(done))

    def test_a_second_retraction_does_not_withdraw_the_first_one(self):
        for name in self.everywhere():
            self.publish()
            self.export()
            self.retract()
            transaction.commit()
            self.answer(None)
            self.retract()
            transaction.commit()
            self.export()
            self.assertEqual(b'<canceled/>', self.target.files[name])

    def test_the_last_word_comes_last_whatever_is_done_when(self):
        for _ in self.everywhere():
            for actions in some(itertools.product('prx', repeat=3), 4):
                with self.subTest(actions):
                    for action in actions:
                        {'p': self.publish, 'r': self.retract, 'x': self.export}[action]()
                        transaction.commit()
                    self.export()
                    last = [action for action in actions if action != 'x'][-1:]
                    if last and self.told() is not None:
                        self.assertEqual(last == ['r'], self.told())

    def test_in_one_transaction(self):
        for _ in self.everywhere():
            for actions in 'pr', 'rp':
                with self.subTest(actions):
                    self.publish()
                    self.export()
                    transaction.begin()
                    for action in actions:
                        self.retract() if action == 'r' else PublishTests.publish(self)
                    transaction.commit()
                    waits = [*self.waiting().values()]  # what is refused may come at any time
                    self.assertEqual(actions == 'pr', b'<canceled/>' in waits)
                    self.export()
                    self.assertEqual(actions == 'pr', self.told())

    def test_what_is_parked_of_it_is_withdrawn_by_a_later_publication(self):
        for name in self.everywhere():
            self.publish()
            self.export()
            self.retract()
            transaction.commit()
            with self.spool.run():
                entries = self.spool.pending()[0]
                (entry,) = [entry for entry in entries if entry.name == name]
                self.spool.park(entry, 'refused')
            self.publish()
            self.assertEqual([], self.spool.status().parked)
            self.export()
            self.assertFalse(self.told())

    def test_in_the_middle_of_a_run(self):
        for name in self.everywhere():

            def retract(operation, name):
                if operation == 'publish':
                    self.target.hook = lambda operation, name: None
                    thread = threading.Thread(target=self.retract)
                    thread.start()
                    thread.join(TIMEOUT)

            self.target.hook = retract
            self.publish()
            self.export()
            self.export()
            self.assertEqual(b'<canceled/>', self.target.files[name])

    def test_one_that_cannot_be_read_is_kept(self):
        for name in self.everywhere():
            self.publish()
            self.export()
            self.answer(Notice(name, data='text'))
            with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
                self.retract()
                transaction.commit()
            self.assertEqual(1, len(self.unpublished))
            self.answer(Notice(name))
            with unittest.mock.patch(
                'zeit.cds.publish.finding.find', return_value=self.article
            ):
                self.retry()
            self.export()
            self.assertEqual(([], b'<canceled/>'), (self.unpublished, self.target.files[name]))

    def test_what_dies_behind_its_vote_is_done_by_the_next_run(self):
        for name in self.everywhere():
            self.publish()
            self.export()
            transaction.begin()
            self.retract()
            pid = os.fork()
            if not pid:
                with unittest.mock.patch(
                    'zeit.cds.spool.batch.Batch.commit', lambda batch: os._exit(0)
                ):
                    transaction.commit()
                os._exit(1)
            self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            transaction.abort()
            self.export()
            self.assertEqual(b'<canceled/>', self.target.files[name])
            self.assertEqual([], self.spool.status().in_doubt)
