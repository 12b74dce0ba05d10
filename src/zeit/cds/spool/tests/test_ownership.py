"""Whose files are those that root makes in the spool of another user."""

import os
import pathlib
import tempfile
import unittest
import unittest.mock

from zeit.cds.errors import PermanentError
from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.system import files
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.values.run_options import Options


#: The numbers of a user and a group that need not be known here.
USER, GROUP = 12345, 12346


def refuse(operation, name):
    if (operation, name) == ('upload', 'bad.xml'):
        raise PermanentError(553, '553 No.')


@unittest.skipIf(os.geteuid(), 'only root can be root')
class RootTests(unittest.TestCase):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        os.chmod(folder, 0o755)
        self.spool = Spool(folder / 'spool')
        self.spool.path.mkdir(mode=0o755)
        os.chown(self.spool.path, USER, GROUP)
        self.target = MemoryTarget(hook=refuse)

    def everything(self):
        """Do whatever writes into the spool."""
        for name in ('a.xml', 'bad.xml', 'empty.xml'):
            self.spool.put(name, b'' if name == 'empty.xml' else b'<a/>')
        batch = self.spool.batch()
        batch.put('b.xml', b'<b/>')
        batch.prepare()
        batch.commit()
        with self.spool.batch() as batch:
            batch.put('c.xml', b'<c/>')
            batch.prepare()
        self.spool.unpublished.add('http://xml.zeit.de/a', 'no adapter')
        options = Options(park_after=1, empty='park')
        with unittest.mock.patch('zeit.cds.run.failures.APART', 0):
            report = Exporter(self.spool, self.target, wait=lambda s: None).run_once(options)
        self.assertLessEqual({'a.xml', 'b.xml', 'c.xml'}, {*report.delivered}, report)
        self.assertIsNone(report.error)
        source = MemoryTarget()
        source.write('letter.xml', b'<letter/>', age=60)
        self.assertEqual(['letter.xml'], Importer(self.spool, source).run_once().delivered)
        with self.spool.run():
            self.spool.retry('empty.xml')

    def owners(self):
        return {
            (found.st_uid, found.st_gid)
            for path in [self.spool.path, *self.spool.path.rglob('*')]
            if (found := os.lstat(path))
        }

    def test_they_are_those_of_the_spools_user(self):
        self.everything()
        self.assertEqual({(USER, GROUP)}, self.owners())

    def test_root_may_be_the_first(self):
        (self.spool.path / 'new').mkdir()
        (self.spool.path / 'new' / 'd.xml').write_bytes(b'<d/>')
        self.spool.hold('d.xml', 'It waits for a correction.')
        self.assertEqual(['d.xml'], [*self.spool.status().held])
        made = (self.spool.path / '.cds').rglob('*')
        self.assertEqual({(USER, GROUP)}, {(os.stat(p).st_uid, os.stat(p).st_gid) for p in made})

    def test_who_goes_on_with_them(self):
        self.everything()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.setgroups([])
                os.setgid(GROUP)
                os.setuid(USER)
                self.everything()
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def test_what_has_another_name_elsewhere_remains_as_it_is(self):
        foreign = self.spool.path.parent / 'foreign'
        foreign.write_bytes(b'x')
        os.link(foreign, self.spool.path / 'x')
        with files.open_regular(self.spool.path / 'x', 'ab'):
            pass
        self.assertEqual(0, os.stat(foreign).st_uid)

    def test_root_that_must_not(self):
        with unittest.mock.patch('os.fchown', side_effect=PermissionError(1, 'No')):
            self.everything()
        self.assertIn((0, 0), self.owners())
