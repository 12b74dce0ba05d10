"""Who takes part: how each client is called to send the files of one directory."""

import atexit
import dataclasses
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from bench.rows import ALONE, EARLIER, LOOKS, SEARCHES


HERE = pathlib.Path(__file__).resolve().parent

#: The command that people use, with its start and its imports.
ZEIT_CDS = HERE.parent / 'bin' / 'zeit-cds'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a client is to do: all files of `files` go to the server's `/`, or the other way round.

    For zeit.cds `files` is the directory `new` of a spool.  `work` is an empty directory that the
    client may use, `certificate` the file of the server's authority, None without TLS.
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


class Client:
    """One client.

    `name` is what the table calls it, `parallel` says whether it can use several connections,
    `secure` whether it can do TLS here.
    """

    name = None
    parallel = False
    secure = False
    ours = False

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
        return enough and (self.secure or job.certificate is None)


class ZeitCDS(Client):
    """This package: the command of a person, with the given options."""

    parallel = secure = ours = True
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


class Here(ZeitCDS):
    """What `bench.past` measures."""


class ZeitCDSBefore(ZeitCDS):
    """This package as it was at `commit`, with today's Python and other packages."""

    ours = False

    def __init__(self, commit, name=''):
        super().__init__(name or f'zeit.cds as of {commit}')
        self._commit = commit

    def version(self):
        """See `Client`."""
        known = ['git', '-C', HERE, 'cat-file', '-e', self._commit]
        return self._commit * (subprocess.run(known, capture_output=True).returncode == 0)

    def command(self, job):
        """See `Client`."""
        _, *words = super().command(job)
        return [_script_of(self._commit), *words]


class ZeitCDSImport(ZeitCDS):
    """The other direction; each file is deleted on the server as well."""

    verb = 'import'


class Woken(ZeitCDS):
    """This package, by a driver that is woken by each publication: see `bench.wake`."""

    @property
    def driver(self):
        """The last word of the name."""
        return self.name.rpartition(' ')[2]


class Lftp(Client):
    """lftp's `mirror -R`, as it comes; `settings` are words of its `set`."""

    parallel = secure = True
    fetches = False

    def __init__(self, name, *settings):
        self.name = name
        self._settings = settings

    def version(self):
        """See `Client`."""
        return _first_version('lftp', '--version')

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
        way = f'/ {job.files}' if self.fetches else f'-R {job.files} /'
        script = job.work / 'lftp.script'
        script.write_text(
            ''.join(f'set {setting}\n' for setting in settings)
            + f'open -u {job.user},{job.password} -p {job.port} {job.host}\n'
            + f'mirror {way} --parallel={job.connections}\n'
        )
        return ['lftp', '-f', script]


class LftpFetch(Lftp):
    """lftp's `mirror`: it fetches, and leaves on the server what is there."""

    fetches = True


class Rclone(Client):
    """rclone's `copy`."""

    name = 'rclone'
    parallel = True

    def version(self):
        """See `Client`."""
        return _first_version('rclone', 'version')

    def command(self, job):
        """See `Client`."""
        return [
            'rclone',
            'copy',
            '--config=',
            f'--transfers={job.connections}',
            job.files,
            ':ftp:/',
        ]

    def environment(self, job):
        """See `Client`."""
        return {
            **super().environment(job),
            'RCLONE_FTP_HOST': job.host,
            'RCLONE_FTP_PORT': str(job.port),
            'RCLONE_FTP_USER': job.user,
            'RCLONE_FTP_PASS': _obscured(job.password),
        }


class NcFTPPut(Client):
    """ncftpput of a whole directory."""

    name = 'ncftpput'

    def version(self):
        """See `Client`."""
        return _first_version('ncftpput')

    def command(self, job):
        """See `Client`."""
        login = job.work / 'ncftpput.login'
        login.write_text(f'host {job.host}\nuser {job.user}\npass {job.password}\n')
        words = ['-f', login, '-P', str(job.port), '-V', '-R', '/', f'{job.files}/']
        return ['ncftpput', *words]


class Curl(Client):
    """curl with one `-T` for each file."""

    name = 'curl'
    parallel = True

    def version(self):
        """See `Client`."""
        return _first_version('curl', '--version')

    def command(self, job):
        """See `Client`."""
        lines = [f'user = "{job.user}:{job.password}"', 'globoff', 'silent', 'show-error']
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
        ZeitCDS('zeit.cds'),
        ZeitCDS('zeit.cds, temporary="no"', '--no-temporary'),
        ZeitCDS('zeit.cds, with SHA-256', f'--digest-limit={1 << 40}'),
        ZeitCDSBefore('38dcf7a'),
        ZeitCDSImport('zeit.cds import'),
        *(Woken(f'zeit.cds, {driver}') for driver in ('thread', 'watch', 'celery')),
        Lftp('lftp'),
        LftpFetch('lftp mirror'),
        Lftp('lftp, temporary files', 'xfer:use-temp-file yes'),
        Rclone(),
        NcFTPPut(),
        Curl(),
        Ftplib(),
        ZeitCDSBefore('38dcf7a', EARLIER),
        *(Here(name) for name in (ALONE, *SEARCHES, *LOOKS)),
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
def _script_of(commit):
    """Return the path of a `zeit-cds` with the code of a commit, which is compiled already."""
    from bench.past import unpack

    path = _folder() / commit
    path.mkdir()
    unpack(commit, path)
    subprocess.run([sys.executable, '-m', 'compileall', '-q', path / 'src'], check=True)
    script = path / 'zeit-cds'
    text = ZEIT_CDS.read_text().replace('__file__', repr(str(ZEIT_CDS)))
    script.write_text(text.replace("join(base, 'src')", repr(str(path / 'src'))))
    script.chmod(0o755)
    return script


@functools.cache
def _obscured(password):
    done = subprocess.run(
        ['rclone', 'obscure', '-'], input=password, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@functools.cache
def _first_version(program, *words):
    """Return the first number with dots that `program` says, '' if it is not installed."""
    if shutil.which(program) is None:
        return ''
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60)
    found = re.search(r'\d+(\.\d+)+', done.stdout + done.stderr)
    return found[0] if found else 'unknown'
