"""The celery application of the tests, for a worker: `celery -A zeit.cds.tests.celeryapp worker`.

The environment has the broker and the ZCML file.
"""

import os

import celery
import celery.signals

import zeit.cds.tasks  # noqa: F401 its task
import zeit.cds.zcml
from zeit.cds.tests import diary


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
    zeit.cds.zcml.load(os.environ['ZEIT_CDS_TEST_ZCML'])
