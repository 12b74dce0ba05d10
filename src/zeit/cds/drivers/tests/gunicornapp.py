"""A web application with the thread, and gunicorn's settings: loaded once, forked, then started.

`gunicorn --preload -c python:zeit.cds.drivers.tests.gunicornapp
zeit.cds.drivers.tests.gunicornapp:app`; a request for `/NAME` publishes an article of that name.
The environment has the ZCML file, and the descriptor of a pipe that gets a line with the process id
of each worker that is ready.
"""

import os

import zope.component

import zeit.cds.zcml.handlers
from zeit.cds.drivers.thread import ExporterThread
from zeit.cds.interfaces import IWakeUp
from zeit.cds.tests import application, diary


preload_app = True
workers = 4
graceful_timeout = 30
loglevel = 'warning'

thread = ExporterThread('articles', interval=5)


def app(environ, start_response):
    """Publish."""
    name = application.publish(environ['PATH_INFO'].strip('/'))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [name.encode()]


def on_starting(server):
    """Before the application is loaded, and before any fork."""
    diary.keep()
    zeit.cds.zcml.handlers.load(os.environ['ZEIT_CDS_TEST_ZCML'])
    zope.component.provideUtility(thread, IWakeUp, name='articles')


def post_fork(server, worker):
    """The last fork is done."""
    thread.start()


def post_worker_init(worker):
    """It obeys signals from now on."""
    os.write(int(os.environ['ZEIT_CDS_TEST_READY']), f'{worker.pid}\n'.encode())


def worker_exit(server, worker):
    """The end of a worker."""
    thread.stop()
