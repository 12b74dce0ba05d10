"""What zeit.cms is made of, for real: `realcms.py SCENARIO FOLDER`, in the environment of `zope`.

z3c.celery, zope.sqlalchemy, ZODB, and PostgreSQL, whose socket is in `FOLDER/sql`.
"""

import concurrent.futures
import contextlib
import io
import pathlib
import queue
import sys
import time
import unittest.mock

import celery
import persistent
import sqlalchemy
import sqlalchemy.orm
import transaction
import ZODB
import zope.component
import zope.component.hooks
import zope.component.testing
import zope.interface
import zope.site.folder
import zope.site.site
import zope.sqlalchemy
from z3c.celery.celery import CELERY
from zope.configuration import xmlconfig
from zope.security.management import getInteraction, queryInteraction

import zeit.cds
from zeit.cds.drivers import celery_task
from zeit.cds.drivers.thread import ExporterThread
from zeit.cds.interfaces import (
    IContentFinder,
    IDeliverable,
    IExchangeFinished,
    IExporter,
    IFileExported,
    IOutbox,
    IPublisher,
    ISpool,
    ITarget,
    IWakeUp,
)
from zeit.cds.tests import cms


ZCML = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:cds="http://namespaces.zeit.de/cds">
  <include package="zeit.cds" />
  <cds:spool name="articles" path="{folder}/spool" />
  <utility
      provides="zeit.cds.interfaces.ITarget"
      name="partner"
      factory="zeit.cds.testing.memory.MemoryTarget"
      />
  <cds:exporter name="articles" spool="articles" target="partner" />
</configure>
"""


class IArticle(zope.interface.Interface):
    """Content."""


@zope.interface.implementer(IArticle)
class Article:
    def __init__(self, unique_id):
        self.uniqueId = unique_id


@zope.component.adapter(IArticle)
@zope.interface.implementer(IDeliverable)
class Deliverable:
    """Its content is in the database; there is none of what is called `bad`."""

    wanted = True

    def __init__(self, article):
        self.name = article.uniqueId

    def open(self):
        if self.name in failing:
            sql('select 1 / 0')
        if self.name == 'object':
            return io.BytesIO(root().body)
        return io.BytesIO(sql('select body from article').scalar().encode())


#: What is called so cannot be read.
failing = {'bad'}


def root():
    return zope.component.hooks.getSite()


def sql(text):
    return Session().execute(sqlalchemy.text(text))


def write(text):
    zope.sqlalchemy.mark_changed(Session())
    return sql(text)


def set_up(folder):
    global Session, engine
    engine = sqlalchemy.create_engine(
        'postgresql+pg8000://test@/postgres',
        connect_args={'unix_sock': f'{folder}/sql/.s.PGSQL.5432', 'application_name': 'cms'},
        isolation_level='REPEATABLE READ',
    )
    Session = sqlalchemy.orm.scoped_session(sqlalchemy.orm.sessionmaker(engine))
    zope.sqlalchemy.register(Session)
    (pathlib.Path(folder) / 'spool').mkdir()
    write('drop table if exists article')
    write('create table article (body text)')
    write("insert into article values ('old')")
    transaction.commit()
    xmlconfig.string(ZCML.format(folder=folder))
    zope.component.provideAdapter(Deliverable, name='articles')
    zope.component.provideUtility(find, IContentFinder)
    CELERY.conf.update(broker_url='memory://', ZODB=database())
    CELERY.set_current()


def database():
    found = ZODB.DB(None)
    with found.transaction() as connection:
        connection.root()['Application'] = root = zope.site.folder.rootFolder()
        root.setSiteManager(zope.site.site.LocalSiteManager(root))
        root.body = b'old'
    return found


def find(unique_id):
    sql('select 1')
    return Article(unique_id)


def open_transactions():
    """Return how many connections of ours are idle in a transaction."""
    with engine.connect() as connection:
        return connection.scalar(
            sqlalchemy.text(
                "select count(*) from pg_stat_activity where application_name = 'cms'"
                " and state like 'idle in transaction%'"
            )
        )


def due(*names):
    spool = zope.component.getUtility(ISpool, name='articles')
    with unittest.mock.patch('zeit.cds.journal.failed_publications.time.time', return_value=1):
        for name in names:
            spool.unpublished.add(name, 'why')
    return spool


def adapter():
    """A database error in an adapter fails no publication, also with a task that was delayed."""
    spool = zope.component.getUtility(ISpool, name='articles')
    write("insert into article values ('mine')")
    send = unittest.mock.patch.object(celery.Task, 'apply_async').start()
    celery_task.export.delay('articles')
    zope.component.getUtility(IPublisher).publish(Article('bad'))
    write("insert into article values ('and more')")
    transaction.commit()
    due('bad', 'good')
    zope.component.getUtility(IPublisher).retry()
    assert open_transactions() == 0
    assert [each.unique_id for each in spool.unpublished.content()] == ['bad']
    assert [each.name for each in spool.status().waiting] == ['good']
    assert sql('select count(*) from article').scalar() == 3
    assert send.call_count == 1, send.call_args_list


def subscriber():
    """The same of a subscriber, of a put and of a run inside of a transaction."""
    for interface in IFileExported, IExchangeFinished:
        zope.component.provideHandler(lambda event: sql('select 1 / 0'), (interface,))
    write("insert into article values ('mine')")
    zope.component.getUtility(IPublisher).publish(Article('good'))
    report = zope.component.getUtility(IExporter, name='articles').run_once()
    assert report.delivered == ['good']
    transaction.commit()
    assert sql('select count(*) from article').scalar() == 2


def outbox():
    """Spools in transactions, with a task that was delayed: savepoints, abort, commit."""
    spool = zope.component.getUtility(ISpool, name='articles')
    outbox = IOutbox(spool)
    with unittest.mock.patch.object(celery.Task, 'apply_async') as send:
        outbox.put('a', b'a')
        celery_task.export.delay('articles')
        transaction.savepoint(optimistic=True)
        outbox.put('b', b'b')
        write("insert into article values ('mine')")
        transaction.commit()
        assert send.call_count == 1
        outbox.put('c', b'c')
        celery_task.export.delay('articles')
        transaction.abort()
        assert send.call_count == 1
    assert [each.name for each in spool.status().waiting] == ['a', 'b']


def thread():
    """A thread has nothing open while it sends, and sees the present."""
    due('bad', 'good')
    target = zope.component.getUtility(ITarget, name='partner')
    known = []
    target.hook = lambda operation, name: known.append(open_transactions())
    zope.component.provideHandler(lambda event: find(''), (IFileExported,))
    runs = queue.SimpleQueue()
    zope.component.provideHandler(lambda event: runs.put(event.report), (IExchangeFinished,))
    runner = ExporterThread('articles', interval=1000)
    zope.component.provideUtility(runner, IWakeUp, name='articles')
    runner.start()
    assert runs.get(timeout=20).delivered == ['good']
    write("update article set body = 'new'")
    transaction.commit()
    due('good')
    runner.wake('articles')
    assert runs.get(timeout=20).delivered == ['good']
    assert runner.stop()
    assert target.files['good'] == b'new', target.files
    assert set(known) == {0}, known
    assert open_transactions() == 0


def worker():
    """A worker of z3c.celery: nothing open while it sends, and its own way to try again."""
    target = zope.component.getUtility(ITarget, name='partner')
    known = []
    target.hook = lambda operation, name: known.append(open_transactions())
    due('bad', 'good')
    work()
    assert list(target.files) == ['good'], target.files
    assert set(known) == {0}, known
    target.files['write'] = b'somebody'
    due('good')
    with unittest.mock.patch.object(celery.Task, 'apply_async') as send:
        try:
            work()
        except celery.exceptions.Retry:
            pass
        else:
            raise AssertionError('not tried again')
    assert send.call_args.kwargs['retries'] == 1, send.call_args
    assert send.call_args.kwargs['countdown'] >= 1, send.call_args


def eager():
    """As tests of zeit.cms have it: the transaction of the test is not ended."""
    CELERY.conf.task_always_eager = True
    zope.component.provideUtility(celery_task.WakeUp())
    write("insert into article values ('mine')")
    zope.component.getUtility(IPublisher).publish(Article('good'))
    assert list(zope.component.getUtility(ITarget, name='partner').files) == ['good']
    transaction.abort()
    assert sql('select count(*) from article').scalar() == 1


class ObjectLog(persistent.Persistent):
    """That of zeit.cms, as far as it matters here: below the site, with an interaction."""

    lines = ()

    def log(self, content, message):
        participations = getInteraction().participations
        self.lines += ((content.uniqueId, len(participations), str(message)),)
        transaction.savepoint(optimistic=True)

    def get_log(self, content):
        return [line for line in self.lines if line[0] == content.uniqueId]


def vivi():
    """A worker delivers an article, and says so in the object log, below its site only."""
    from zeit.cms.workflow.interfaces import IPublish
    from zeit.content.article.article import Article
    from zeit.objectlog.interfaces import IObjectLog

    zope.component.hooks.setHooks()
    xmlconfig.string(
        '<configure xmlns="http://namespaces.zope.org/zope">'
        '<include package="zope.component" file="meta.zcml" />'
        '<include package="zeit.cms" />'
        '<include package="zeit.cds.vivi" file="article.zcml" />'
        '<include package="zeit.cds.vivi" file="objectlog.zcml" />'
        '</configure>'
    )
    article = Article('a', uuid='{urn:uuid:a}')
    with CELERY.conf.ZODB.transaction() as connection:
        log = ObjectLog()
        log.lines = ((article.uniqueId, 1, 'Published'),)
        connection.root()['log'] = log
        connection.root()['Application'].getSiteManager().registerUtility(log, IObjectLog)
    for _ in range(2):
        IPublish(article).publish()
        work()
        assert queryInteraction() is None
    assert list(zope.component.getUtility(ITarget, name='partner').files) == ['{urn:uuid:a}.xml']
    with CELERY.conf.ZODB.transaction() as connection:
        lines = connection.root()['log'].lines[1:]
    assert lines == ((article.uniqueId, 0, 'Delivered to ${name}'),) * 2, lines


def snapshot():
    """A publication sees the past: what failed since is not what it could put."""
    spool = due()
    for name, change in ('good', change_sql), ('object', change_object):
        with site():
            sql('select 1')
            assert root().body == b'old'
            in_thread(change)
            due(name)
            zope.component.getUtility(IPublisher).publish(Article('other'))
            zope.component.getUtility(IPublisher).retry()
            zope.component.getUtility(IPublisher).retry_due()
            transaction.commit()
        assert [each.unique_id for each in spool.unpublished.content()] == [name]
        assert delivered_in_time()[name] == b'new'
        assert spool.unpublished.content() == []


def long():
    """What fails in a transaction that takes longer than the pause after it."""
    spool = due()
    for name, change in ('good', write_sql), ('object', write_object):
        with site():
            change()
            failing.add(name)
            zope.component.getUtility(IPublisher).publish(Article(name))
            failing.remove(name)
            before = in_thread(delivered_in_time)
            assert before[name] == b'old', before
            transaction.commit()
        assert [each.unique_id for each in spool.unpublished.content()] == [name]
        assert delivered_in_time()[name] == b'new'
        assert spool.unpublished.content() == []


def write_sql():
    write("update article set body = 'new'")


def write_object():
    root().body = b'new'


def change_sql():
    write_sql()
    transaction.commit()


def change_object():
    with site():
        write_object()
        transaction.commit()


@contextlib.contextmanager
def site():
    """Have the ZODB's root as the site, in a connection of this thread."""
    connection = CELERY.conf['ZODB'].open()
    try:
        with zope.component.hooks.site(connection.root()['Application']):
            yield connection
    finally:
        transaction.abort()
        connection.close()


def delivered_in_time():
    """Return what the partner has when a worker has come by an hour later."""
    later = time.time() + 3600
    with unittest.mock.patch('zeit.cds.publish.publisher.time.time', return_value=later):
        work()
    return zope.component.getUtility(ITarget, name='partner').files


def in_thread(call):
    """Return what another thread gets, which has connections of its own."""
    with concurrent.futures.ThreadPoolExecutor() as threads:
        return threads.submit(call).result()


def work():
    """Let a worker have a message for the exporter."""
    task = CELERY.tasks['zeit.cds.export']
    task.push_request(
        called_directly=False, is_eager=False, retries=0, id='1', args=('articles',), kwargs={}
    )
    try:
        return task('articles', _run_asynchronously_=True)
    finally:
        task.pop_request()


SCENARIOS = {
    each.__name__: each
    for each in (adapter, subscriber, outbox, thread, worker, vivi, eager, snapshot, long)
}


if __name__ == '__main__':
    name, folder = sys.argv[1:]
    assert zeit.cds.__path__
    if name == 'vivi':
        # Behind zope.lifecycleevent, which is real here.
        sys.path.append(cms.CMS)
    set_up(folder)
    SCENARIOS[name]()
    transaction.abort()
