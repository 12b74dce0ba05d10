"""Who may do what with components in security proxies, where zope.security is installed."""

import zope.component
import zope.interface
import zope.security.checker
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
from zope.security.simplepolicies import ParanoidSecurityPolicy

from zeit.cds.interfaces import IExporter, IImporter, IPublisher, ISpool, ITarget
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.tests.test_zcml import EXPORTER, SPOOL, TARGET, ZCMLTests


IMPORTER = (
    '<cds:target name="out" host="h" directory="/out" />'
    '<cds:importer name="i" spool="s" target="out" />'
)

VIEW, RETRY = 'zeit.cds.ViewStatus', 'zeit.cds.Retry'


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
