"""How long it takes from publishing to delivered, with "wake up after put": thread, watch, celery.

    bin/bench --wake

Time begins when `ISpool.put` is called and ends when the partner's server, vsftpd over loopback,
gives the file its real name.  Each publication waits for the one before.
"""

import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import time
import traceback

import celery
import inotify_simple
import zope.component

from zeit.cds import tasks, zcml
from zeit.cds.interfaces import ISpool, IWakeUp
from zeit.cds.testing.process import Daemon
from zeit.cds.testing.servers import VsftpdServer
from zeit.cds.tests import application, broker, cms
from zeit.cds.thread import ExporterThread


#: Seconds after which one is given up.
TIMEOUT = 30


def latencies(driver, *, publications=20):
    """Return the seconds of each publication.

    `driver`: 'thread', 'watch' or 'celery'.  Raises TimeoutError.
    """
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
        # The first one finds connections to make and modules to import.
        return [_one(spool, arrivals, f'{n}.xml') for n in range(publications + 1)][1:]


def _one(spool, arrivals, name):
    begin = time.perf_counter()
    spool.put(name, b'<article>%s</article>' % (b'x' * 4096))
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
    command = f'{sys.executable} -m celery -A zeit.cds.tests.celeryapp worker -c 1'.split()
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


def main(publications=20):
    """Print a line for each driver; return the exit code, 1 if one took a second or more."""
    codes = []
    for driver in _DRIVERS:
        # One process each: the registry and celery are global.
        pid = os.fork()
        if not pid:
            _measure(driver, publications)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return int(any(codes))


def _measure(driver, publications):
    code = 1
    try:
        found = latencies(driver, publications=publications)
        middle = statistics.median(found)
        print(f'{driver:8} median {middle:.3f} s, worst {max(found):.3f} s', flush=True)
        code = int(middle >= 1)
    except Exception:  # noqa: BLE001 the process ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(code)
