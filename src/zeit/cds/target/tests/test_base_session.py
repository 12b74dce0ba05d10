"""What sessions do whichever protocol they speak: of what they know, and of their garbage."""

import types
import unittest

from zeit.cds import errors
from zeit.cds.target.base_session import BaseSession
from zeit.cds.target.delivery_options import Delivery


class Link:
    """Makes another connection whenever the present one is None."""

    connection = None
    made = 0

    def ready(self, *, deadline, enter):
        if self.connection is None:
            self.made += 1
            self.connection = object()
        return self.connection


class Session(BaseSession):
    """Deletes the names `deletable`, and refuses others; `breaks` on some: there is no answer."""

    def __init__(self, *, deletable=(), breaks=()):
        capabilities = types.SimpleNamespace(known=set())
        super().__init__(None, Delivery(), capabilities=capabilities, link=Link())
        self._deletable = deletable
        self._breaks = breaks
        self.asked = []

    def _enter(self, connection):
        """It is there."""

    def _execute(self):
        return self._ready()

    def _clean_up(self):
        for name in self._untried():
            self._tried.add(name)
            self.asked.append(name)
            if name in self._breaks:
                self._link.connection = None
                raise errors.ConnectionLost(104, 'lost')
            if name in self._deletable:
                self.garbage.remove(name)


class KnownTests(unittest.TestCase):
    def test_what_was_not_deleted_is_still_known(self):
        session = Session()
        session.known.add('lock')
        known = session._forget([('DELE', 'lock')])
        self.assertFalse(session.is_shown({'lock', 'a'}))
        refusal = errors.PermanentError(550, 'No.')
        self.assertIs(refusal, session._remember(('DELE', 'lock'), refusal, known=known))
        self.assertTrue(session.is_shown({'lock', 'a'}))


class GarbageTests(unittest.TestCase):
    def test_it_is_deleted_over_each_new_connection_once(self):
        session = Session(deletable='a')
        session.garbage += 'ab'
        session.enter()
        session.enter()
        self.assertEqual((['a', 'b'], ['b']), (session.asked, session.garbage))
        session.delete_garbage()
        self.assertEqual(['a', 'b', 'b'], session.asked)

    def test_what_breaks_the_connection_does_not_stand_in_the_way(self):
        session = Session(breaks='a')
        session.garbage.append('a')
        self.assertIsNotNone(session._query())
        self.assertEqual((['a'], 2), (session.asked, session.connections))

    def test_whether_it_is_gone(self):
        session = Session(deletable='a', breaks='c')
        found = [session.dispose_of(name) for name in 'abc']
        self.assertEqual(([True, False, False], ['b', 'c']), (found, session.garbage))
