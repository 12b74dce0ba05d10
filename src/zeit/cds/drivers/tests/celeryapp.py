"""The celery application of the tests, for a worker: `celery -A zeit.cds.drivers.tests.celeryapp
worker`.

The environment has the broker and the ZCML file.  While there is a file `KILL`, whoever sends an
article removes it and dies in the middle of that; with the word `worker` in it, the whole worker;
with `always` it stays there.
"""

import contextlib
import os
import signal

import celery
import celery.signals

import zeit.cds.drivers.celery_task  # noqa: F401 its task
import zeit.cds.zcml.handlers
from zeit.cds.tests import diary, killing


KILL = 'ZEIT_CDS_TEST_KILL'

app = celery.Celery('zeit.cds.tests', broker=os.environ['ZEIT_CDS_TEST_BROKER'])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={'socket_timeout': 5, 'socket_connect_timeout': 5},
    worker_hijack_root_logger=False,
)


@celery.signals.worker_init.connect
def configure(**kw):
    """Before the processes are forked, as with an application that is loaded in advance."""
    diary.keep()
    zeit.cds.zcml.handlers.load(os.environ['ZEIT_CDS_TEST_ZCML'])
    if KILL in os.environ:
        killing.arm(killing.WIRE, 1, moment='half', only=_is_doomed, die=_die)


#: Who dies, for whoever is doomed.
_doomed = []


def _is_doomed(stream, data, **kw):
    """Tell whether this is the first piece of an article that is sent since the file was there."""
    if bytes(data[:9]) == b'<article>':
        with contextlib.suppress(FileNotFoundError), open(os.environ[KILL]) as file:
            _doomed.append(file.read())
            if _doomed != ['always']:
                os.unlink(os.environ[KILL])
            return True
    return False


def _die():
    if _doomed == ['worker']:
        os.kill(os.getppid(), signal.SIGKILL)
    killing.die()
