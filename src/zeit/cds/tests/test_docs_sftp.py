"""docs/sftp.txt, executed: as it is, and up to its faults on OpenSSH."""

import contextlib
import doctest
import io
import unittest
from unittest import mock

import zope.component.testing

from zeit.cds.sftp.connection import Connection
from zeit.cds.testing import layers
from zeit.cds.tests import docs


DOCUMENT = 'docs/sftp.txt'

#: From here on it is about answers that no real server gives at will.
SCRIPTED = '\nWhen something is wrong\n'


def _begin(stack):
    zope.component.testing.setUp()
    stack.callback(zope.component.testing.tearDown)


class RealServer:
    """A running OpenSSH, in the place of the server that the document starts."""

    def __init__(self, server, *, asked):
        self._server = server
        self._asked = asked
        self.host, self.port, self.host_key = server.host, server.port, server.host_key

    def start(self):
        """It is running; it gets the directory of the document."""
        directory = self._server.root / 'in'
        directory.mkdir()
        directory.chmod(0o777)

    def stop(self):
        """It goes on for other tests."""

    @property
    def files(self):
        """Files and their content, by paths as the document has them."""
        found = (self._server.root / 'in').iterdir()
        return {f'/in/{path.name}': path.read_bytes() for path in found}

    def commands(self, verb):
        """Return the requests of this kind, as the log shows them."""
        return [each for each in self._asked if each.split()[:1] == [verb]]


class OpenSSHTests(layers.ServerTests, unittest.TestCase):
    layer = layers.OPENSSH
    maxDiff = None

    def test_document(self):
        text = docs.require(self, DOCUMENT)
        if self.server.password is None:
            self.skipTest('Only root can let OpenSSH take a password, as the document has one')
        text, found, _ = text.partition(SCRIPTED)
        self.assertTrue(found)
        self.assertEqual(1, text.count('directory="/in"'))
        text = text.replace('directory="/in"', f'directory="{self.server.directory}/in"')
        asked, send, out, globs = [], Connection.send, io.StringIO(), {}

        def noted(connection, *args, shown='', **options):
            asked.append(shown)
            return send(connection, *args, shown=shown, **options)

        def server(*, directories):
            self.assertEqual(['/in'], directories)
            return RealServer(self.server, asked=asked)

        with (
            contextlib.ExitStack() as stack,
            mock.patch('zeit.cds.testing.sftpfaults.SFTPFaultServer', server),
            mock.patch.object(Connection, 'send', noted),
        ):
            _begin(stack)
            stack.callback(lambda: globs['temporary'].cleanup())
            examples = doctest.DocTestParser().get_doctest(text, globs, DOCUMENT, DOCUMENT, 0)
            globs = examples.globs
            runner = doctest.DocTestRunner(docs.Checker(), verbose=False)
            runner.run(examples, out=out.write, clear_globs=False)
        self.assertEqual('', out.getvalue())
        self.assertGreater(runner.tries, 20)


def load_tests(loader, tests, pattern):
    return unittest.TestSuite(
        [
            docs.suite(DOCUMENT, set_up=_begin),
            unittest.defaultTestLoader.loadTestsFromTestCase(OpenSSHTests),
        ]
    )


def test_suite():
    """Return the same for zope.testrunner."""
    return load_tests(None, None, None)
