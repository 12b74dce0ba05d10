"""zope.testrunner layers: one server each, started once, emptied before every test."""

from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.quiet import QuietLayer
from zeit.cds.testing.servers import (
    ProFTPDServer,
    PureFTPDServer,
    ServerUnavailable,
    VsftpdServer,
)
from zeit.cds.testing.sftpservers import SFTP_SERVERS
from zeit.cds.testing.tls import TLS
from zeit.cds.testing.world import SERVERS


# Seconds until the server in a thread has noticed that the test's connections are closed.
IDLE_TIMEOUT = 30


class ServerLayer:
    """A layer with a running server in `server`.

    `factory()` makes the server.  If its program is missing, `server` stays None, `reason` says
    why, and tests that call `require` are skipped.
    """

    def __init__(self, name, *, factory, base, module):
        self.__name__ = name
        self.__module__ = module
        self.__bases__ = (base,)
        self.factory = factory
        self.server = None
        self.reason = 'the layer is not set up'

    def setUp(self):
        """Start the server; raises ServerError."""
        try:
            self.server = self.factory().start()
        except ServerUnavailable as error:
            self.reason = str(error)

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


class TLSServerLayer(ServerLayer):
    """A layer whose server speaks TLS, and shows a good certificate out of `certificates`.

    version: the only one that the server speaks, '1.2' or '1.3'; implicit: the handshake first.
    """

    def __init__(self, name, *, factory, base, module, version, implicit=False):
        super().__init__(name, factory=self._make, base=base, module=module)
        self._class = factory
        self.version = version
        self.implicit = implicit
        self.certificates = None

    def _make(self):
        return self._class(
            tls=TLS(
                certificate=self.certificates.server,
                implicit=self.implicit,
                minimum=self.version,
                maximum=self.version,
            )
        )

    def setUp(self):
        """Make the certificates, start the server; raises what `ServerLayer.setUp` raises."""
        self.certificates = Certificates()
        try:
            super().setUp()
        except BaseException:
            self.certificates.close()
            raise

    def tearDown(self):
        """Stop the server, remove the certificates."""
        try:
            super().tearDown()
        finally:
            self.certificates.close()


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


def _world(name):
    layer = name.replace('.', '_').upper()
    return ServerLayer(layer, factory=SERVERS[name], base=QUIET, module=__name__)


TWISTED = _world('twisted')
AIOFTP = _world('aioftp')
ZOPE_SERVER = _world('zope.server')
RCLONE = _world('rclone')


def _sftp(layer, name):
    return ServerLayer(layer, factory=SFTP_SERVERS[name], base=QUIET, module=__name__)


OPENSSH = _sftp('OPENSSH', 'openssh')
INTERNAL_SFTP = _sftp('INTERNAL_SFTP', 'internal-sftp')
PROFTPD_SFTP = _sftp('PROFTPD_SFTP', 'proftpd')
ASYNCSSH = _sftp('ASYNCSSH', 'asyncssh')
PARAMIKO = _sftp('PARAMIKO', 'paramiko')
RCLONE_SFTP = _sftp('RCLONE_SFTP', 'rclone')


def _tls(name, factory, version, *, implicit=False):
    return TLSServerLayer(
        name, factory=factory, version=version, implicit=implicit, base=QUIET, module=__name__
    )


PYFTPD_TLS12 = _tls('PYFTPD_TLS12', PyFTPServer, '1.2')
PYFTPD_TLS13 = _tls('PYFTPD_TLS13', PyFTPServer, '1.3')
PYFTPD_IMPLICIT = _tls('PYFTPD_IMPLICIT', PyFTPServer, '1.3', implicit=True)
VSFTPD_TLS12 = _tls('VSFTPD_TLS12', VsftpdServer, '1.2')
VSFTPD_TLS13 = _tls('VSFTPD_TLS13', VsftpdServer, '1.3')
VSFTPD_IMPLICIT = _tls('VSFTPD_IMPLICIT', VsftpdServer, '1.3', implicit=True)
PROFTPD_TLS12 = _tls('PROFTPD_TLS12', ProFTPDServer, '1.2')
PROFTPD_TLS13 = _tls('PROFTPD_TLS13', ProFTPDServer, '1.3')
PROFTPD_IMPLICIT = _tls('PROFTPD_IMPLICIT', ProFTPDServer, '1.3', implicit=True)
PUREFTPD_TLS12 = _tls('PUREFTPD_TLS12', PureFTPDServer, '1.2')
PUREFTPD_TLS13 = _tls('PUREFTPD_TLS13', PureFTPDServer, '1.3')

#: All of them, for matrices.
TLS_LAYERS = (
    *(PYFTPD_TLS12, PYFTPD_TLS13, PYFTPD_IMPLICIT),
    *(VSFTPD_TLS12, VSFTPD_TLS13, VSFTPD_IMPLICIT),
    *(PROFTPD_TLS12, PROFTPD_TLS13, PROFTPD_IMPLICIT),
    *(PUREFTPD_TLS12, PUREFTPD_TLS13),
)
