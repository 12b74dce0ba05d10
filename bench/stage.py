"""A server, the files and the network for one row: everything in memory, everything private."""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile
import time

from bench import measure
from bench.clients import Job
from bench.network import RELAY, network, relayed
from bench.rows import WAITING
from bench.trace import Trace
from zeit.cds.testing import world
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.servers import PureFTPDServer, VsftpdServer
from zeit.cds.testing.tls import TLS


SERVERS = {
    'vsftpd': VsftpdServer,
    'Pure-FTPd': PureFTPDServer,
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


def fill(directory, number, *, size):
    """Make `number` files of `size` bytes in `directory`, complete for an hour."""
    moment = time.time() - 3600
    directory.mkdir()
    block = os.urandom(min(size, _MIB))
    for n in range(number):
        with open(directory / f'article-{n:06}.xml', 'wb') as file:
            for start in range(0, size, _MIB):
                file.write(block[: size - start])
        os.utime(file.name, (moment, moment))


class Stage:
    """One server with an empty directory, and files to be sent there.  Made by `stage`.

    With `fetch` the files are on the server, and are to be fetched.
    """

    def __init__(self, server, *, port, line, spools, number, size, certificate, fetch, longest):
        self.server = server
        self.port = port
        self.line = line
        self._fetch = fetch
        self._certificate = certificate
        self._spools = spools
        self._number = number
        self._size = size
        self._longest = longest

    @contextlib.contextmanager
    def _job(self, connections, max_files):
        """Yield a `Job` on a fresh spool and a fresh server: one has the files, the other none."""
        with tempfile.TemporaryDirectory(prefix='run-', dir=self._spools) as name:
            run = pathlib.Path(name)
            for section in ('tmp', 'new', 'cur', 'work'):
                (run / section).mkdir()
            begin = pathlib.Path(self.server.root) if self._fetch else run / 'new'
            for path in os.scandir(self._spools / 'files'):
                os.link(path, begin / path.name)
            yield Job(
                host=self.server.host,
                port=self.port,
                user=self.server.user,
                password=self.server.password,
                files=run / 'new',
                work=run / 'work',
                connections=connections,
                certificate=self._certificate,
                max_files=max_files,
            )
        self.server.clear()

    def _check(self, client, job, number):
        """Raise `measure.Failed` unless so many whole files have arrived."""
        found = [
            os.path.getsize(os.path.join(path, name))
            for path, _, names in os.walk(job.files if self._fetch else self.server.root)
            for name in names
        ]
        if found != [self._size] * number:
            whole = found.count(self._size)
            raise measure.Failed(f'{client.name} has delivered {whole} of {number} files')

    def run(self, client, *, connections=1, max_files=None):
        """Let `client` send all files; return the `measure.Run`.  Raises `measure.Failed`."""
        with self._job(connections, max_files) as job:
            found = measure.run(client, job, namespace=self.line.client, longest=self._longest)
            self._check(client, job, max_files or self._number)
            return found

    def takes(self, client, *, connections):
        """Tell whether the client can do that."""
        with self._job(connections, None) as job:
            return client.takes(job)

    def trace(self, client, *, connections=1, max_files=None):
        """Do the same and return the packets as well: (`measure.Run`, list of `Packet`)."""
        with Trace(self.line) as trace:
            found = self.run(client, connections=connections, max_files=max_files)
        return found, trace.packets

    def fsyncs(self, client, *, connections=1):
        """Return the number of fsyncs that `client` needs for all files."""
        with self._job(connections, None) as job:
            return measure.fsyncs(client, job, namespace=self.line.client, longest=self._longest)


@contextlib.contextmanager
def stage(
    kind,
    *,
    number,
    size,
    longest,
    rtt=0,
    tls=False,
    spools=None,
    fetch=False,
    private=True,
):
    """Yield the `Stage` with a server of this kind and `number` files of `size` bytes.

    A client that has not ended after `longest` seconds is given up.  `rtt` in seconds; `tls`: the
    server speaks TLS; `spools`: where the spools are, by default in memory; `fetch`: the files are
    on the server; `private`: in a network of its own if possible.
    Raises `ServerUnavailable` or `ServerError` of `zeit.cds.testing`.
    """
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(folder())
        spools = work if spools is None else stack.enter_context(folder(spools))
        root = work / 'root'
        root.mkdir()
        line = stack.enter_context(network(rtt, private=private))
        if line.kind != RELAY:
            for namespace in {line.client, line.server}:
                namespace.run(_configure)
        certificates = stack.enter_context(Certificates(hosts=[line.host])) if tls else None
        server = SERVERS[kind](root=root, tls=TLS(certificate=certificates.server) if tls else None)
        server.host = line.host
        # The daemon is started from inside, and so lives there.
        stack.callback(line.server.run, server.stop)
        line.server.run(server.start)
        port = server.port
        if rtt and line.kind == RELAY:
            port = stack.enter_context(relayed(port, rtt))
        fill(spools / 'files', number, size=size)
        yield Stage(
            server,
            port=port,
            line=line,
            spools=spools,
            number=number,
            size=size,
            fetch=fetch,
            longest=longest,
            certificate=certificates.ca_file if tls else None,
        )


def _configure():
    for name, value in _SYSCTL.items():
        pathlib.Path('/proc/sys/net', name).write_text(value)
