"""Everything that claims one of our interfaces has what the interface says."""

import ast
import importlib.util
import io
import pathlib
import tempfile
import unittest

import zope.component.testing
import zope.interface
from zope.interface import providedBy
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyObject

import zeit.cds
from zeit.cds import interfaces
from zeit.cds.cli.progress_bar import Bar
from zeit.cds.drivers.celery_task import WakeUp
from zeit.cds.drivers.thread import ExporterThread
from zeit.cds.ftp.capabilities import Capabilities
from zeit.cds.ftp.connection_options import Settings
from zeit.cds.interfaces import ISpool, ITarget
from zeit.cds.publish.publisher import Publisher
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.run.importer import Importer, ImportOptions
from zeit.cds.sftp.session import SFTPSession
from zeit.cds.sftp.shared_connection import Link
from zeit.cds.sftp.target import SFTPTarget
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.sharing import Terms
from zeit.cds.spool.spool import Spool
from zeit.cds.target.download import Downloaded
from zeit.cds.target.ftp_session import FTPSession
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers
from zeit.cds.testing.memory import MemoryTarget, NoLedger
from zeit.cds.values.plan import Job, Outcome, Plan
from zeit.cds.values.progress import NoProgress, WatchedIncoming
from zeit.cds.values.report import (
    ExchangeFinished,
    FileExported,
    FileImported,
    FilePut,
    PublicationFailed,
    Report,
    Result,
)
from zeit.cds.zcml.configured import ConfiguredExporter, ConfiguredImporter
from zeit.cds.zcml.product import AppSetup


#: What implements the interface of another package, or wing; its own tests verify that.
FOREIGN = {
    *('publish.outbox.SpoolsDataManager', 'publish.outbox._Votes', 'publish.outbox._Savepoint'),
    'zcml.schemas.Attribute',
    *('browser.source.Local', 'browser.source.Remote', 'browser.responses.Site'),
}

PACKAGE = pathlib.Path(zeit.cds.__file__).parent


def claims():
    """Return the names of all classes with the decorator `implementer`, of the public fixtures too.

    They are found in the sources: some modules need what an extra installs.
    """
    for path in sorted(PACKAGE.rglob('*.py')):
        name = '.'.join(path.relative_to(PACKAGE).with_suffix('').parts)
        if 'tests' in path.parts or name.startswith('vivi.'):  # test_vivi has the latter
            continue
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, ast.ClassDef) and any(map(is_implementer, node.decorator_list)):
                yield f'{name}.{node.name}'


def is_implementer(decorator):
    return isinstance(decorator, ast.Call) and 'implementer' in ast.dump(decorator.func)


@zope.interface.implementer(
    interfaces.IContentFinder,
    interfaces.IRetraction,
    interfaces.IStillWanted,
    interfaces.ITransactionOutcome,
    interfaces.ITimedDeliverable,
    interfaces.IVersionedDeliverable,
    interfaces.IWorkingCopies,
)
class OfAnIntegrator:
    """What only others provide, so that the interfaces can be fulfilled."""

    name = 'a.xml'
    version = None
    priority = not_before = not_after = None
    answer = None

    def wanted(self, entry):
        return True

    def __call__(self, unique_id):
        raise LookupError(unique_id)

    def committed(self, doubt):
        return True

    def open(self):
        return io.BytesIO()


class ConformanceTests(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        self.path = self.enterContext(tempfile.TemporaryDirectory())

    def examples(self):
        """Return one object of each class that claims an interface."""
        spool, target = Spool(self.path), FTPTarget(Settings(host='ftp.example.com'))
        over_sftp = SFTPTarget.from_options(host='h', user='u', known_hosts='/k')
        link = Link(over_sftp.settings)
        self.addCleanup(link.quit)
        sftp_session = SFTPSession(
            over_sftp.settings, over_sftp.delivery, link=link, capabilities=Capabilities()
        )
        memory = MemoryTarget()
        zope.component.provideUtility(spool, ISpool, name='s')
        zope.component.provideUtility(target, ITarget, name='t')
        self.enterContext(spool.run())
        spool.put('a.xml', b'<a />')
        spool.unpublished.add('http://xml.zeit.de/a', 'The disk is full.')
        ((entry,), _) = spool.pending()
        result, report = Result(name='a.xml', status='delivered'), Report()
        job = Job(name='a.xml', size=5, open=lambda: spool.open(entry))
        return [
            spool,
            Partner(spool, Terms('p', target.url)),
            spool.status(),
            entry,
            self.enterContext(spool.open(entry)),
            target,
            FTPSession(target.settings, target.delivery, capabilities=Capabilities()),
            over_sftp,
            sftp_session,
            memory,
            memory.open(),
            Exporter(spool, target),
            Importer(spool, target),
            self.incoming(spool),
            spool.journal.at('memory:'),
            NoLedger(),
            ConfiguredExporter(spool='s', target='t', options=Options()),
            ConfiguredImporter(spool='s', target='t', options=ImportOptions()),
            AppSetup(),
            Plan([job]),
            Outcome(job=job),
            Downloaded(job=job),
            NoProgress(),
            Bar(io.StringIO()),
            WatchedIncoming(
                self.incoming(spool, temporary='c.part'), name='b.xml', progress=NoProgress()
            ),
            result,
            report,
            *self.with_transactions(spool),
            Publisher(),
            spool.unpublished,
            spool.unpublished.content()[0],
            FilePut(spool=spool, name='a.xml'),
            PublicationFailed(spool=spool, unique_id='http://x', reason='why', pause=60),
            OfAnIntegrator(),
            ExporterThread('articles'),
            WakeUp(),
            FileExported(spool=spool, target=target, result=result),
            FileImported(spool=spool, target=target, result=result),
            ExchangeFinished(spool=spool, target=target, report=report),
        ]

    def with_transactions(self, spool):
        batch = spool.batch()
        batch.put('b.xml', b'<b />')
        batch.prepare()
        batch.close()
        examples = [batch, spool.status().in_doubt[0]]
        if importlib.util.find_spec('transaction'):
            from zeit.cds.publish.outbox import Outbox
            from zeit.cds.publish.transactions import TransactionScope

            examples += [Outbox(spool), TransactionScope()]
        return examples

    def incoming(self, spool, *, temporary='b.part'):
        incoming = spool.receive('b.xml', temporary=temporary)
        self.addCleanup(incoming.discard)
        return incoming

    def test_every_class_has_what_its_interfaces_say(self):
        seen = set()
        for example in self.examples():
            name = f'{type(example).__module__}.{type(example).__name__}'
            seen.add(name.removeprefix('zeit.cds.'))
            with self.subTest(name):
                ours = [
                    i
                    for i in providedBy(example)
                    if i.__module__.startswith(f'{interfaces.__name__}.')
                ]
                self.assertTrue(ours)
                for interface in ours:
                    verifyObject(interface, example)
        self.assertEqual(set(), set(claims()) - seen - FOREIGN, 'without an example above')

    def test_every_interface_is_provided_by_something(self):
        provided = {base for e in self.examples() for i in providedBy(e) for base in i.__iro__}
        declared = {
            value
            for value in vars(interfaces).values()
            if isinstance(value, InterfaceClass)
            and value.__module__.startswith(f'{interfaces.__name__}.')
        }
        self.assertEqual(set(), declared - provided)
