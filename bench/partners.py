"""Partners of one spool, one of whose servers says nothing: the row `partners`.

One command exports to two of them, or to all three.  The time is that of the run of each, and the
slower one counts.
"""

import contextlib
import json
import os
import random
import socket
import subprocess

from bench.clients import ZEIT_CDS
from bench.measure import Failed
from bench.rows import ONE_HANGS
from bench.stage import folder
from zeit.cds.spool.spool import Spool
from zeit.cds.testing.servers import VsftpdServer


#: For this part of what a command may take the third one is waited for; the others need less.
PATIENCE = 1 / 10

_ZCML = """\
<configure xmlns="http://namespaces.zeit.de/cds">
  <spool name="articles" path="{spool}" />
  {targets}
</configure>
"""

_TARGET = """\
  <target name="{name}" host="{host}" port="{port}" user="{user}" directory="/"
      password_env="ZEIT_CDS_PASSWORD" connect_timeout="{patience}" reply_timeout="{patience}" />
  <exporter name="{name}" spool="articles" target="{name}" />
"""


def measured(row):
    """Yield (client, fields of its `Result`) for each round; raise `Failed`."""
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(folder())
        servers = {}
        for name in 'first', 'second':
            (work / name).mkdir()
            servers[name] = VsftpdServer(root=work / name)
            servers[name].start()
            stack.callback(servers[name].stop)
        # It takes the connection: the system does that for it.
        silent = stack.enter_context(socket.create_server(('127.0.0.1', 0)))
        for turn in range(row.rounds):
            for client in random.Random(turn).sample(row.clients, len(row.clients)):
                names = [*servers] + ['silent'] * (client == ONE_HANGS)
                seconds = _run(row, work / f'{turn}-{len(names)}', names, servers, silent)
                yield client, {'turn': turn, 'seconds': seconds}


def _run(row, path, names, servers, silent):
    """Let the partners of these names get files; return how long the slower of two took."""
    (path / 'spool').mkdir(parents=True)
    server = servers['first']
    where = {name: (each.host, each.port) for name, each in servers.items()}
    where['silent'] = silent.getsockname()
    about = {'user': server.user, 'patience': row.longest * PATIENCE}
    site = path / 'site.zcml'
    targets = [_TARGET.format(name=n, host=where[n][0], port=where[n][1], **about) for n in names]
    site.write_text(_ZCML.format(spool=path / 'spool', targets='\n'.join(targets)))
    spool = Spool(path / 'spool')
    for number in range(row.files):
        spool.put(f'article-{number:06}.xml', b'x' * row.size)
    done = subprocess.run(
        [ZEIT_CDS, '--zcml', site, 'export', '--all', '--json'],
        env={**os.environ, 'ZEIT_CDS_PASSWORD': server.password},
        capture_output=True,
        text=True,
        timeout=row.longest,
    )
    found = {each['name']: each for each in json.loads(done.stdout or '[]')}
    for name in servers:
        sent = len(found[name]['files']) if name in found else 0
        if sent != row.files or found[name]['exit_code']:
            raise Failed(f'{name} got {sent} of {row.files} files: {done.stderr[-300:]}')
        servers[name].clear()
    return max(found[name]['seconds'] for name in servers)

