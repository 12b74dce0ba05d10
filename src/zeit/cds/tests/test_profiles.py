"""Kills, and two at once, on mirrors of real servers: a few at each, not all."""

import unittest

from zeit.cds.lock.tests.test_contention import FaultTests
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.tests.test_kill import KillTests


class Kills(KillTests):
    stride = 7

    def test_killed_before_a_command_is_executed(self):
        self.commands('lost', after=self.converge)

    def test_killed_after_a_command_was_executed(self):
        self.commands('executed', after=self.converge)


class Contentions(FaultTests):
    step = 24


def _tests(base, profile):
    return type(
        f'{base.__name__}{profile.name.title().replace("-", "").replace(".", "")}Tests',
        (base, unittest.TestCase),
        {
            # Without delays: the relay between both acknowledges when it likes.
            'options': {**profile.options, 'prompt': True},
            # What the server closes the connection for may still be done: the next run looks.
            'settling': int(profile.answers.full == 'closes'),
            'level': 2,
            '__module__': __name__,
        },
    )


# An account without a right is refused before anything is done.
_PROFILES = [profile for profile in PROFILES.values() if not profile.answers.denied]
globals().update(
    (tests.__name__, tests)
    for tests in (_tests(base, profile) for base in (Kills, Contentions) for profile in _PROFILES)
)
