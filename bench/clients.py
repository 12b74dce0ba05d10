"""Who takes part: how each client is called to send the files of one directory."""

import atexit
import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

from bench import browsers, measure
from bench.rows import (
    ALONE,
    BEFORE,
    COMMIT,
    DIRECT,
    DRIVERS,
    IMPORT,
    LOCK,
    LOOKED_AT,
    LOOKS,
    ONE_HANGS,
    SAFE,
    SEARCHES,
    STARTS,
    TEMPORARY,
    TWO_PARTNERS,
    WAIT,
)
from zeit.cds.testing.daemon import servers_directory


HERE = pathlib.Path(__file__).resolve().parent

#: The command that people use, with its start and its imports.
ZEIT_CDS = HERE.parent / 'bin' / 'zeit-cds'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a client is to do: all files of `files` go to the server's `/`, or the other way round.

    For zeit.cds `files` is the directory `new` of a spool.  `work` is an empty directory that the
    client may use, `certificate` the file of the server's authority, None without TLS, `ssh` how to
    get in by SFTP, None for FTP.
    """

    host: str
    port: int
    user: str
    password: str
    files: pathlib.Path
    work: pathlib.Path
    connections: int = 1
    certificate: pathlib.Path | None = None
    max_files: int | None = None
    ssh: 'SSH | None' = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SSH:
    """The paths of a private key and of a known_hosts, and the server's directory."""

    key: pathlib.Path
    known_hosts: pathlib.Path
    directory: str


class Client:
    """One client.

    `name` is what the table calls it, `parallel` says whether it can use several connections,
    `secure` whether it can do TLS here, `learns` whether its first run on a server takes longer,
    `sftp` whether it goes by SFTP.
    """

    name = None
    parallel = False
    secure = False
    ours = False
    learns = False
    sftp = False

    def version(self):
        """Return the version in one word, or '' if the program is not here."""
        raise NotImplementedError

    def command(self, job):
        """Return the words to execute; may write files into `job.work`."""
        raise NotImplementedError

    def environment(self, job):
        """Return the whole environment: none of this machine's settings."""
        return {'PATH': os.environ['PATH'], 'HOME': str(job.work), 'LC_ALL': 'C.UTF-8'}

    def takes(self, job):
        """Tell whether it can do this job."""
        enough = self.parallel or job.connections == 1
        secure = self.secure or job.certificate is None
        return enough and secure and self.sftp == (job.ssh is not None)

    def beside(self, job, namespace):
        """Return a context manager in which it is measured, of `browsers.Looks` or None."""
        return contextlib.nullcontext()


class ZeitCDS(Client):
    """This package: the command of a person, with the given options."""

    parallel = secure = ours = learns = True
    verb = 'export'

    def __init__(self, name, *options):
        self.name = name
        self._options = options

    def version(self):
        done = subprocess.run([ZEIT_CDS, '--version'], capture_output=True, text=True, timeout=60)
        return done.stdout.split()[-1] if done.returncode == 0 else ''

    def takes(self, job):
        """See `Client`."""
        options = _options(self.verb)
        return ('--connections' in options or job.connections == 1) and (
            '--tls' in options or job.certificate is None
        )

    def command(self, job):
        """See `Client`."""
        options = [*self._options, '--deadline=0', f'--spool={job.files.parent}']
        if '--connections' in _options(self.verb):
            options.append(f'--connections={job.connections}')
        if job.max_files:
            options.append(f'--max-files={job.max_files}')
        if job.certificate:
            options += ['--tls=explicit', f'--ca-file={job.certificate}']
        return [ZEIT_CDS, self.verb, *options, f'ftp://{job.user}@{job.host}:{job.port}//']

    def environment(self, job):
        """See `Client`."""
        return {**super().environment(job), 'ZEIT_CDS_PASSWORD': job.password}


class LookedAt(ZeitCDS):
    """The same while browsers look at the spool."""

    @contextlib.contextmanager
    def beside(self, job, namespace):
        """See `Client`."""
        environment = self.environment(job)
        try:
            with browsers.looking(ZEIT_CDS, job, namespace, environment=environment) as looks:
                yield looks
        except browsers.Failed as error:
            raise measure.Failed(f'{self.name}: {error}') from error


class Here(ZeitCDS):
    """What `bench.past` and `bench.partners` measure."""


class ZeitCDSBefore(ZeitCDS):
    """This package as it was at `COMMIT`, with today's Python and other packages."""

    ours = False

    def version(self):
        """See `Client`."""
        known = ['git', '-C', HERE, 'cat-file', '-e', COMMIT]
        return COMMIT * (subprocess.run(known, capture_output=True).returncode == 0)

    def command(self, job):
        """See `Client`."""
        _, *words = super().command(job)
        return [_script_before(), *words]


class ZeitCDSImport(ZeitCDS):
    """The other direction; each file is deleted on the server as well."""

    verb = 'import'


class Woken(ZeitCDS):
    """This package, by a driver that is woken by each publication: see `bench.wake`."""

    source = HERE.parent / 'src'

    def __init__(self, driver, name):
        super().__init__(name)
        self.driver = driver


class WokenBefore(ZeitCDSBefore, Woken):
    """The same, as it was at `COMMIT`."""

    @property
    def source(self):
        """Where its modules are."""
        return source_before()


class Lftp(Client):
    """lftp's `mirror -R`, as it comes; `settings` are words of its `set`."""

    parallel = secure = True
    fetches = False
    program = ('lftp',)

    def __init__(self, name, *settings):
        self.name = name
        self._settings = settings

    def version(self):
        """See `Client`."""
        return first_version(*self.program, '--version')

    def command(self, job):
        """See `Client`."""
        settings = [
            'net:max-retries 2',
            'net:timeout 20',
            f'ftp:ssl-allow {"yes" if job.certificate else "no"}',
            *self._settings,
        ]
        if job.certificate:
            settings += [
                'ftp:ssl-force yes',
                'ftp:ssl-protect-data yes',
                f'ssl:ca-file {job.certificate}',
            ]
        script = job.work / 'lftp.script'
        script.write_text(
            ''.join(f'set {setting}\n' for setting in settings)
            + f'open -u {job.user},{job.password} -p {job.port} {job.host}\n'
            + self._work(job)
        )
        return [*self.program, '-f', script]

    def _work(self, job):
        way = f'/ {job.files}' if self.fetches else f'-R {job.files} /'
        return f'mirror {way} --parallel={job.connections}\n'


class LftpFetch(Lftp):
    """lftp's `mirror`: it fetches, and leaves on the server what is there."""

    fetches = True


class LftpLock(Lftp):
    """lftp with the lock, and with temporary files, by a short script.

    A directory keeps other exporters out; the lock is stored under another name, renamed, and
    removed.  The script does not look whether the partner reads: that takes lftp ten round trips.
    """

    parallel = False

    def _work(self, job):
        (job.work / 'write').write_text('exporter\n')
        return (
            f'mkdir write.guard && put {job.work}/write -o write && mput {job.files}/*'
            ' && rm write && rmdir write.guard || exit 75\n'
        )


class NewestLftp(Lftp):
    """The lftp that `.ci/peers` has put beside the servers, with its own libraries."""

    @property
    def program(self):
        """The words that start it."""
        tree = servers_directory() / 'lftp' / 'usr'
        loader = next(tree.glob('lib*/ld-linux-*'), tree / 'missing')
        libraries = tree / 'lib' / f'{platform.machine()}-linux-gnu'
        return loader, '--library-path', libraries, tree / 'bin' / 'lftp'


class Rclone(Client):
    """rclone's `copy`."""

    parallel = True

    def __init__(self, name, program='rclone'):
        self.name = name
        self._program = program

    def version(self):
        """See `Client`."""
        return first_version(self._program, 'version')

    def command(self, job):
        """See `Client`."""
        options = ['--config=', f'--transfers={job.connections}']
        return [self._program, 'copy', *options, job.files, ':ftp:/']

    def environment(self, job):
        """See `Client`."""
        return {
            **super().environment(job),
            'RCLONE_FTP_HOST': job.host,
            'RCLONE_FTP_PORT': str(job.port),
            'RCLONE_FTP_USER': job.user,
            'RCLONE_FTP_PASS': _obscured(self._program, job.password),
        }


class NcFTPPut(Client):
    """ncftpput of a whole directory."""

    name = 'ncftpput'

    def version(self):
        """See `Client`."""
        return first_version('ncftpput')

    def command(self, job):
        """See `Client`."""
        login = job.work / 'ncftpput.login'
        login.write_text(f'host {job.host}\nuser {job.user}\npass {job.password}\n')
        words = ['-f', login, '-P', str(job.port), '-V', '-R', '/', f'{job.files}/']
        return ['ncftpput', *words]


class Curl(Client):
    """curl with one `-T` for each file."""

    name = 'curl'
    parallel = secure = True

    def version(self):
        """See `Client`."""
        return first_version('curl', '--version')

    def command(self, job):
        """See `Client`."""
        lines = [f'user = "{job.user}:{job.password}"', 'globoff', 'silent', 'show-error']
        if job.certificate:
            lines += ['ssl-reqd', f'cacert = "{job.certificate}"']
        if job.connections > 1:
            lines += ['parallel', 'parallel-immediate', f'parallel-max = {job.connections}']
        for name in sorted(os.listdir(job.files)):
            lines.append(f'upload-file = "{job.files}/{name}"')
            lines.append(f'url = "ftp://{job.host}:{job.port}/{name}"')
        config = job.work / 'curl.config'
        config.write_text('\n'.join(lines) + '\n')
        return ['curl', '--disable', '--config', config]


class Ftplib(Client):
    """The loop that everybody writes first, with Python's ftplib."""

    name = 'ftplib'

    def version(self):
        """See `Client`."""
        return '{}.{}.{}'.format(*sys.version_info)

    def command(self, job):
        """See `Client`."""
        return [
            sys.executable, '-I', '-S', HERE / 'ftplib_loop.py', job.host, str(job.port), job.user,
            job.files,
        ]  # fmt: skip

    def environment(self, job):
        """See `Client`."""
        return {**super().environment(job), 'PASSWORD': job.password}


#: All of them, in the order of the tables.
CLIENTS = {
    client.name: client
    for client in (
        ZeitCDS(SAFE),
        ZeitCDS(DIRECT, '--no-temporary'),
        LookedAt(LOOKED_AT),
        ZeitCDSBefore(BEFORE),
        ZeitCDSImport(IMPORT),
        *(Woken(driver, now) for driver, (now, _) in DRIVERS.items()),
        *(WokenBefore(driver, before) for driver, (_, before) in DRIVERS.items()),
        Lftp('lftp'),
        NewestLftp('lftp, newest'),
        Lftp(TEMPORARY, 'xfer:use-temp-file yes'),
        LftpLock(LOCK, 'xfer:use-temp-file yes'),
        LftpFetch('lftp mirror'),
        Rclone('rclone'),
        Rclone('rclone, newest', servers_directory() / 'rclone' / 'bin' / 'rclone'),
        NcFTPPut(),
        Curl(),
        Ftplib(),
        *map(Here, (ALONE, *STARTS, *SEARCHES, *LOOKS, *WAIT, TWO_PARTNERS, ONE_HANGS)),
    )
}


@functools.cache
def _options(verb):
    """Return the options that this checkout's `zeit-cds` has for a sub-command."""
    done = subprocess.run([ZEIT_CDS, verb, '--help'], capture_output=True, text=True, timeout=60)
    return frozenset(re.findall(r'--[a-z-]+', done.stdout))


@functools.cache
def _folder():
    """Return a directory that is removed when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix='zeit.cds-bench-before-')
    atexit.register(folder.cleanup)
    return pathlib.Path(folder.name)


@functools.cache
def source_before():
    """Return the directory with the modules of `COMMIT`, which are compiled already."""
    command = ['git', '-C', HERE.parent, 'archive', COMMIT, 'src']
    done = subprocess.run(command, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(_folder(), filter='data')
    source = _folder() / 'src'
    subprocess.run([sys.executable, '-m', 'compileall', '-q', source], check=True)
    return source


@functools.cache
def _script_before():
    """Return the path of a `zeit-cds` with the modules of `COMMIT`."""
    script = _folder() / 'zeit-cds'
    text = ZEIT_CDS.read_text().replace('__file__', repr(str(ZEIT_CDS)))
    text = text.replace('zeit.cds.cli.main', 'zeit.cds.cli')
    script.write_text(text.replace("join(base, 'src')", repr(str(source_before()))))
    script.chmod(0o755)
    return script


@functools.cache
def _obscured(program, password):
    done = subprocess.run(
        [program, 'obscure', '-'], input=password, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@functools.cache
def first_version(program, *words):
    """Return the first number with dots that `program` says, '' if it is not installed."""
    if shutil.which(program) is None:
        return ''
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60)
    found = re.search(r'\d+(\.\d+)+', done.stdout + done.stderr)
    return found[0] if found else 'unknown'
