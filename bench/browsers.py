"""Browsers that look at the status page while a client is measured: `zeit-cds serve`, and who asks.

All browsers are one process of the lowest priority, as they are other machines in reality.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import time


#: So many browsers ask for the page, each of them after so many seconds again.
NUMBER, INTERVAL = 50, 5

#: Seconds after which an answer, the start or the end of the server is given up.
TIMEOUT = 120

_ZCML = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:cds="http://namespaces.zeit.de/cds">
  <include package="zeit.cds" />
  <cds:spool name="articles" path="{job.files.parent}" />
  <cds:target name="partner" host="{job.host}" port="{job.port}" user="{job.user}"
      password_env="ZEIT_CDS_PASSWORD" directory="/" tls="no" />
  <cds:exporter name="articles" spool="articles" target="partner" />
</configure>
"""


class Failed(Exception):
    """The page was not served; the text says how."""


class Looks:
    """The server with the process `pid`, and who looks at it."""

    def __init__(self, pid):
        self._pid = pid
        self._began = time.monotonic(), _cpu(pid)

    def served(self):
        """Return how many seconds of CPU a second the server has taken so far."""
        began, before = self._began
        return (_cpu(self._pid) - before) / (time.monotonic() - began)


@contextlib.contextmanager
def looking(program, job, namespace, *, environment):
    """Yield `Looks`: inside, browsers look at the spool of a `Job`.

    `program` is `zeit-cds`.  Raises `Failed`, also at the end, if one had no good answer.
    """
    site = job.work / 'serve.zcml'
    site.write_text(_ZCML.format(job=job))
    serve = [program, '--zcml', site, 'serve', '--listen', '127.0.0.1:0']
    with (
        _process(serve, namespace, environment) as server,
        _process([sys.executable, '-I', '-S', __file__, _url(server)], namespace, None) as clients,
    ):
        _line(clients)
        yield Looks(server.pid)
        clients.stdin.close()
        told = json.loads(_line(clients))
        if told['errors']:
            raise Failed(f'the page was not served: {told["errors"][0]}')


@contextlib.contextmanager
def _process(command, namespace, environment):
    process = namespace.run(
        subprocess.Popen,
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()


def _line(process):
    """Return the next line of a process that has said nothing else yet."""
    line = process.stdout.readline() if select.select([process.stdout], [], [], TIMEOUT)[0] else ''
    if not line:
        raise Failed(f'{process.args[0]} says nothing')
    return line


def _url(server):
    line = _line(server)
    found = re.search(r'http://\S+', line)
    if not found:
        raise Failed(line)
    return found[0]


def _cpu(pid):
    """Return the seconds of CPU that a process has used, user and system together: proc(5)."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class _Browsers:
    """What `NUMBER` browsers do until standard input ends: `errors`, `answers` and `slowest`."""

    def __init__(self, url):
        self._host, self._port = re.match(r'http://(.*):(\d+)/', url).groups()
        self.told = {'answers': 0, 'slowest': 0, 'errors': []}

    async def look(self):
        """Let all of them look."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        tasks = [
            asyncio.create_task(self._one(began + number * INTERVAL / NUMBER))
            for number in range(NUMBER)
        ]
        print('They look.', flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, at):
        """Ask at once and so on, over one connection."""
        loop, request = asyncio.get_running_loop(), self._request()
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            with contextlib.closing(writer):
                while True:
                    await asyncio.sleep(at - loop.time())
                    began = loop.time()
                    writer.write(request)
                    await asyncio.wait_for(self._answer(reader), TIMEOUT)
                    self.told['answers'] += 1
                    self.told['slowest'] = max(self.told['slowest'], loop.time() - began)
                    at = max(at + INTERVAL, loop.time())
        except (OSError, EOFError, ValueError) as error:
            self.told['errors'].append(repr(error))

    def _request(self):
        return (
            f'GET / HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n'
            'Accept: text/html\r\nAccept-Language: de,en;q=0.5\r\n\r\n'
        ).encode()

    async def _answer(self, reader):
        head = await reader.readuntil(b'\r\n\r\n')
        if not head.startswith(b'HTTP/1.1 200 '):
            raise ValueError(head.partition(b'\r\n')[0].decode())
        length = re.search(rb'(?i)\r\ncontent-length: *(\d+)', head)
        await reader.readexactly(int(length[1]))


if __name__ == '__main__':
    os.nice(19)
    browsers = _Browsers(sys.argv[1])
    asyncio.run(browsers.look())
    print(json.dumps(browsers.told), flush=True)
