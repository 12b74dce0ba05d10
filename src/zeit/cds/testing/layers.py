"""zope.testrunner layers: one FTP server each, started once, emptied before every test."""

import os
import sys

from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.quiet import QuietLayer
from zeit.cds.testing.servers import (
    ProFTPDServer,
    PureFTPDServer,
    ServerUnavailable,
    VsftpdServer,
)


# Seconds until the server in a thread has noticed that the test's connections are closed.
IDLE_TIMEOUT = 5


class ServerLayer:
    """A layer with a running server in `server`.

    `factory()` makes the server.  If its program is missing, `server` stays None, `reason` says
    why, and tests that call `require` are skipped; with the environment variable CI=true the layer
    fails instead, so that a missing server is never taken for success.
    """

    def __init__(self, name, *, factory, base, module):
        self.__name__ = name
        self.__module__ = module
        self.__bases__ = (base,)
        self.factory = factory
        self.server = None
        self.reason = 'the layer is not set up'

    def setUp(self):
        """Start the server; raises ServerUnavailable, if CI=true, or ServerError."""
        try:
            self.server = self.factory().start()
        except ServerUnavailable as error:
            if os.environ.get('CI') == 'true':
                raise
            self.reason = str(error)
            # zope.testrunner shows why a test is skipped only to those who ask for it (-vvv).
            print(f'Tests of {self.__name__} are skipped: {error}', file=sys.stderr)

    def tearDown(self):
        """Stop the server."""
        server, self.server = self.server, None
        if server is not None:
            server.stop()

    def testSetUp(self):
        """Empty the server; start it again if a test has stopped it."""
        if self.server is not None:
            self.server.start()
            self.server.clear()

    def testTearDown(self):
        """Wait for the server's side of closed connections, where it lives in this process."""
        if self.server is None:
            return
        if isinstance(self.server, PyFTPServer):
            self.server.wait_idle(timeout=IDLE_TIMEOUT)
        threads, descriptors = self.server.held()
        for base in self.__bases__:
            base.accept(threads=threads, descriptors=descriptors)

    def require(self, test):
        """Return the server, or skip *test* with the line that says how to get it."""
        if self.server is None:
            test.skipTest(self.reason)
        return self.server


class ServerTests:
    """Mixin for a TestCase whose `layer` is a ServerLayer: `self.server`."""

    def setUp(self):
        """Find the server; skips the test if there is none."""
        super().setUp()
        self.server = self.layer.require(self)


QUIET = QuietLayer('QUIET', module=__name__)
PYFTPD = ServerLayer('PYFTPD', factory=PyFTPServer, base=QUIET, module=__name__)
VSFTPD = ServerLayer('VSFTPD', factory=VsftpdServer, base=QUIET, module=__name__)
PROFTPD = ServerLayer('PROFTPD', factory=ProFTPDServer, base=QUIET, module=__name__)
PUREFTPD = ServerLayer('PUREFTPD', factory=PureFTPDServer, base=QUIET, module=__name__)
