"""How long it takes from publishing to delivered, with "wake up after put": thread, watch, celery.

Time begins when `ISpool.put` is called and ends when the partner's server, vsftpd over loopback,
gives the file its real name.  Each publication waits for the one before.

    python -m bench.wake DRIVER PUBLICATIONS SIZE

prints the seconds of each as JSON, from a process of its own: the registry and celery are global.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import celery
import inotify_simple
import zope.component

from bench import measure
from zeit.cds import tasks, zcml
from zeit.cds.interfaces import ISpool, IWakeUp
from zeit.cds.testing.process import Daemon
from zeit.cds.testing.servers import ServerUnavailable, VsftpdServer
from zeit.cds.tests import application, broker, cms
from zeit.cds.thread import ExporterThread


#: Seconds after which one is given up.
TIMEOUT = 30

#: The exit code of the process if a server is not there.
MISSING = 3


def latencies(driver, *, publications, size, longest):
    """Return the seconds of each publication of `size` bytes, all of them within `longest` seconds.

    `driver`: 'thread', 'watch' or 'celery'.  Raises `measure.Failed`, and `ServerUnavailable` if
    vsftpd or Redis is not there.
    """
    command = [sys.executable, '-m', __name__, driver, str(publications), str(size)]
    environ = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=longest)
    except subprocess.TimeoutExpired as error:
        raise measure.Failed(f'{driver} has not ended after {longest} s') from error
    if done.returncode == MISSING:
        raise ServerUnavailable(done.stdout.strip())
    if done.returncode:
        raise measure.Failed(done.stderr.strip()[-measure.COMPLAINT :])
    return json.loads(done.stdout)


def _measured(driver, publications, size):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(VsftpdServer())
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = application.write(folder, server)
        stack.enter_context(cms.importable(cms.CMS))
        zcml.load(path)
        spool = zope.component.getUtility(ISpool, name='articles')
        _DRIVERS[driver](stack, folder, path)
        arrivals = stack.enter_context(inotify_simple.INotify())
        arrivals.add_watch(server.root, inotify_simple.flags.MOVED_TO)
        data = b'x' * size
        # The first one finds connections to make and modules to import.
        return [_one(spool, arrivals, f'{n}.xml', data) for n in range(publications + 1)][1:]


def _one(spool, arrivals, name, data):
    begin = time.perf_counter()
    spool.put(name, data)
    while time.perf_counter() - begin < TIMEOUT:
        if any(event.name == name for event in arrivals.read(timeout=1000)):
            return time.perf_counter() - begin
    raise TimeoutError(f'{name} was not delivered within {TIMEOUT} s')


def _thread(stack, folder, path):
    thread = ExporterThread('articles')
    zope.component.provideUtility(thread, IWakeUp)
    stack.callback(thread.stop)
    thread.start()


def _watch(stack, folder, path):
    program = 'import sys; from zeit.cds.cli import main; sys.exit(main())'
    command = [sys.executable, '-c', program, '--zcml', str(path), 'watch']
    _start(stack, folder, command)
    zope.component.getGlobalSiteManager().unregisterUtility(provided=IWakeUp)


def _celery(stack, folder, path):
    redis = stack.enter_context(broker.Broker())
    app = celery.Celery('bench', broker=redis.url, set_as_current=True)
    stack.callback(app.close)
    zope.component.provideUtility(tasks.WakeUp(), IWakeUp)
    # The path of this Python may have a blank in it.
    command = [sys.executable, *'-m celery -A zeit.cds.tests.celeryapp worker -c 1'.split()]
    settings = {
        'ZEIT_CDS_TEST_BROKER': redis.url,
        'ZEIT_CDS_TEST_ZCML': str(path),
        'ZEIT_CDS_TEST_DIARY': str(folder / 'diary'),
        'C_FORCE_ROOT': '1',
    }
    _start(stack, folder, command, settings)


def _start(stack, folder, command, settings=()):
    environ = {'PYTHONPATH': cms.environment(cms.CMS)['PYTHONPATH'], **dict(settings)}
    pairs = [f'{name}={value}' for name, value in environ.items()]
    daemon = Daemon(['env', *pairs, *command], log=folder / 'log')
    stack.callback(daemon.stop)
    daemon.start()


_DRIVERS = {'thread': _thread, 'watch': _watch, 'celery': _celery}


def main(driver, publications, size):
    """Print the seconds of each publication; return the exit code."""
    try:
        print(json.dumps(_measured(driver, int(publications), int(size))))
    except ServerUnavailable as error:
        print(error)
        return MISSING
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
