"""Who may do what with components in security proxies, where zope.security is installed."""

import concurrent.futures
import io
import os

import zope.component
import zope.interface
import zope.security.checker
from zope.security.checker import Checker, NamesChecker
from zope.security.interfaces import (
    ForbiddenAttribute,
    IPermission,
    ISecurityPolicy,
    Unauthorized,
)
from zope.security.management import (
    endInteraction,
    newInteraction,
    setSecurityPolicy,
)
from zope.security.proxy import Proxy as Proxied
from zope.security.proxy import removeSecurityProxy
from zope.security.simplepolicies import ParanoidSecurityPolicy

from zeit.cds.errors import ConfigurationError, FileError, FTPOSError, PermanentError, SpoolBusy
from zeit.cds.interfaces import (
    IContentFinder,
    IDeliverable,
    IExporter,
    IImporter,
    IPublisher,
    ISpool,
    ITarget,
)
from zeit.cds.option_types import options
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.zcml.tests.test_handlers import EXPORTER, SPOOL, TARGET, ZCMLTests


IMPORTER = (
    '<cds:target name="out" host="h" directory="/out" />'
    '<cds:importer name="i" spool="s" target="out" />'
)

VIEW, RETRY = 'zeit.cds.ViewStatus', 'zeit.cds.Retry'


class IContent(zope.interface.Interface):
    """Content of an application."""


@zope.interface.provider(ISecurityPolicy)
class Policy(ParanoidSecurityPolicy):
    """Everybody has the permissions in `granted`."""

    granted = frozenset()

    def checkPermission(self, permission, object):  # noqa: N802 the name of zope.security
        return permission in self.granted


class SecurityTests(ZCMLTests):
    def setUp(self):
        super().setUp()
        (self.folder / 'spool').mkdir()
        self.read(SPOOL, TARGET, EXPORTER, IMPORTER)
        self.spool = zope.component.getUtility(ISpool, name='s')
        self.spool.put('a.xml', b'<a />')

    def grant(self, *permissions):
        """From now on these permissions are those that everybody has."""
        policy = type('Granting', (Policy,), {'granted': frozenset(permissions)})
        self.addCleanup(setSecurityPolicy, setSecurityPolicy(policy))
        newInteraction()
        self.addCleanup(endInteraction)

    def proxied(self, component):
        return zope.security.checker.ProxyFactory(component)

    def test_the_permissions_are_registered(self):
        for permission in (VIEW, RETRY):
            self.assertTrue(zope.component.getUtility(IPermission, name=permission).title)

    def test_who_may_look_sees_what_waits_and_cannot_touch_it(self):
        self.grant(VIEW)
        spool = self.proxied(self.spool)
        status = spool.status()
        self.assertEqual(['a.xml'], [entry.name for entry in status.waiting])
        self.assertEqual([], list(status.parked))
        with self.assertRaises(Unauthorized):
            spool.retry('a.xml')
        exporter = self.proxied(zope.component.getUtility(IExporter, name='e'))
        self.assertEqual('host h, port 21, user u', exporter.target.title)
        with self.assertRaises(Unauthorized):
            exporter.run_once()

    def test_who_may_retry_delivers(self):
        zope.component.provideUtility(MemoryTarget(), ITarget, name='t')
        self.grant(VIEW, RETRY)
        report = self.proxied(zope.component.getUtility(IExporter, name='e')).run_once()
        self.assertEqual((0, ['a.xml']), (report.exit_code, list(report.delivered)))
        self.assertEqual(['a.xml'], [result.name for result in report.results])

    def test_who_may_retry_imports(self):
        target = MemoryTarget()
        target.write('b.xml', b'<b />', age=60)
        zope.component.provideUtility(target, ITarget, name='out')
        self.grant(VIEW, RETRY)
        report = self.proxied(zope.component.getUtility(IImporter, name='i')).run_once()
        self.assertEqual((0, 'b.xml'), (report.exit_code, report.results[0].filed_as))
        self.assertTrue((self.folder / 'spool' / 'new' / 'b.xml').exists())

    def test_who_may_look_sees_what_could_not_be_published_or_is_in_doubt(self):
        self.spool.unpublished.add('http://xml.zeit.de/a', 'no adapter')
        with self.spool.batch() as batch:
            batch.put('b.xml', b'')
            batch.prepare()
        self.grant(VIEW)
        status = self.proxied(self.spool).status()
        self.assertEqual('http://xml.zeit.de/a', status.unpublished[0].unique_id)
        self.assertEqual('b.xml', status.in_doubt[0].names[0])

    def test_what_who_may_look_sees_can_be_read(self):
        """By each call that is permitted, also what it returns."""
        self.spool.put('bad.xml', b'<a />')
        with self.spool.run():
            (entry,) = [e for e in self.spool.pending()[0] if e.name == 'bad.xml']
            self.spool.park(entry, 'refused')
            self.grant(VIEW, RETRY)
            spool = self.proxied(self.spool)
            self.assertIn(f'process {os.getpid()} on ', spool.status().active)
        path = str(self.folder / 'spool')
        for found in (spool.path, spool.status().path):
            self.assertEqual((path, 'spool'), (str(found), found.name))
            with self.assertRaises(ForbiddenAttribute):
                found.write_text('x')
        status = spool.status()
        self.assertEqual([('bad.xml', 'refused')], [tuple(pair) for pair in status.parked])
        self.assertEqual((0, None), (status.delivered, status.last_delivered))
        for interface, name, option in (
            (IExporter, 'e', 'park_after'),
            (IImporter, 'i', 'occupied'),
        ):
            exchange = self.proxied(zope.component.getUtility(interface, name=name))
            self.assertEqual(path, str(exchange.spool.path))
            for name in options(type(removeSecurityProxy(exchange.options))):
                if name in ('on_failure', 'on_recovery'):
                    # A command may have a key among its arguments.
                    with self.assertRaises(ForbiddenAttribute):
                        getattr(exchange.options, name)
                else:
                    getattr(exchange.options, name)
            self.assertTrue(getattr(exchange.options, option))
            self.assertIn('host h', exchange.target.title)
            self.assertIn('ftp://', exchange.target.url)

    def test_each_error_can_be_read(self):
        self.grant(VIEW, RETRY)
        target = MemoryTarget(hook=self.refuse)
        zope.component.provideUtility(target, ITarget, name='t')
        exporter = self.proxied(zope.component.getUtility(IExporter, name='e'))
        for error in (
            FTPOSError(111, 'Connection refused'),
            PermanentError(530, 'No.'),
            ConfigurationError('No directory', hint='Make it.'),
        ):
            self.error = error
            with self.subTest(error):
                report = exporter.run_once()
                self.assertEqual(error.message, report.error.message)
                self.assertEqual(error.hint, report.error.hint)
                self.assertEqual(error.exit_code, report.errors[0].exit_code)
                self.assertEqual(error.advice, report.error.advice)
                self.assertNotIn('proxied', str(report.error))
                with self.assertRaises(ForbiddenAttribute):
                    report.error.advise('x')
        del self.error
        target.files['write'] = b'somebody else'
        self.assertIn('lockfile', exporter.run_once().error.message)
        endInteraction()
        self.grant()
        with self.assertRaises(Unauthorized):
            report.error.message  # noqa: B018

    def refuse(self, operation, name):
        if operation == 'open' and hasattr(self, 'error'):
            raise self.error

    def test_who_may_retry_brings_back_what_was_parked(self):
        with self.spool.run():
            (entry,) = self.spool.pending()[0]
            self.spool.park(entry, 'refused')
        self.grant(VIEW, RETRY)
        spool = self.proxied(self.spool)
        self.assertEqual('a.xml', spool.retry('a.xml'))
        self.assertEqual(['a.xml'], [entry.name for entry in spool.status().waiting])
        with self.assertRaises(FileError):
            spool.retry('a.xml')
        with self.spool.run():
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                with self.assertRaises(SpoolBusy):
                    pool.submit(self.spool.retry, 'a.xml').result(30)

    def test_who_may_retry_puts_what_could_not_be_published(self):
        zope.component.provideUtility(lambda unique_id: None, IContentFinder)
        self.spool.unpublished.add('http://xml.zeit.de/a', 'no adapter')
        self.grant(VIEW, RETRY)
        ((unique_id, spool, error),) = self.proxied(
            zope.component.getUtility(IPublisher)
        ).retry()
        self.assertEqual(('http://xml.zeit.de/a', 's'), (unique_id, spool))
        self.assertNotIn('proxied', str(error.message))

    def test_proxied_content_is_published(self):
        @zope.interface.implementer(IDeliverable)
        class Deliverable:
            wanted = True

            def __init__(self, content):
                self.name = content.name
                self.open = lambda: io.BytesIO(content.body)

        @zope.interface.implementer(IContent)
        class Content:
            name, body, uniqueId = 'c.xml', b'<c/>', 'http://xml.zeit.de/c'

        zope.component.provideAdapter(Deliverable, [IContent], IDeliverable, 's')
        self.grant()
        publisher = zope.component.getUtility(IPublisher)
        self.assertEqual(['c.xml'], publisher.publish(self.proxied(Content())))
        for checker in (None, NamesChecker([], VIEW, uniqueId=VIEW, body=VIEW, name=VIEW)):
            content = Content()
            content.name = 'no/name'
            with self.assertLogs('zeit.cds.publish.publisher', 'ERROR'):
                self.assertEqual([], publisher.publish(Proxied(content, checker or Checker({}))))
            (failure,) = self.spool.status().unpublished
            self.assertEqual('http://xml.zeit.de/c', failure.unique_id)

    def test_content_that_does_not_even_tell_its_id(self):
        class Content:
            @property
            def uniqueId(self):  # noqa: N802 the name of zeit.cms
                raise LookupError('no')

            __repr__ = uniqueId

        with self.assertLogs('zeit.cds.publish.publisher', 'CRITICAL'):
            self.assertEqual([], zope.component.getUtility(IPublisher).publish(Content()))

    def test_nobody_else_sees_anything(self):
        self.grant()
        for component, attributes in {
            self.spool: ('path', 'status', 'retry'),
            zope.component.getUtility(ITarget, name='t'): ('title', 'url'),
            zope.component.getUtility(IExporter, name='e'): ('run_once', 'spool', 'target'),
            zope.component.getUtility(IImporter, name='i'): ('run_once', 'spool', 'target'),
            zope.component.getUtility(IPublisher): ('retry',),
        }.items():
            for attribute in attributes:
                with self.subTest(component, attribute=attribute):
                    with self.assertRaises(Unauthorized):
                        getattr(self.proxied(component), attribute)

    def test_what_is_for_trusted_code_is_forbidden_for_all(self):
        self.grant(VIEW, RETRY)
        for component, attribute in (
            (self.spool, 'put'),
            (self.spool, 'run'),
            (zope.component.getUtility(ITarget, name='t'), 'settings'),
            (zope.component.getUtility(ITarget, name='t'), 'open'),
            (zope.component.getUtility(IPublisher), 'publish'),
        ):
            with self.subTest(attribute), self.assertRaises(ForbiddenAttribute):
                getattr(self.proxied(component), attribute)
