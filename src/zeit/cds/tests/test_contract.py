import unittest
import unittest.mock

from zeit.cds.credentials import Secret
from zeit.cds.ftp.capabilities import LISTINGS
from zeit.cds.target.target import FTPTarget
from zeit.cds.target.upload import upload_files
from zeit.cds.testing import layers
from zeit.cds.testing.faults import FaultServer
from zeit.cds.testing.memory import MemoryTarget, NoLedger
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.tests.contract import TargetContract, job
from zeit.cds.values.plan import Plan


class MemoryTests(TargetContract, unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.target = MemoryTarget()

    def contents(self):
        return dict(self.target.files)

    def plant(self, name, content):
        self.target.write(name, content)


def target(server, **options):
    return FTPTarget.from_options(
        host=server.host,
        port=server.port,
        user='test',
        password=Secret('testpw'),
        **options,
    )


class FaultServerTests(TargetContract, unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        self.server = self.enterContext(FaultServer())
        self.target = target(self.server)

    def contents(self):
        return {path.removeprefix('/'): data for path, data in self.server.files.items()}

    def plant(self, name, content):
        self.server.put(f'/{name}', content)


class OnDisk(layers.ServerTests, TargetContract):
    """A server whose directory is on this machine's disk."""

    options = {}

    def setUp(self):
        super().setUp()
        self.target = target(self.server, **self.options)

    def contents(self):
        return {p.name: p.read_bytes() for p in self.server.root.iterdir() if p.is_file()}

    def plant(self, name, content):
        (self.server.root / name).write_bytes(content)
        (self.server.root / name).chmod(0o666)

    def test_a_file_that_is_not_renamed_after_all_costs_no_login(self):
        session = self.open()
        jobs = [job(name, b'1', changed=name == 'b') for name in 'abcd']
        plan = Plan(jobs)
        for outcome in upload_files(session, plan, ledger=NoLedger()):
            plan.settle(outcome)
        self.assertEqual(({'a', 'c', 'd'}, 3), ({*self.contents()}, plan.stored))
        self.assertEqual(1, session.connections)


class PyFTPTests(OnDisk, unittest.TestCase):
    layer = layers.PYFTPD


class VsftpdTests(OnDisk, unittest.TestCase):
    layer = layers.VSFTPD


class ProFTPDTests(OnDisk, unittest.TestCase):
    layer = layers.PROFTPD


class PureFTPDTests(OnDisk, unittest.TestCase):
    layer = layers.PUREFTPD


class TwistedTests(OnDisk, unittest.TestCase):
    layer = layers.TWISTED
    level = 2
    profile = PROFILES['twisted']


class Hasty(OnDisk):
    """A server that answers several commands in one packet in any order; a run finds that out."""

    def setUp(self):
        super().setUp()
        self.target = _KnownTarget(self.target.settings)


class _KnownTarget(FTPTarget):
    def open(self, **options):
        session = super().open(**options)
        session._capabilities.together = False
        return session


class AioftpTests(Hasty, unittest.TestCase):
    layer = layers.AIOFTP
    level = 2
    profile = PROFILES['aioftp']
    # It answers what is in one packet in any order: now and then that costs one.
    test_a_file_that_is_not_renamed_after_all_costs_no_login = None


class ZopeServerTests(Hasty, unittest.TestCase):
    layer = layers.ZOPE_SERVER
    level = 2
    profile = PROFILES['zope.server']


class RcloneTests(OnDisk, unittest.TestCase):
    layer = layers.RCLONE
    level = 2
    profile = PROFILES['rclone']
    # It merges them, and its process ends by that now and then.
    test_of_two_directories_that_get_one_name_one_wins = None

    def contents(self):
        # What comes into being behind its removal, after a reset, is for the next run.
        found = super().contents().items()
        return {name: data for name, data in found if not name.endswith('.part')}


class WithoutTemporaryTests(PyFTPTests):
    options = {'temporary': False}

    def run_jobs(self, *jobs, **options):
        """Do it beside a file that listings have to show, as in any run: its lock."""
        session = self.open()
        session.store('lock', b'')
        with unittest.mock.patch.object(self, 'open', lambda: session):
            return super().run_jobs(*jobs, **options)

    def contents(self):
        return {name: data for name, data in super().contents().items() if name != 'lock'}


class PassiveTests(PyFTPTests):
    """The same over PASV and NLST, as on a server that is older than RFC 2428 and RFC 3659."""

    def setUp(self):
        super().setUp()
        self.target = _OldTarget(self.target.settings)


class _OldTarget(FTPTarget):
    def open(self, **options):
        session = super().open(**options)
        session._capabilities.epsv = False
        session._capabilities.listings = LISTINGS[1:]
        return session
