"""The daemons that partners run, as ordinary child processes: vsftpd, ProFTPD, Pure-FTPd.

They need root, because all three change their root directory and their user for a session; the
sessions run as the user `nobody`.  The programs are looked for in
`$ZEIT_CDS_SERVERS/{vsftpd,proftpd,pure-ftpd}/` (each an unpacked Debian package, since the three
conflict with one another; without the variable `${XDG_CACHE_HOME:-~/.cache}/zeit.cds/servers`),
then on PATH and in the usual sbin directories.

What differs between them (Debian 12; for TLS see `zeit.cds.testing.tls`):

=========  ====================  ====================  ===================
server     STOR onto a file      RNTO onto a file      RNTO onto a non-
                                                       empty directory
=========  ====================  ====================  ===================
pyftpdlib  replaces              replaces              refuses (550)
vsftpd     replaces              replaces              refuses (550)
ProFTPD    refuses (550) unless  refuses (550) unless  refuses (550)
           `allow_overwrite`     `allow_overwrite`
Pure-FTPd  replaces              replaces              refuses (451)
=========  ====================  ====================  ===================
"""

import grp
import subprocess
import sys

from zeit.cds.testing import inetd
from zeit.cds.testing.daemon import (
    LOG,
    DaemonServer,
    ServerUnavailable,
    find_program,
    hash_password,
    in_namespace,
    write_accounts,
    write_private,
)
from zeit.cds.testing.process import ServerError


__all__ = ['ProFTPDServer', 'PureFTPDServer', 'ServerError', 'ServerUnavailable', 'VsftpdServer']

# Simultaneous sessions, in all and for one client address.
SESSIONS = 64
# What Debian 13 has made modules of ProFTPD; without them it knows neither LIST nor STOR.
MODULES = ('mod_ls', 'mod_xfer', 'mod_delay')
# Seconds for pure-pw and for the check of ProFTPD's configuration.
TOOL_TIMEOUT = 30


class VsftpdServer(DaemonServer):
    """vsftpd with a local user in a chroot, as partners run it.

    vsftpd knows passwords only by PAM, and PAM only by /etc.  So the daemon gets a mount namespace
    of its own (unshare(1)), in which /etc/pam.d, /etc/passwd and /etc/shadow are replaced by
    private ones: nothing of the machine is touched, and the user exists for this daemon only.
    Rejected: anonymous access with `secure_email_list_enable`, which needs no PAM, but opens files
    with O_EXCL for STOR, so that it refuses what partners' servers allow.

    A private namespace needs CAP_SYS_ADMIN: in an unprivileged container the start fails, and the
    error quotes unshare.  `500 OOPS: vsf_sysutil_bind` in a session is vsftpd's answer when
    thousands of closed sockets linger (TIME_WAIT): transient, and much more often where it gets a
    range for its passive ports.  Its seccomp sandbox is off: it kills
    sessions on kernels that are younger than it.
    """

    name = 'vsftpd'
    package = 'vsftpd'
    program = 'usr/sbin/vsftpd'

    @property
    def resumptions(self):
        """See `DaemonServer`."""
        return self.log.count(', reused, ')

    def _configure(self, program, *, port, work, account):
        pam = work / 'pam.d'
        pam.mkdir(exist_ok=True)
        write_private(
            pam / 'vsftpd',
            # Without nodelay a wrong password costs two seconds.
            'auth required pam_unix.so nodelay',
            'account required pam_permit.so',
            'session required pam_permit.so',
        )
        accounts = write_accounts(
            work, user=self.user, password=self.password, account=account, home=self.root
        )
        empty = work / 'empty'
        empty.mkdir(exist_ok=True)
        configuration = write_private(
            work / 'vsftpd.conf',
            'listen=YES',
            'listen_ipv6=NO',
            f'listen_address={self.host}',
            f'listen_port={port}',
            'background=NO',
            'anonymous_enable=NO',
            'local_enable=YES',
            'write_enable=YES',
            'local_umask=022',
            'chroot_local_user=YES',
            'allow_writeable_chroot=YES',
            'pam_service_name=vsftpd',
            f'secure_chroot_dir={empty}',
            'delay_failed_login=0',
            'delay_successful_login=0',
            f'max_clients={SESSIONS}',
            f'max_per_ip={SESSIONS}',
            'seccomp_sandbox=NO',
            # A network namespace per session costs tens of milliseconds.
            'isolate_network=NO',
            *(self.tls.vsftpd(work / LOG) if self.tls else ['xferlog_enable=NO']),
            *self.extra,
        )
        return in_namespace([program, configuration], f'{pam}:/etc/pam.d', *accounts)


class ProFTPDServer(DaemonServer):
    """ProFTPD with a user file of its own.

    Further argument: `allow_overwrite`, as shipped False: STOR and RNTO onto an existing file are
    refused with 550.  mod_delay is off (it makes every login as slow as the slowest ones), and each
    session is a process of `ServerType inetd`, for the reason given in `zeit.cds.testing.inetd`;
    with `standalone=True` it is ProFTPD's own master that listens.
    """

    name = 'ProFTPD'
    package = 'proftpd'
    program = 'usr/sbin/proftpd'

    def __init__(self, *, allow_overwrite=False, standalone=False, **arguments):
        super().__init__(**arguments)
        self.allow_overwrite = allow_overwrite
        self.standalone = standalone

    @property
    def resumptions(self):
        """See `DaemonServer`."""
        return self.log.count('client reused TLS session for data connection')

    def _configure(self, program, *, port, work, account):
        users = write_private(
            work / 'users',
            f'{self.user}:{hash_password(self.password)}:{account.pw_uid}:{account.pw_gid}::'
            f'{self.root}:/bin/sh',
        )
        modules = program.parents[1] / 'lib' / 'proftpd'
        configuration = write_private(
            work / 'proftpd.conf',
            # Where LoadModule in `extra` finds its modules.
            *([f'ModulePath {self._seen(modules)}'] if modules.is_dir() else []),
            *(f'LoadModule {each}.c' for each in MODULES if (modules / f'{each}.so').exists()),
            'ServerName "zeit.cds test server"',
            f'ServerType {"standalone" if self.standalone else "inetd"}',
            f'DefaultAddress {self.host}',
            f'Port {port}',
            'SocketBindTight on',
            'UseIPv6 off',
            'UseReverseDNS off',
            f'User {account.pw_name}',
            f'Group {grp.getgrgid(account.pw_gid).gr_name}',
            'Umask 022',
            f'PidFile {work}/pid',
            'ScoreboardFile none',
            'ControlsEngine off',
            'DelayEngine off',
            'WtmpLog off',
            'TransferLog none',
            f'SystemLog {work}/system.log',
            'AuthOrder mod_auth_file.c',
            f'AuthUserFile {users}',
            'AuthPAM off',
            'RequireValidShell off',
            'UseFtpUsers off',
            'PersistentPasswd off',
            'DefaultRoot ~',
            f'MaxInstances {SESSIONS}',
            f'AllowOverwrite {"on" if self.allow_overwrite else "off"}',
            *(self.tls.proftpd(work / LOG) if self.tls else ()),
            *self.extra,
        )
        command = self._enter([str(program), '--nodaemon', '--config', str(configuration)])
        if self.standalone:
            return command
        # Otherwise every session would find the mistake anew, and nobody the message.
        test = subprocess.run(
            [*command, '--configtest'], capture_output=True, text=True, timeout=TOOL_TIMEOUT
        )
        if test.returncode:
            raise ServerError(f'{program}: {test.stderr.strip()}')
        return [sys.executable, '-I', '-S', inetd.__file__, self.host, str(port), *command]


class PureFTPDServer(DaemonServer):
    """Pure-FTPd with a user database of its own.

    The hash in it is a cheap one: the default of pure-pw costs two to three seconds per login.
    `extra` are words for the command line, as there is no configuration file.
    """

    name = 'Pure-FTPd'
    package = 'pure-ftpd'
    program = 'usr/sbin/pure-ftpd'

    def _configure(self, program, *, port, work, account):
        users = write_private(
            work / 'users',
            # pure-pw(8): name, hash, uid, gid, gecos, home, and empty limits.
            f'{self.user}:{hash_password(self.password)}:{account.pw_uid}:{account.pw_gid}::'
            f'{self.root}/./' + ':' * 12,
        )
        database = work / 'users.pdb'
        tool = find_program(self.package, 'usr', 'bin', 'pure-pw')
        subprocess.run(
            self._enter([tool, 'mkdb', database, '-f', users]),
            check=True,
            capture_output=True,
            timeout=TOOL_TIMEOUT,
        )
        return [
            str(program),
            *('--bind', f'{self.host},{port}'),
            '--ipv4only',
            *('--login', f'puredb:{database}'),
            '--chrooteveryone',
            '--noanonymous',
            '--dontresolve',
            *('--minuid', '1'),
            *('--maxclientsnumber', str(SESSIONS)),
            *('--maxclientsperip', str(SESSIONS)),
            *('--umask', '133:022'),
            *('--syslogfacility', 'none'),
            *('--pidfile', str(work / 'pid')),
            *(self.tls.pureftpd() if self.tls else ()),
            *self.extra,
        ]
