"""Further servers of the world, that `.ci/world` has unpacked: one class each, in `SERVERS`.

`python -m zeit.cds.testing.world NAME` starts one, says where it is, and ends it with the end of
standard input; without NAME it lists them.

Most of them are started as root: what Debian packages get the folder that they are unpacked in for
their root directory, in a mount namespace of their own.
"""

import contextlib
import gzip
import importlib.metadata
import os
import pathlib
import re
import shutil
import socket
import sys
import tempfile

from zeit.cds.testing import inetd, worldscripts
from zeit.cds.testing.daemon import (
    REMEDY,
    DaemonServer,
    ServerUnavailable,
    hash_password,
    servers_directory,
    write_private,
)
from zeit.cds.testing.process import ServerError
from zeit.cds.testing.pyftpd import PyFTPServer
from zeit.cds.testing.servers import ProFTPDServer, PureFTPDServer, VsftpdServer


#: What brings these servers; some of them are brought by that of the others, too.
WORLD = '.ci/world'


class WorldServer(DaemonServer):
    """A `DaemonServer` out of a folder of `.ci/world`: `package`, with `program` in it.

    Further attribute: `home`, the path of a URL for the directory.
    """

    home = '//'

    @classmethod
    def find(cls):
        """See `DaemonServer`."""
        program = servers_directory() / cls.package / cls.program
        if not os.access(program, os.X_OK):
            raise _unavailable(cls)
        if cls.as_root and os.geteuid() != 0:
            raise ServerUnavailable(f'{cls.name} needs root (chroot, setuid), beside {WORLD}')
        return program


class ScriptServer(WorldServer):
    """A server of PyPI that one of `worldscripts` starts."""

    program = 'bin/python'
    script = None
    as_root = False

    def _configure(self, program, *, port, work, account):
        # Its own environment, whatever that of this process says of Python's paths.
        return [str(program), '-E', '-c', self.script, *self._arguments(port)]

    def _arguments(self, port):
        files = (self.tls.certificate.certificate, self.tls.certificate.key) if self.tls else ()
        return self.host, str(port), str(self.root), self.user, self.password, *map(str, files)


class NodeServer(ScriptServer):
    """A server of npm that one of `worldscripts` starts."""

    @classmethod
    def find(cls):
        """See `DaemonServer`."""
        modules = servers_directory() / cls.package / 'node_modules'
        if not modules.is_dir():
            raise _unavailable(cls)
        node = shutil.which('node')
        if node is None:
            raise ServerUnavailable(f'{cls.name} needs node')
        return pathlib.Path(node)

    def _configure(self, program, *, port, work, account):
        modules = servers_directory() / self.package / 'node_modules'
        return ['env', f'NODE_PATH={modules}',
                str(program), '-e', self.script, *self._arguments(port)]  # fmt: skip


class RcloneServer(WorldServer):
    """rclone's `serve ftp`; its TLS is implicit, and data are in clear all the same."""

    program = 'bin/rclone'
    as_root = False

    def _configure(self, program, *, port, work, account):
        account = ['--user', self.user, '--pass', self.password]
        if self.tls:
            shown = self.tls.certificate
            account += '--cert', str(shown.certificate), '--key', str(shown.key)
        return [str(program), '--config', os.devnull, 'serve', 'ftp', str(self.root),
                *('--addr', f'{self.host}:{port}', '--dir-cache-time', '0'), *account,
                *self.extra]  # fmt: skip


class TreeServer(WorldServer):
    """A Debian package with all that it depends on, whose folder is its root directory.

    Its /etc is a private one, in which the user exists; directories for temporary files are those
    of the machine.
    """

    def _seen(self, path):
        tree = f'{servers_directory() / self.package}/'
        return str(path).replace(tree, '/')

    def _enter(self, command):
        """Return what runs *command* in the tree, with paths of the machine changed."""
        tree = str(servers_directory() / self.package)
        temporary = tempfile.gettempdir()
        os.makedirs(tree + temporary, exist_ok=True)
        etc = self._work / 'etc'
        script = (
            'mount --bind "$1" "$2/etc" && mount --rbind /dev "$2/dev" &&'
            ' mount --rbind /proc "$2/proc" && mount --bind "$3" "$2$3" || exit;'
            ' tree=$2; shift 3; exec chroot "$tree" "$@"'
        )
        return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh',
                str(etc), tree, temporary, *map(self._seen, command)]  # fmt: skip

    def _account(self, account):
        """Write the private /etc."""
        etc = self._work / 'etc'
        (etc / 'pam.d').mkdir(parents=True, exist_ok=True)
        ids = f'{account.pw_uid}:{account.pw_gid}'
        texts = {
            'passwd': (
                'root:x:0:0::/root:/bin/sh',
                f'{account.pw_name}:x:{ids}::/:/bin/sh',
                f'{self.user}:x:{ids}::{self.root}:/bin/sh',
            ),
            'group': ('root:x:0:', f'nogroup:x:{account.pw_gid}:'),
            'shadow': (f'{self.user}:{hash_password(self.password)}:19000:0:99999:7:::',),
            'shells': ('/bin/sh',),
            'ftpchroot': (self.user,),
            # Globus looks its own name up.
            'hosts': (f'{self.host} localhost {socket.gethostname()}',),
            'nsswitch.conf': ('passwd: files', 'group: files', 'shadow: files', 'hosts: files'),
            'pam.d/other': (
                # netkit can be asked for a password by this one only, though for others.
                'auth sufficient pam_ftp.so',
                'auth required pam_unix.so nodelay try_first_pass',
                'account required pam_permit.so',
                'session required pam_permit.so',
            ),
        }
        for name, lines in texts.items():
            write_private(etc / name, *lines)
            os.chmod(etc / name, 0o644)
        os.chmod(etc, 0o755)

    def _configure(self, program, *, port, work, account):
        self._account(account)
        return self._enter(self._command(program, port=port, account=account))

    def _command(self, program, *, port, account):
        raise NotImplementedError


class InetdServer(TreeServer):
    """A server that takes the connection for its standard input."""

    def _configure(self, program, *, port, work, account):
        command = super()._configure(program, port=port, work=work, account=account)
        return [sys.executable, '-I', '-S', inetd.__file__, self.host, str(port), *command]

    def _command(self, program, *, port, account):
        return [program]


class TwoftpdServer(InetdServer):
    """twoftpd's file transfer alone, which takes any password; twoftpd-auth needs a module."""

    def _command(self, program, *, port, account):
        ids = (f'UID={account.pw_uid}', f'GID={account.pw_gid}', f'USER={self.user}')
        return ['env', '-i', *ids, f'HOME={self.root}', 'CHROOT=1',
                'TCPLOCALIP=127.0.0.1', 'TCPREMOTEIP=127.0.0.1', program]  # fmt: skip

    def _enter(self, command):
        split = command.index('TCPREMOTEIP=127.0.0.1') + 1
        return command[:split] + super()._enter(command[split:])


class BusyboxServer(InetdServer):
    def _command(self, program, *, port, account):
        return [program, '-w', self.root]


class HomeServer(TreeServer):
    """A server without a root directory of its own for the account."""

    @property
    def home(self):
        """See `WorldServer`."""
        return str(self.root)


class GlobusServer(HomeServer):
    def _command(self, program, *, port, account):
        users = write_private(
            self._work / 'users',
            # It knows only DES.
            f'{self.user}:{hash_password(self.password, salt="ab")}:'
            f'{account.pw_uid}:{account.pw_gid}::{self.root}:{self._seen(program)}',
        )
        return [program, '-p', port, '-control-interface', self.host, '-password-file', users]


class AnyEventServer(HomeServer):
    def _command(self, program, *, port, account):
        return [program, '-e', worldscripts.ANYEVENT, self.root, '--hostname', self.host,
                '--port', port, '--cred', f'{self.user}:{self.password}']  # fmt: skip


class TreeProFTPDServer(TreeServer, ProFTPDServer):
    def __init__(self, *, allow_overwrite=True, standalone=True, **arguments):
        super().__init__(allow_overwrite=allow_overwrite, standalone=standalone, **arguments)

    def _configure(self, program, *, port, work, account):
        self._account(account)
        return ProFTPDServer._configure(self, program, port=port, work=work, account=account)


class TreePureFTPDServer(TreeServer, PureFTPDServer):
    def _command(self, program, *, port, account):
        return PureFTPDServer._configure(
            self, program, port=port, work=self._work, account=account
        )


class TreeVsftpdServer(TreeServer, VsftpdServer):
    def _command(self, program, *, port, account):
        VsftpdServer._configure(self, program, port=port, work=self._work, account=account)
        return [program, self._work / 'vsftpd.conf']


def _unavailable(server):
    return ServerUnavailable(
        f'{server.name} is not there: run {REMEDY}, or {WORLD} {server.package}'
    )


def _server(base, name, **attributes):
    attributes.setdefault('package', name)
    return type(name, (base,), {'name': name, **attributes})


def _servers():
    for package, script in (
        ('twisted', worldscripts.TWISTED),
        ('aioftp', worldscripts.AIOFTP),
        ('zope.server', worldscripts.ZOPE),
        ('thinftp', worldscripts.THINFTP),
        ('pyfsftpserver', worldscripts.PYFSFTPSERVER),
        ('pyftpdlib-1', worldscripts.PYFTPDLIB),
    ):
        yield _server(ScriptServer, package, script=script)
    yield _server(RcloneServer, 'rclone')
    for package, script in (
        ('ftp-srv', worldscripts.FTP_SRV),
        ('npm-ftpd', worldscripts.NPM_FTPD),
        ('simple-ftpd', worldscripts.SIMPLE_FTPD),
    ):
        yield _server(NodeServer, package, script=script)
    for package in ('inetutils-12', 'inetutils-13', 'inetutils-sid'):
        yield _server(InetdServer, package, program='usr/sbin/ftpd')
    for package in ('netkit', 'ftpd-ssl'):
        yield _server(InetdServer, package, program='usr/sbin/in.ftpd')
    yield _server(TwoftpdServer, 'twoftpd', program='usr/bin/twoftpd-xfer')
    yield _server(BusyboxServer, 'busybox', program='usr/sbin/ftpd')
    yield _server(GlobusServer, 'globus', program='usr/sbin/globus-gridftp-server')
    yield _server(AnyEventServer, 'anyevent-ftp', program='usr/bin/perl')
    for package in ('proftpd-11', 'proftpd-13', 'proftpd-sid'):
        yield _server(TreeProFTPDServer, package)
    yield _server(TreePureFTPDServer, 'pure-ftpd-11')
    yield _server(TreeVsftpdServer, 'vsftpd-13')


#: All classes by name; those of `zeit.cds.testing` included.
SERVERS = {each.name: each for each in _servers()} | {
    'vsftpd': VsftpdServer,
    'proftpd': ProFTPDServer,
    'pure-ftpd': PureFTPDServer,
    'pyftpdlib': PyFTPServer,
}


def version(name):
    """Return the version of what is installed, as text, '' if it is not known.

    name: one of `SERVERS`, or the folder of another one.
    """
    if name == 'pyftpdlib':
        return importlib.metadata.version(name)
    folder = servers_directory() / (SERVERS[name].package if name in SERVERS else name)
    try:
        found = (folder / 'version').read_text()
    except OSError:
        # What .ci/servers has unpacked: the first line of the package's history.
        history = sorted(folder.glob('usr/share/doc/*/changelog.Debian*.gz'))
        found = gzip.decompress(history[0].read_bytes()).decode() if history else ''
        found = found.partition('(')[2].partition(')')[0]
    # Without the parts that only Debian knows.
    return re.sub(r'^\d+:|[+~-].*', '', found.strip(), flags=re.DOTALL)


def main(arguments):
    """Start the server that is named; return an exit code."""
    if len(arguments) != 1 or arguments[0] not in SERVERS:
        print(f'usage: python -m {__spec__.name} NAME\n' + '\n'.join(sorted(SERVERS)))
        return 2
    try:
        with SERVERS[arguments[0]]() as server:
            print(f'{server.host} {server.port} {server.user} {server.password} {server.root}',
                  flush=True)  # fmt: skip
            with contextlib.suppress(KeyboardInterrupt):
                sys.stdin.read()
    except (ServerError, ServerUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
