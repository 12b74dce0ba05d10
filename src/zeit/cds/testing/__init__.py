"""Public test fixtures of zeit.cds: real FTP and SFTP servers, and zope.testrunner layers for them.

Servers, each a context manager with `host port user password root start() stop() restart()`:

- `zeit.cds.testing.pyftpd.PyFTPServer`: pyftpdlib in a thread, ready in milliseconds;
- `zeit.cds.testing.servers.VsftpdServer`, `ProFTPDServer`, `PureFTPDServer`: the daemons, as child
  processes that end with the test process in whatever way it ends.  They need root and the
  programs; without them `ServerUnavailable` says what to do, and skips the test;
- `zeit.cds.testing.sftpservers`: OpenSSH, ProFTPD's mod_sftp and others for SFTP.

All of them listen on a free port of 127.0.0.1 for the user `test`, password `testpw`, whose `/` is
the directory `root` on disk:

    with PyFTPServer() as server:
        ftp = ftplib.FTP()
        ftp.connect(server.host, server.port)
        ftp.login(server.user, server.password)

With `tls=TLS(certificate=...)` (`zeit.cds.testing.tls`, `zeit.cds.testing.certificates`) they speak
TLS and demand it.

Layers, in `zeit.cds.testing.layers`: `QUIET` fails a test for what it leaves behind (threads, open
files and sockets, ResourceWarnings, exceptions in threads); `PYFTPD`, `VSFTPD`, `PROFTPD` and
`PUREFTPD` stand on it and run one server each, emptied before every test; `PYFTPD_TLS12`,
`PYFTPD_TLS13`, `PYFTPD_IMPLICIT` and so on are the same servers with TLS; `OPENSSH`,
`INTERNAL_SFTP`, `PROFTPD_SFTP`, `ASYNCSSH`, `PARAMIKO` and `RCLONE_SFTP` speak SFTP:

    class ExportTest(ServerTests, unittest.TestCase):
        layer = PYFTPD

        def test_something(self):
            self.server.root ...

This module imports nothing, so what is in the extra `test` is needed by those who use it only.
"""
