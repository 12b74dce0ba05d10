"""An application that publishes what it reads, for `bench.wake`; of this build, or of `COMMIT`.

    python -m bench.application DRIVER ZCML DIRECTORY SIZE

For each line of standard input, a name, it puts so many bytes into the spool "articles", and prints
the seconds until the file is in DIRECTORY, which is that of the server.  DRIVER exports: "thread",
"watch" or "celery".  It ends with its input.
"""

import contextlib
import os
import pathlib
import sys
import tempfile
import time

import celery
import inotify_simple
import zope.component

from zeit.cds.interfaces import ISpool, IWakeUp
from zeit.cds.testing.process import Daemon
from zeit.cds.tests import broker


try:
    from zeit.cds.drivers import celery_task
    from zeit.cds.drivers.thread import ExporterThread
    from zeit.cds.zcml import handlers as zcml

    MAIN = 'zeit.cds.cli.main'
except ImportError:  # as it was at `COMMIT`
    from zeit.cds import tasks as celery_task
    from zeit.cds import zcml
    from zeit.cds.thread import ExporterThread

    MAIN = 'zeit.cds.cli'


#: What the environment calls the broker and the ZCML, for the worker.
BROKER, SITE = 'ZEIT_CDS_BENCH_BROKER', 'ZEIT_CDS_BENCH_SITE'

app = celery.Celery('bench', broker=os.environ.get(BROKER))


@celery.signals.worker_init.connect
def _configure(**kw):
    zcml.load(os.environ[SITE])


def _thread(stack, site):
    thread = ExporterThread('articles')
    zope.component.provideUtility(thread, IWakeUp)
    stack.callback(thread.stop)
    thread.start()


def _watch(stack, site):
    program = f'import sys; from {MAIN} import main; sys.exit(main())'
    _start(stack, [sys.executable, '-c', program, '--zcml', site, 'watch'])
    zope.component.getGlobalSiteManager().unregisterUtility(provided=IWakeUp)


def _celery(stack, site):
    redis = stack.enter_context(broker.Broker())
    app.conf.broker_url = redis.url
    app.set_default()
    zope.component.provideUtility(celery_task.WakeUp(), IWakeUp)
    pairs = [f'{BROKER}={redis.url}', f'{SITE}={site}', 'C_FORCE_ROOT=1']
    words = '-m celery -A bench.application worker -c 1'.split()
    _start(stack, ['env', *pairs, sys.executable, *words])


def _start(stack, command):
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    daemon = Daemon(command, log=pathlib.Path(folder, 'log'))
    stack.callback(daemon.stop)
    daemon.start()


def main(driver, site, directory, size):
    """Publish until standard input ends."""
    zcml.load(site)
    spool = zope.component.getUtility(ISpool, name='articles')
    with contextlib.ExitStack() as stack:
        {'thread': _thread, 'watch': _watch, 'celery': _celery}[driver](stack, site)
        arrivals = stack.enter_context(inotify_simple.INotify())
        arrivals.add_watch(directory, inotify_simple.flags.MOVED_TO)
        for line in sys.stdin:
            name, began = line.strip(), time.perf_counter()
            spool.put(name, b'x' * int(size))
            while all(event.name != name for event in arrivals.read()):
                pass
            print(time.perf_counter() - began, flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
