"""Answers to what was sent along: none is taken for another one, and no time-out is waited for."""

import unittest
from unittest import mock

from zeit.cds.ftp.along import AlongConnection
from zeit.cds.testing import faults
from zeit.cds.tests.test_network import FaultCase


class AlongCase(FaultCase):
    """A session whose data connections are known to work."""

    def setUp(self):
        super().setUp()
        self.session = self.open()
        self.session.names()

    @property
    def ways(self):
        return self.session._ways

    def fault(self, verb, *actions, **when):
        self.server.fault(verb, *actions, **when)


class InterruptTests(AlongCase):
    """A signal comes when the answers to both commands are there, and one of them was taken."""

    def interrupted(self, call, *args):
        with (
            mock.patch.object(AlongConnection, '_along', side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            call(*args)

    def setUp(self):
        super().setUp()
        self.fault('MKD', faults.Extra('229 Here (|||1|).'), times=1)
        self.fault('EPSV', faults.Reply(''), times=1)
        self.interrupted(self.session.make_directory, 'a')

    def test_the_other_one_answers_nothing_else(self):
        self.session.remove_directory('a')
        self.assertEqual([1], self.server.connections('RMD'))

    def test_no_goodbye(self):
        self.session.leave()
        self.server.wait_closed()
        self.assertEqual([], self.server.commands('QUIT'))
