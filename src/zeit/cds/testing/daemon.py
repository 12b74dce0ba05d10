"""What the daemons among the test servers have in common: program, account, start and end."""

import ctypes
import os
import pathlib
import pwd
import secrets
import shutil
import unittest

from zeit.cds.testing.base import Server
from zeit.cds.testing.process import Daemon, ServerError


# The user that a session runs as: not root, so that permissions mean something.
ACCOUNT = 'nobody'
# A process that knows nothing of reservations may take the port before the daemon does.
PORT_ATTEMPTS = 3
# The name of the daemon's log file, where it has one.
LOG = 'log'
SBIN = ('/usr/local/sbin', '/usr/sbin', '/sbin')


#: What brings the programs that tests need.
REMEDY = '.ci/servers'


class ServerUnavailable(unittest.SkipTest):
    """A test server, or another program, is not there or cannot run here.  The text names `REMEDY`.

    A test that does not catch it is skipped.
    """


def servers_directory():
    """Return the directory of the unpacked packages, see the module's documentation."""
    if 'ZEIT_CDS_SERVERS' in os.environ:
        return pathlib.Path(os.environ['ZEIT_CDS_SERVERS'])
    cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(cache) / 'zeit.cds' / 'servers'


def find_program(package, *path):
    """Return the path of a program.

    package: the name of the Debian package, *path*: where the program lies in it, e.g. `'usr',
    'sbin', 'vsftpd'`.  Raises ServerUnavailable.
    """
    unpacked = servers_directory() / package
    candidate = unpacked.joinpath(*path)
    if os.access(candidate, os.X_OK):
        return candidate
    search = os.pathsep.join((os.environ.get('PATH', os.defpath), *SBIN))
    found = shutil.which(path[-1], path=search)
    if found is None:
        raise ServerUnavailable(
            f'{path[-1]} is not installed: run {REMEDY}, or unpack the Debian package'
            f' {package} into {unpacked} (ZEIT_CDS_SERVERS names another place)'
        )
    return pathlib.Path(found)


def hash_password(password, *, salt=None):
    """Return a crypt(3) hash of *password*, SHA-512 with the fewest rounds: a login is quick."""
    crypt = ctypes.CDLL('libcrypt.so.1').crypt
    crypt.restype = ctypes.c_char_p
    salt = salt or f'$6$rounds=1000${secrets.token_hex(8)}'
    return crypt(password.encode(), salt.encode()).decode('ascii')


class DaemonServer(Server):
    """A `zeit.cds.testing.base.Server` whose work is done by a daemon.

    Further argument: `extra`, a list of raw lines for the daemon's configuration, after all others
    (for Pure-FTPd: words for its command line).  The root directory is given to `ACCOUNT`, which
    must be able to reach it, so every directory above it needs the permission o+x.

    Subclasses name the `package` and the `program` in it, and implement `_configure`.
    """

    package = program = None
    # What its greeting begins with.
    greeting = b'220'
    # Whether it must be started by root, and its sessions run as `ACCOUNT`.
    as_root = True

    def __init__(self, *, extra=(), **arguments):
        super().__init__(**arguments)
        self.extra = list(extra)
        self._daemon = None
        self._work = None

    @property
    def running(self):
        """See `Server`."""
        return self._daemon is not None and self._daemon.alive

    @property
    def pid(self):
        """The process id above all of the server's processes; None when stopped."""
        return self._daemon and self._daemon.pid

    @property
    def output(self):
        """What the daemon said on its console, of diagnostic use only."""
        return self._daemon.output if self._daemon else ''

    @property
    def log(self):
        """What the daemon wrote to its log file so far, empty if it has none.

        A session may write its last lines after its client has gone.
        """
        path = self._work and self._work / LOG
        return path.read_text(errors='replace') if path and path.exists() else ''

    @property
    def resumptions(self):
        """How many TLS sessions were resumed so far; None if this server does not tell."""
        return None

    @classmethod
    def find(cls):
        """Return the path of the daemon; raises ServerUnavailable, also when not run by root."""
        if os.geteuid() != 0:
            raise ServerUnavailable(f'{cls.name} needs root (chroot, setuid), beside {REMEDY}')
        return find_program(cls.package, *cls.program.split('/'))

    def held(self):
        """See `Server`."""
        threads, descriptors = super().held()
        return threads, descriptors | (self._daemon.descriptors if self._daemon else set())

    def own(self):
        """See `Server`."""
        account = pwd.getpwnam(ACCOUNT)
        for directory, names, files in os.walk(self.root):
            for path in (directory, *(os.path.join(directory, name) for name in names + files)):
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    def _launch(self):
        program = self.find()
        account = pwd.getpwnam(ACCOUNT)
        self.root = self.root.resolve()
        if self.as_root:
            _check_reachable(self.root)
            os.chown(self.root, account.pw_uid, account.pw_gid)
        if self._daemon is not None:
            # It died by itself; its descendants may live.
            self._halt()
        attempts = 1 if self.port else PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            port = self._reservation.port
            if self._work is None:
                self._work = pathlib.Path(self._temporary_directory())
            command = self._configure(program, port=port, work=self._work, account=account)
            if self.tls:
                settings = write_private(self._work / 'openssl.cnf', *self.tls.openssl())
                command = ['env', f'OPENSSL_CONF={settings}', *command]
            self._daemon = Daemon(command, log=self._work / 'output', directories=self._temporary)
            self._daemon.start()
            try:
                self._daemon.wait_for_greeting(
                    (self.host, port),
                    begins=self.greeting,
                    implicit_tls=self.tls is not None and self.tls.implicit,
                )
            except ServerError:
                ended = not self._daemon.alive
                self._halt()
                if not ended or attempt == attempts:
                    raise
                self._reserve_port()
            else:
                return

    def stop(self):
        """See `Server`."""
        try:
            super().stop()
        finally:
            self._work = None

    def _halt(self):
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.stop()

    def _seen(self, path):
        """Return the path that *path* has for the daemon."""
        return path

    def _enter(self, command):
        """Return the command that runs *command* where the daemon finds its own libraries."""
        return command

    def _configure(self, program, *, port, work, account):
        """Write the configuration into the directory *work*; return the command."""
        raise NotImplementedError


def write_private(path, *lines):
    """Write a configuration file that only root can read; return its path."""
    path.touch(mode=0o600)
    path.write_text('\n'.join(lines) + '\n')
    return path


def write_accounts(work, *, user, password, account, home, others=()):
    """Write private `passwd` and `shadow` into *work*, in which *user* exists; return the mounts.

    account: whose ids the user has, a `pwd.struct_passwd`; others: further lines of `passwd`, for
    accounts that the machine may not have.  The mounts are words for `in_namespace`.
    """
    known = pathlib.Path('/etc/passwd').read_text().splitlines()
    added = (*others, f'{user}:x:{account.pw_uid}:{account.pw_gid}::{home}:/bin/sh')
    names = {line.partition(':')[0] for line in added}
    known = [line for line in known if line.partition(':')[0] not in names]
    write_private(work / 'passwd', *known, *added)
    os.chmod(work / 'passwd', 0o644)
    write_private(work / 'shadow', f'{user}:{hash_password(password)}:19000:0:99999:7:::')
    return f'{work}/passwd:/etc/passwd', f'{work}/shadow:/etc/shadow'


def in_namespace(command, *mounts, script=''):
    """Return what runs *command* in a mount namespace of its own.

    mounts: words 'FILE:PLACE', mounted there first; script: further lines of sh(1).  The shell
    replaces itself, so that the daemon is the supervisor's own child.
    """
    lines = (
        'while [ "$1" != -- ]; do mount --bind "${1%%:*}" "${1#*:}" || exit; shift; done; shift',
        script,
        'exec "$@"',
    )
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', '\n'.join(lines), 'sh',
            *mounts, '--', *map(str, command)]  # fmt: skip


def _check_reachable(root):
    """Raise ServerError if the sessions' user cannot come to *root*."""
    for directory in root.parents:
        if not directory.stat().st_mode & 0o001:
            raise ServerError(f'{directory} lets only its owner in, so {root} cannot be served')
