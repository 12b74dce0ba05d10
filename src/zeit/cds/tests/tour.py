"""What a partner's operator sees: each server of the world from the first dry run to a heal.

`python -m zeit.cds.tests.tour [NAME...]` runs the command line of this package against real
servers and prints one line for each server and step: the exit code, the seconds, and what is not
as it should be.  `tls` in front of the names goes the same way in TLS, where the server has it.
`STALL` marks a second or more where the spool has met the server before.  The exit code is 1 if
anything was wrong.
"""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from zeit.cds.spool.spool import Spool
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.daemon import ServerUnavailable
from zeit.cds.testing.process import ServerError
from zeit.cds.testing.tls import TLS
from zeit.cds.testing.world import SERVERS


#: Seconds after which a step is ended.
LONGEST = 70
#: Seconds from which on a step is a stall, if it took so many times as long as an export of nothing
#: does at that moment: the machine may be busy.
STALL = 1
TIMES = 4
#: Times of files (access, change) so old that no import waits whether they still grow.
OLD = (0, 1_700_000_000)
#: Servers that speak TLS, and those of them that do so from the first byte.
AT_ONCE = ('aioftp',)
IN_TLS = (
    *('vsftpd', 'vsftpd-13', 'proftpd', 'pure-ftpd', 'pure-ftpd-11', 'pyftpdlib', 'ftp-srv'),
    *AT_ONCE,
)
#: Servers that lack too much, see docs/servers.txt: 78.
OF_NO_USE = ('pyfsftpserver', 'simple-ftpd')
#: Ordinary names, an empty file among them.
ORDINARY = {
    'a.xml': b'one',
    'b.xml': b'two' * 30_000,
    '{urn:uuid:347b85e0-0740-4e52-8f62-3192430b0417}.xml': b'three',
    'empty.xml': b'',
}
ODD = ('with space.xml', ' leading.xml', 'trail ', 'quote"d.xml', 'Überschrift-é.xml', '🗞.xml')
COMMAND = 'import sys; from zeit.cds.cli.main import main; sys.exit(main())'
#: The same, killed in the middle of data, when RNTO onto a name was sent, and before the lock goes.
KILLED = (
    'from zeit.cds.tests import killing as k;'
    ' k.arm(k.WIRE, 1, moment={!r}, only=lambda stream, data, **kw: {}); '
) + COMMAND
KILLS = {
    'data': ('half', 'k.is_data(stream, data) and len(data) > 999'),
    'rename': ('after', "b'RNTO big' in bytes(data)"),
    'unlock': ('before', "b'DELE write' in bytes(data)"),
}


class Tour:
    """The steps on one server, a `zeit.cds.testing.base.Server` that runs.

    `ca_file`: the authority of a server that speaks TLS.
    """

    def __init__(self, server, folder, *, say=print, ca_file=None):
        self.server = server
        self.ca_file = ca_file
        self.folder = pathlib.Path(folder)
        self.say = say
        self.wrong = 0
        self._known = set()

    def run(self):
        """Do all; return how many steps were not as they should be."""
        if self.server.name in OF_NO_USE:
            self.refused()
            return self.wrong
        self.export()
        self.odd_names()
        self.fetch()
        self.fetch('again')
        self.locked()
        for name in KILLS:
            self.killed(name)
        return self.wrong

    def refused(self):
        """The first export says why this server is of no use, and leaves nothing there."""
        self.fill('spool', ORDINARY)
        self.step('dry run', ['export', '--dry-run'], codes=(0, 78))
        self.step('export', ['export'], codes=(78,))
        self.check('export', {})

    def export(self):
        files = self.fill('spool', ORDINARY)
        self.step('dry run', ['export', '--dry-run'])
        self.check('dry run', {})
        self.step('export', ['export'])
        self.check('export', files)
        files = self.fill('spool', {name: data + b'again' for name, data in ORDINARY.items()})
        self.step('again', ['export'])
        self.check('again', files)
        self.step('nothing', ['export'])

    def odd_names(self):
        self.server.clear()
        files = self.fill('odd', {name: name.encode() for name in ODD})
        code = self.step('names', ['export'], codes=(0, 1, 78), spool='odd')
        left = {path.name for path in (self.folder / 'odd' / 'new').iterdir()}
        if code != 0:
            self.say(f'{"":16}{"":12}left: {sorted(left)}')
        self.check('names', {name: data for name, data in files.items() if name not in left})

    def fetch(self, name='fetch'):
        self.server.clear()
        for each, data in ORDINARY.items():
            self.plant(each, data)
        below = self.server.root / 'below'
        below.mkdir()
        self.plant('below/file', b'1')
        os.utime(below, OLD)
        self.server.own()
        (self.folder / 'letters').mkdir(exist_ok=True)
        self.step(name, ['import'], spool='letters')
        new = self.folder / 'letters' / 'new'
        found = {path.name: path.read_bytes() for path in new.iterdir()} if new.exists() else {}
        self.compare(name, ORDINARY, found)
        self.check(name, {'below/file': b'1'})
        shutil.rmtree(new, ignore_errors=True)

    def locked(self):
        self.server.clear()
        self.plant('write', b'the partner')
        self.server.own()
        files = self.fill('spool', {'a.xml': b'behind a lock'})
        self.step('locked', ['export'], codes=(75,))
        self.step('unlock', ['unlock', '--yes'])
        self.step('unlocked', ['export'])
        self.check('unlocked', files)

    def killed(self, name):
        self.server.clear()
        moment, only = KILLS[name]
        spool = f'killed-{name}'
        files = self.fill(spool, {'big.xml': os.urandom(2_000_000), 'c.xml': b'little'})
        self.step(f'kill {name}', ['export'], codes=(-signal.SIGKILL,), spool=spool,
                  command=KILLED.format(moment, only))  # fmt: skip
        for attempt in ('heal', 'heal 2', 'heal 3'):
            code = self.step(attempt, ['export'], spool=spool)
            if code == 0:
                break
        self.check('heal', files)

    def plant(self, name, data):
        path = self.server.root / name
        path.write_bytes(data)
        os.utime(path, OLD)

    def fill(self, spool, files):
        """Put files into a spool; return them."""
        (self.folder / spool).mkdir(exist_ok=True)
        spool = Spool(self.folder / spool)
        for name, data in files.items():
            spool.put(name, data)
        return files

    def step(self, name, words, *, codes=(0,), spool='spool', command=COMMAND):
        """Run the command; print a line; return its exit code, None if it took too long."""
        server = self.server
        home = getattr(server, 'home', '//')
        scheme, trust = 'ftp', []
        if server.tls:
            scheme = 'ftps' if server.tls.implicit else 'ftpes'
            trust = ['--ca-file', self.ca_file]
        url = f'{scheme}://{server.user}@{server.host}:{server.port}{home}'
        words = [*words, *trust, '--spool', self.folder / spool, url]
        code, text, seconds = self.execute(command, words)
        if code not in codes and not server.running:
            self.say(f'{server.name:16} {name:12}{code!s:>5} {seconds:6.2f} s It ended by itself')
            self.restart()
            code, text, seconds = self.execute(command, words)
        remark = ''
        if code not in codes:
            self.wrong += 1
            remark = f'WRONG, not {" ".join(map(str, codes))} '
        if seconds >= STALL and spool in self._known and self.is_stall(seconds):
            self.wrong += 1
            remark = f'STALL {remark}'
        self._known.add(spool)
        said = f' | {" / ".join(text.split(chr(10)))[:400]}' if text and remark else ''
        self.say(f'{server.name:16} {name:12}{code!s:>5} {seconds:6.2f} s {remark}{said}'.rstrip())
        return code

    def restart(self):
        """Start a server that has ended, as a partner would: see docs/servers.txt."""
        self.server.restart()
        self.server.own()

    def is_stall(self, seconds):
        (self.folder / 'empty').mkdir(exist_ok=True)
        nothing = ['export', '--spool', self.folder / 'empty', f'ftp://{self.server.host}/']
        _, _, least = self.execute(COMMAND, nothing)
        return seconds > TIMES * least

    def execute(self, command, words):
        """Run the command; return its exit code, None if it took too long, text and seconds."""
        environment = {
            **os.environ,
            'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
            'ZEIT_CDS_PASSWORD': self.server.password,
        }
        started = time.monotonic()
        code, text = _run([sys.executable, '-c', command, *words], environment)
        return code, text, time.monotonic() - started

    def check(self, name, expected):
        root = self.server.root
        found = {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob('*')
            if path.is_file()
        }
        self.compare(name, expected, found)

    def compare(self, name, expected, found):
        """Print and count what differs."""
        differing = {
            'missing': sorted(expected.keys() - found.keys()),
            'more': sorted(found.keys() - expected.keys()),
            'other content': [k for k in expected if k in found and found[k] != expected[k]],
        }
        text = '; '.join(f'{what}: {names}' for what, names in differing.items() if names)
        if text:
            self.wrong += 1
            self.say(f'{self.server.name:16}{name:12} WRONG, {text}')


def _run(command, environment):
    process = subprocess.Popen(
        list(map(os.fspath, command)),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return None, output.decode(errors='replace').strip()
    return process.returncode, output.decode(errors='replace').strip()


def main(names):
    """Tour the servers of these names, all without; return an exit code."""
    tls, names = names[:1] == ['tls'], [name for name in names if name != 'tls']
    wrong = {}
    for name in names or (IN_TLS if tls else SERVERS):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            certificates = tls and stack.enter_context(Certificates())
            made = tls and TLS(certificate=certificates.server, implicit=name in AT_ONCE)
            options = {'tls': made} if tls else {}
            try:
                server = stack.enter_context(SERVERS[name](**options))
            except (ServerError, ServerUnavailable) as error:
                print(f'{name:16}skipped: {error}', flush=True)
                continue
            server.name = f'{name} TLS' if tls else name
            say = functools.partial(print, flush=True)
            tour = Tour(server, folder, say=say, ca_file=tls and certificates.ca_file)
            wrong[name] = tour.run()
    print(f'{sum(not count for count in wrong.values())} servers as they should be')
    print(''.join(f'{name}: {count} wrong\n' for name, count in wrong.items() if count), end='')
    return int(any(wrong.values()))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
