"""The contract of a target on mirrors of real servers: their answers, without them."""

import unittest

from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.testing.tls import TLS
from zeit.cds.tests.contract import TargetContract
from zeit.cds.tests.folders import in_memory
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


class TLSTests(unittest.TestCase):
    """Export, one more over the same names, and an import, twice, on each of them in TLS."""

    layer = layers.QUIET
    level = 2

    def test_runs_in_tls(self):
        certificates = self.enterContext(Certificates())
        made = TLS(certificate=certificates.server)
        for profile in PROFILES.values():
            if profile.answers.denied or not profile.answers.sends_empty:
                continue  # zope.server has no TLS
            with self.subTest(profile.name), profile.server(tls=made) as server:
                self.runs(server, target(server, tls='explicit', ca_file=str(certificates.ca_file)))

    def runs(self, server, goal):
        spool, letters = Spool(in_memory(self)), Spool(in_memory(self))
        for word in b'one', b'two':
            files = {'a.xml': word * 5, 'b.xml': word * 9000, 'empty.xml': b''}
            for name, data in files.items():
                spool.put(name, data)
            self.run_once(Exporter(spool, goal))
            found = {path.removeprefix('/'): data for path, data in server.files.items()}
            self.assertEqual(files, found)
        for _ in range(2):
            for name in found:
                server.put(f'/{name}', found[name], modified=1_700_000_000)
            self.run_once(Importer(letters, goal))
            self.assertEqual({}, server.files)
            new = list((letters.path / 'new').iterdir())
            self.assertEqual(found, {path.name: path.read_bytes() for path in new})
            for path in new:
                path.unlink()
        server.wait_closed()
        self.assertNotIn('data', server.in_clear)
        self.assertEqual({'AUTH TLS'}, set(server.in_clear))

    def run_once(self, work):
        report = work.run_once()
        self.assertEqual(([], 0), (report.errors, report.exit_code))
