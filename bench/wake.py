"""How long it takes from publishing to delivered: thread, watch and celery, today and before.

Time begins when `ISpool.put` is called and ends when the partner's server gives the file its real
name.  The publications come one after the other, to each driver in turn; each driver is in an
application of its own (`bench.application`), and has a directory of its own on the server.
"""

import contextlib
import os
import pathlib
import random
import select
import subprocess
import sys
import tempfile
import time

from bench import measure


#: Seconds after which a publication is given up, and an application that does not end.
TIMEOUT = 30

#: Seconds between two publications: the run before is over.
PAUSE = 0.2

_ZCML = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:cds="http://namespaces.zeit.de/cds">
  <include package="zeit.cds" />
  <cds:spool name="articles" path="{folder}" />
  <cds:target name="partner" host="{server.host}" port="{server.port}" user="{server.user}"
      password_env="ZEIT_CDS_PASSWORD" directory="/{directory}" {options} />
  <cds:exporter name="articles" spool="articles" target="partner" />
</configure>
"""


def measured(place, clients):
    """Yield (turn, client, seconds, or `measure.Failed`) for each publication to each client.

    `place`: the `Stage` of a row.  Who has failed has no further turn.
    """
    with contextlib.ExitStack() as stack:
        found = [(client, stack.enter_context(_Application(place, client))) for client in clients]
        # The first one finds modules to import, and what the server can.
        for turn in range(-1, place.row.files):
            for client, application in random.Random(turn).sample(found, len(found)):
                time.sleep(PAUSE)
                try:
                    seconds = application.publish(f'{turn + 1}.xml')
                except measure.Failed as error:
                    yield turn, client, error
                    found.remove((client, application))
                    continue
                if turn >= 0:
                    yield turn, client, seconds


class _Application:
    """One driver in a process of its own; a context manager."""

    def __init__(self, place, client):
        self._place = place
        self._client = client
        self._resources = contextlib.ExitStack()

    def __enter__(self):
        with self._resources as stack:
            server, client = self._place.server, self._client
            arrivals = pathlib.Path(tempfile.mkdtemp(dir=server.root))
            owner = os.stat(server.root)
            os.chown(arrivals, owner.st_uid, owner.st_gid)
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for section in ('tmp', 'new', 'cur'):
                (folder / section).mkdir()
            tls = self._place.certificate
            options = f'tls="explicit" ca_file="{tls}"' if tls else 'tls="no"'
            site = folder / 'site.zcml'
            site.write_text(
                _ZCML.format(
                    folder=folder, server=server, directory=arrivals.name, options=options
                )
            )
            self._log = stack.enter_context(open(folder / 'log', 'w+b'))
            words = client.driver, site, arrivals, str(self._place.row.size)
            paths = [str(client.source), *filter(None, sys.path)]
            self._process = self._place.line.client.run(
                subprocess.Popen,
                [sys.executable, '-m', 'bench.application', *words],
                env={
                    **os.environ,
                    'PYTHONPATH': os.pathsep.join(paths),
                    'ZEIT_CDS_PASSWORD': server.password,
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
            )
            stack.callback(self._end)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._resources.close()

    def publish(self, name):
        """Publish a file; return the seconds until it is there.  Raises `measure.Failed`."""
        with contextlib.suppress(BrokenPipeError):
            print(name, file=self._process.stdin, flush=True)
        line = ''
        if select.select([self._process.stdout], [], [], TIMEOUT)[0]:
            line = self._process.stdout.readline()
        if not line:
            said = measure.said(self._log)
            raise measure.Failed(f'{self._client.name} has not delivered {name}: {said}')
        return float(line)

    def _end(self):
        with self._process as process:
            process.stdin.close()
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
