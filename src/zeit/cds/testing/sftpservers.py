"""SFTP servers that partners run, as ordinary child processes.

OpenSSH, with its sftp-server and as internal-sftp in a chroot, and ProFTPD's mod_sftp, of the
packages that `.ci/servers` unpacks; AsyncSSH, Paramiko and rclone out of its environments.

Each takes the password and the key of its account.  `python -m zeit.cds.testing.sftpservers NAME`
starts one, says where it is, and ends it with the end of standard input.
"""

import contextlib
import os
import pathlib
import pwd
import sys

from zeit.cds.testing.daemon import (
    DaemonServer,
    ServerUnavailable,
    find_program,
    in_namespace,
    write_accounts,
    write_private,
)
from zeit.cds.testing.process import ServerError
from zeit.cds.testing.servers import SESSIONS, ProFTPDServer
from zeit.cds.testing.sftpscripts import ASYNCSSH, PARAMIKO
from zeit.cds.testing.world import RcloneServer, ScriptServer


class SSHServer(DaemonServer):
    """An SFTP server with a host key of its own, made at its start.

    Attributes, None until it is started: `host_key` (the public one, a line), `known_hosts` and
    `client_key` (paths: a file that knows the server, and the private key of the account),
    `directory` (the path that `root` has for the account).
    """

    greeting = b'SSH-2.0-'

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.host_key = self.known_hosts = self.client_key = None

    @property
    def directory(self):
        """The path that the account sees `root` at."""
        return '/'

    def _make_keys(self, work, *, port):
        """Return the paths of the private host key and of the account's public key."""
        import asyncssh

        host_key, self.client_key = work / 'host_key', work / 'client_key'
        public = pathlib.Path(f'{self.client_key}.pub')
        if not public.exists():
            for path in host_key, self.client_key:
                key = asyncssh.generate_private_key('ssh-ed25519')
                write_private(path, key.export_private_key('openssh').decode().strip())
                key.write_public_key(f'{path}.pub')
            os.chmod(public, 0o644)
        self.host_key = pathlib.Path(f'{host_key}.pub').read_text().strip()
        self.known_hosts = work / 'known_hosts'
        self.known_hosts.write_text(f'[{self.host}]:{port} {self.host_key}\n')
        return host_key, public


class OpenSSHServer(SSHServer):
    """OpenSSH's sshd.

    Run by root, its sessions are those of a user that exists for this server only, as with
    `VsftpdServer`; by anybody else, they are those of that user, who has no password then.

    internal: the session is `internal-sftp` in a chroot, which only root can have.
    """

    name = 'OpenSSH'
    package = 'openssh'
    program = 'usr/sbin/sshd'
    internal = False

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.as_root = os.geteuid() == 0
        if not self.as_root:
            self.user, self.password = pwd.getpwuid(os.geteuid()).pw_name, None

    @property
    def directory(self):
        """See `SSHServer`."""
        return '/files' if self.internal else str(self.root)

    @classmethod
    def find(cls):
        """See `DaemonServer`."""
        if cls.internal:
            return super().find()
        return find_program(cls.package, *cls.program.split('/'))

    def _configure(self, program, *, port, work, account):
        host_key, public = self._make_keys(work, port=port)
        helper = program.parents[1] / 'lib' / 'openssh' / 'sftp-server'
        if self.internal:
            sftp = 'internal-sftp'
            forced = ['ForceCommand internal-sftp', 'ChrootDirectory /run/chroot']
        else:
            forced = []
            sftp = '/run/sftp-server' if self.as_root else helper
        configuration = write_private(
            work / 'sshd_config',
            f'ListenAddress {self.host}',
            f'Port {port}',
            f'HostKey {host_key}',
            f'AuthorizedKeysFile {public}',
            'AuthenticationMethods any',
            f'PasswordAuthentication {"yes" if self.as_root else "no"}',
            'KbdInteractiveAuthentication no',
            'UsePAM no',
            # The directories above are those of whoever runs the tests.
            'StrictModes no',
            'UseDNS no',
            'PidFile none',
            f'MaxStartups {4 * SESSIONS}',
            f'MaxSessions {SESSIONS}',
            f'Subsystem sftp {sftp}',
            *forced,
            *self.extra,
        )
        command = [program, '-D', '-e', '-f', configuration]
        if not self.as_root:
            return list(map(str, command))
        accounts = write_accounts(
            work,
            user=self.user,
            password=self.password,
            account=account,
            home=self.directory,
            others=['sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin'],
        )
        # What sshd wants to find in /run, and what it wants of a chroot, is not the machine's.
        script = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd /run/chroot || exit'
        if self.internal:
            place = '/run/chroot/files'
            script += f'\nmkdir {place} && mount --bind {self.root} {place} || exit'
        else:
            # The user may not come to where it lies.
            script += f'\ncp {helper} /run/sftp-server || exit'
        return in_namespace(command, *accounts, script=script)


class InternalSFTPServer(OpenSSHServer):
    """See `OpenSSHServer`."""

    internal = True


class ProFTPDSFTPServer(SSHServer, ProFTPDServer):
    """ProFTPD's mod_sftp; with the `root` of a `ProFTPDServer` both serve one directory."""

    name = 'ProFTPD'

    def __init__(self, *, allow_overwrite=True, **arguments):
        super().__init__(allow_overwrite=allow_overwrite, **arguments)

    @classmethod
    def find(cls):
        """See `DaemonServer`."""
        program = super().find()
        if not (program.parents[1] / 'lib/proftpd/mod_sftp.so').exists():
            raise ServerUnavailable('ProFTPD has no mod_sftp: the Debian package is'
                                    ' proftpd-mod-crypto')  # fmt: skip
        return program

    def _configure(self, program, *, port, work, account):
        host_key, public = self._make_keys(work, port=port)
        import asyncssh

        # It wants them as RFC 4716 has them.
        key = asyncssh.read_public_key(public)
        authorized = work / 'authorized'
        authorized.write_bytes(key.export_public_key('rfc4716'))
        given, self.extra = self.extra, [
            'LoadModule mod_sftp.c',
            'SFTPEngine on',
            f'SFTPLog {work}/log',
            f'SFTPHostKey {host_key}',
            f'SFTPAuthorizedUserKeys file:{authorized}',
            *self.extra,
        ]  # fmt: skip
        try:
            return super()._configure(program, port=port, work=work, account=account)
        finally:
            self.extra = given


class ScriptSFTPServer(SSHServer, ScriptServer):
    """A server of PyPI that one of `sftpscripts` starts."""

    def _configure(self, program, *, port, work, account):
        keys = self._make_keys(work, port=port)
        return [str(program), '-E', '-c', self.script, *self._arguments(port), *map(str, keys)]


class AsyncSSHServer(ScriptSFTPServer):
    """AsyncSSH's own server."""

    name = package = 'asyncssh'
    script = ASYNCSSH


class ParamikoServer(ScriptSFTPServer):
    """Paramiko's server, over the simplest of file systems."""

    name = package = 'paramiko'
    script = PARAMIKO


class RcloneSFTPServer(SSHServer, RcloneServer):
    """rclone's `serve sftp`."""

    name = package = 'rclone'

    def _configure(self, program, *, port, work, account):
        host_key, public = self._make_keys(work, port=port)
        return [str(program), '--config', os.devnull, 'serve', 'sftp', str(self.root),
                *('--addr', f'{self.host}:{port}', '--dir-cache-time', '0'),
                *('--user', self.user, '--pass', self.password),
                *('--key', str(host_key), '--authorized-keys', str(public)),
                *self.extra]  # fmt: skip


#: All classes by name.
SFTP_SERVERS = {
    'openssh': OpenSSHServer,
    'internal-sftp': InternalSFTPServer,
    'proftpd': ProFTPDSFTPServer,
    'asyncssh': AsyncSSHServer,
    'paramiko': ParamikoServer,
    'rclone': RcloneSFTPServer,
}


def main(arguments):
    """Start the server that is named; return an exit code."""
    if len(arguments) != 1 or arguments[0] not in SFTP_SERVERS:
        print(f'usage: python -m {__spec__.name} NAME\n' + '\n'.join(SFTP_SERVERS))
        return 2
    try:
        with SFTP_SERVERS[arguments[0]]() as server:
            print(f'sftp://{server.user}@{server.host}:{server.port}{server.directory}'
                  f' password {server.password}, key {server.client_key},'
                  f' known_hosts {server.known_hosts}', flush=True)  # fmt: skip
            with contextlib.suppress(KeyboardInterrupt):
                sys.stdin.read()
    except (ServerError, ServerUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
