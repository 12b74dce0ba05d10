"""The contract of a target on mirrors of real servers: their answers, without them."""

import unittest

from zeit.cds.testing import layers
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.tests.contract import TargetContract
from zeit.cds.tests.test_contract import target


class Mirrored(TargetContract):
    layer = layers.QUIET

    def setUp(self):
        self.server = self.enterContext(self.profile.server())
        self.target = target(self.server)

    def contents(self):
        return {path.removeprefix('/'): data for path, data in self.server.files.items()}

    def plant(self, name, content):
        self.server.put(f'/{name}', content)


#: The rest is for level 2.
FIRST = ('zope.server', 'rclone')


def _tests(profile):
    return type(
        f'{profile.name.title().replace("-", "").replace(".", "")}Tests',
        (Mirrored, unittest.TestCase),
        {
            'profile': profile,
            'level': 1 if profile.name in FIRST else 2,
            '__module__': __name__,
        },
    )


globals().update(
    (tests.__name__, tests)
    # An account without a right is refused before anything is done.
    for tests in (_tests(each) for each in PROFILES.values() if not each.answers.denied)
)
