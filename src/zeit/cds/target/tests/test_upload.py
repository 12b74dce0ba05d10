"""What is in the journal before something happens on the server, which a kill would hide."""

import contextlib
import hashlib
import io
import unittest
import unittest.mock

import zope.interface
from zope.interface.verify import verifyObject

from zeit.cds.errors import DeadlinePassed, SourceChanged, SourceUnreadable, SpoolError, Withdrawn
from zeit.cds.ftp.reply_errors import WAIT
from zeit.cds.ftp.transfer_start import Start
from zeit.cds.interfaces import ILedger
from zeit.cds.network.deadline import Deadline
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import faults, layers
from zeit.cds.tests.scenario import target
from zeit.cds.values.plan import Job, Plan


class Source(io.BytesIO):
    size = 3
    sha256 = ''
    number = 1
    version = ()
    rate = None

    def require_wanted(self):
        """Nobody withdraws it."""

    def verify(self):
        """It does not change."""

    def digest(self):
        return hashlib.sha256(self.getvalue()).hexdigest()


@zope.interface.implementer(ILedger)
class Recorder:
    """A ledger that adds what it is told to the list `events`."""

    def __init__(self, events):
        self._events = events

    def note(self, kind, name, *, before=None, **fields):
        self._events.append(f'{kind} {name}' + (f' {before}' if kind == 'exposed' else ''))

    def together(self):
        return contextlib.nullcontext()


class OrderTests(unittest.TestCase):
    layer = layers.QUIET

    VERBS = ('STOR', 'RNTO', 'DELE')

    def setUp(self):
        self.events = []
        self.server = self.enterContext(faults.FaultServer(directories=['/cds'], hook=self.hook))
        self.server.put('/cds/write', b'')

    def hook(self, event):
        if event.moment == 'before' and event.verb in self.VERBS:
            kind = event.path.rpartition('.')[2] if '.cds' in event.path else event.path[5:]
            self.events.append(f'{event.verb} {kind}')

    def deliver(self, *, source=None, **options):
        """Deliver the file `a`; return the names of the errors."""
        source = source or Source(b'new')
        session = target(self.server, **options).open()
        session.known.add('write')  # which a listing must show to be believed
        try:
            plan = Plan([Job(name='a', size=3, open=lambda: source)])
            outcomes = upload_files(session, plan, ledger=Recorder(self.events))
            return [type(outcome.error).__name__ for outcome in outcomes]
        finally:
            session.close()

    def test_the_recorder_is_a_ledger(self):
        verifyObject(ILedger, Recorder([]))

    def test_an_upload_is_noted_before_it_gets_its_name(self):
        self.assertEqual(['NoneType'], self.deliver())
        self.assertEqual(['STOR part', 'uploaded a', 'RNTO a'], self.events)

    def test_it_is_given_up_before_its_temporary_is_deleted(self):
        self.server.fault('RNTO', faults.Reply('550 No.'))
        self.assertEqual(['PermanentError'], self.deliver())
        expected = ['STOR part', 'uploaded a', 'RNTO a', 'abandoned a', 'DELE part']
        self.assertEqual(expected, self.events)

    def test_what_changed_while_it_was_sent_does_not_get_its_name(self):
        source = Source(b'new')
        source.verify = unittest.mock.Mock(side_effect=SourceChanged('It changed'))
        self.assertEqual(['SourceChanged'], self.deliver(source=source))
        self.assertNotIn('RNTO a', self.events)
        self.assertEqual({'/cds/write'}, {*self.server.files})

    def test_what_cannot_be_read_to_its_end_is_not_complete_to_the_server(self):
        """It sees a connection that was reset, not the end of a file."""
        source = Source(b'new')
        error = SourceUnreadable('Input/output error')
        source.readinto = unittest.mock.Mock(side_effect=[3, error])
        self.assertEqual(['SourceUnreadable'], self.deliver(source=source, temporary=False))
        self.server.wait_closed()
        said = [text for connection, _, text in self.server.dialogue if connection == 0]
        answers = said[said.index('STOR a') :]
        self.assertEqual([], [each for each in answers if each.startswith('226')])
        self.assertNotIn('/cds/a', self.server.files)

    def test_what_is_withdrawn_after_it_was_noted_is_not_sent_as_itself(self):
        source = Source(b'new')
        source.require_wanted = unittest.mock.Mock(side_effect=[None, Withdrawn('Taken back')])
        self.assertEqual(['Withdrawn'], self.deliver(source=source, temporary=False))
        self.assertEqual(['exposed a None', 'tidied a'], self.events)

    def test_what_is_put_aside_is_noted_before(self):
        self.server.put('/cds/a', b'old')
        self.server.fault('RNTO', faults.Reply('550 It exists.'), path='/cds/a', times=1)
        self.assertEqual(['NoneType'], self.deliver())
        self.assertEqual(
            [
                *('STOR part', 'uploaded a', 'RNTO a'),
                *('aside a', 'RNTO aside', 'RNTO a', 'DELE aside', 'tidied a'),
            ],
            self.events,
        )

    def test_what_stands_there_is_noted_before_it_is_overwritten(self):
        self.server.put('/cds/a', b'older', modified=0)
        self.assertEqual(['NoneType'], self.deliver(temporary=False))
        expected = ["exposed a [5, '1970-01-01T00:00:00+00:00']", 'STOR a', 'placed a']
        self.assertEqual(expected, self.events)

    def test_a_lost_answer_to_the_renaming_is_looked_after(self):
        self.server.fault('RNTO', faults.Cut(moment='executed'), times=1)
        self.assertEqual(['NoneType'], self.deliver())
        self.assertEqual(['STOR part', 'uploaded a', 'RNTO a'], self.events)


class SignalTests(unittest.TestCase):
    layer = layers.QUIET

    def test_an_error_while_it_is_cleaned_up_does_not_take_its_place(self):
        """The disk is full, for instance: whoever was to end must end."""
        for temporary, last in ((True, 'abandoned'), (False, 'tidied')):
            with self.subTest(last), faults.FaultServer(directories=['/cds']) as server:
                errors = {'uploaded': SystemExit(143), last: SpoolError('Full.')}

                def note(kind, name, errors=errors, **fields):
                    if kind in errors:
                        raise errors[kind]

                ledger = unittest.mock.Mock(spec=Recorder([]), note=note)
                session = target(server, temporary=temporary).open()
                source = Source(b'new')
                if not temporary:
                    source.readinto = unittest.mock.Mock(side_effect=SystemExit(143))
                plan = Plan([Job(name='a', size=3, open=lambda source=source: source)])
                try:
                    with self.assertRaises(SystemExit):
                        list(upload_files(session, plan, ledger=ledger))
                finally:
                    session.close()


class StartTests(unittest.TestCase):
    layer = layers.QUIET

    def test_an_interruption_behind_the_answer_is_one_after_the_beginning(self):
        """Otherwise nobody would delete what has been begun."""
        control = unittest.mock.Mock()
        control.answer.return_value.verdict = WAIT
        seen = []
        start = Start(control, 'STOR', 'a', began=lambda name: seen.append(start.accepted))
        start.ask()
        start.wait()
        self.assertEqual(([False], True), (seen, start.accepted))


class DeadlineTests(unittest.TestCase):
    layer = layers.QUIET

    def test_what_is_left(self):
        deadline = Deadline()
        self.assertEqual(5, deadline.within(5))
        deadline.restart(1000)
        self.assertEqual(5, deadline.within(5))
        deadline.restart(2)
        self.assertLessEqual(deadline.within(5), 2)

    def test_nothing_is_left(self):
        for seconds in (0, -1):
            for deadline in (Deadline(), Deadline(outer=Deadline())):
                with self.subTest(seconds=seconds, deadline=deadline):
                    deadline._all[0].restart(seconds)
                    with self.assertRaises(DeadlinePassed):
                        deadline.within(5)
