"""A server, the files and the network for one row: everything in memory, everything private."""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
import time

from bench import measure
from bench.clients import SSH, Job
from bench.network import RELAY, network, relayed
from bench.rows import WAITING
from bench.trace import Trace
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import world
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.servers import PureFTPDServer, ServerUnavailable, VsftpdServer
from zeit.cds.testing.sftpservers import OpenSSHServer
from zeit.cds.testing.tls import TLS


SERVERS = {
    'vsftpd': VsftpdServer,
    'Pure-FTPd': PureFTPDServer,
    'OpenSSH': OpenSSHServer,
    **{name: world.SERVERS[name] for name in WAITING},
}

MEMORY = pathlib.Path('/dev/shm')

_PREFIX = 'zeit.cds-bench-'
_MIB = 1024 * 1024

#: The network of a measurement, not of this machine.  Thousands of connections in a row would
#: otherwise leave no free ports behind (TIME_WAIT), and what one client learned about the line
#: would help the next one.  All of it is per namespace: ip-sysctl.
_SYSCTL = {
    'ipv4/tcp_max_tw_buckets': '0',
    'ipv4/tcp_no_metrics_save': '1',
    'ipv4/ip_local_port_range': '10000 65000',
}


@contextlib.contextmanager
def folder(parent=MEMORY):
    """Yield a directory that is removed afterwards; what a killed benchmark left goes as well."""
    if not os.access(parent, os.W_OK):
        parent = pathlib.Path(tempfile.gettempdir())
    for path in parent.glob(f'{_PREFIX}*'):
        owner = re.match(r'\d+', path.name.removeprefix(_PREFIX))
        if owner and not os.path.exists(f'/proc/{owner[0]}'):
            shutil.rmtree(path, ignore_errors=True)
    path = pathlib.Path(tempfile.mkdtemp(prefix=f'{_PREFIX}{os.getpid()}-', dir=parent))
    try:
        # The sessions of a server belong to another user, who must come to its directory.
        path.chmod(0o711)
        yield path
    finally:
        shutil.rmtree(path)


class Stage:
    """One server with an empty directory, and the files of a row.  Made by `stage`.

    `line` is the `Network` between clients and server, `certificate` the file of the server's
    authority, None without TLS.
    """

    def __init__(self, row, server, *, port, line, spools, certificate):
        self.row = row
        self.server = server
        self.port = port
        self.line = line
        self.certificate = certificate
        self._spools = spools

    @contextlib.contextmanager
    def _job(self):
        """Yield a `Job` on a fresh spool and an empty server."""
        with tempfile.TemporaryDirectory(prefix='run-', dir=self._spools) as name:
            run = pathlib.Path(name)
            for section in ('tmp', 'new', 'cur', 'work'):
                (run / section).mkdir()
            yield Job(
                host=self.server.host,
                port=self.port,
                user=self.server.user,
                password=self.server.password,
                files=run / 'new',
                work=run / 'work',
                connections=self.row.connections,
                certificate=self.certificate,
                max_files=self.row.max_files,
                ssh=self._ssh(),
            )
        self.server.clear()

    def _ssh(self):
        if not isinstance(self.server, OpenSSHServer):
            return None
        return SSH(
            key=self.server.client_key,
            known_hosts=self.server.known_hosts,
            directory=self.server.directory,
        )

    def takes(self, client):
        """Tell whether the client can do what the row wants."""
        with self._job() as job:
            return client.takes(job)

    def run(self, client):
        """Let `client` send all files; return (`measure.Run`, list of `Packet`, if it is traced).

        A client that learns has sent another file before.  Raises `measure.Failed`.
        """
        fetch, number = self.row.fetch, self.row.files
        with self._job() as job:
            begin, end = job.files, pathlib.Path(self.server.root)
            if fetch:
                begin, end = end, begin
            told = {'namespace': self.line.client, 'longest': self.row.longest}
            if client.learns and not self.row.first:
                _make(begin / 'first.xml', b'1')
                measure.run(client, job, **told)
                for path in (end, job.files.parent / 'cur'):
                    (path / 'first.xml').unlink(missing_ok=True)
            spool = Spool(job.files.parent) if self.row.put else None
            for path in sorted(self._spools.joinpath('files').iterdir()):
                if spool:
                    spool.put(path.name, path.read_bytes())
                else:
                    os.link(path, begin / path.name)
            with contextlib.ExitStack() as stack:
                traced = self.row.traced and self.line.kind != RELAY
                trace = stack.enter_context(Trace(self.line)) if traced else None
                looks = stack.enter_context(client.beside(job, self.line.client))
                found = measure.run(client, job, fsync=self.row.fsync, **told)
                found.served = looks and looks.served()
            self._check(client, end, job.max_files or number)
            return found, trace.packets if trace else []

    def _check(self, client, end, number):
        """Raise `measure.Failed` unless so many whole files have arrived."""
        found = [
            os.path.getsize(os.path.join(path, name))
            for path, _, names in os.walk(end)
            for name in names
        ]
        if found != [self.row.size] * number:
            whole = found.count(self.row.size)
            raise measure.Failed(f'{client.name} has delivered {whole} of {number} files')


def _make(path, *blocks):
    """Make a file, complete for an hour."""
    moment = time.time() - 3600
    with open(path, 'wb') as file:
        file.writelines(blocks)
    os.utime(path, (moment, moment))


def _fill(directory, row):
    directory.mkdir()
    block = os.urandom(min(row.size, _MIB))
    for n in range(row.files):
        blocks = (block[: row.size - start] for start in range(0, row.size, _MIB))
        _make(directory / f'article-{n:06}.xml', *blocks)


@contextlib.contextmanager
def stage(row, kind, *, disk=None, private=True):
    """Yield the `Stage` of a row on a server of this kind.

    `disk`: where the spools of a row on a disk are; `private`: in a network of its own if possible.
    Raises `ServerUnavailable` or `ServerError` of `zeit.cds.testing`.
    """
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(folder())
        spools = stack.enter_context(folder(disk)) if row.disk else work
        root = work / 'root'
        root.mkdir()
        line = stack.enter_context(network(row.rtt, private=private))
        if line.kind != RELAY:
            for namespace in {line.client, line.server}:
                namespace.run(_configure)
        made = stack.enter_context(Certificates(hosts=[line.host])) if row.tls else None
        server = SERVERS[kind](root=root, tls=TLS(certificate=made.server) if made else None)
        server.host = line.host
        # The daemon is started from inside, and so lives there.
        stack.callback(line.server.run, server.stop)
        line.server.run(server.start)
        port = server.port
        if row.rtt and line.kind == RELAY:
            if row.tls:
                raise ServerUnavailable('A relay cannot look into TLS; this needs root on Linux.')
            print('Without a network of its own (root on Linux) a relay delays: weaker.')
            port = stack.enter_context(relayed(port, row.rtt))
        _fill(spools / 'files', row)
        yield Stage(
            row, server, port=port, line=line, spools=spools,
            certificate=made.ca_file if made else None,
        )  # fmt: skip


def _configure():
    for name, value in _SYSCTL.items():
        pathlib.Path('/proc/sys/net', name).write_text(value)
