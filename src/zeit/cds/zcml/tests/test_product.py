"""Values of directives from the product configuration."""

import traceback

import zope.component
from zope.configuration.exceptions import ConfigurationError as ZCMLError

from zeit.cds.credentials import SecretFile
from zeit.cds.interfaces import IExporter, IImporter, IProductConfiguration, ISpool, ITarget
from zeit.cds.run.exporter import Options
from zeit.cds.tests import cms
from zeit.cds.tests.test_main_password import chain, raised, variables
from zeit.cds.zcml.tests.test_handlers import FIRST, SPOOL, TARGET, ZCMLTests


class ProductTests(ZCMLTests):
    """With a product configuration that is a dictionary."""

    def setUp(self):
        super().setUp()
        self.values = {}
        self.asked = []
        zope.component.provideUtility(self.look_up, IProductConfiguration)

    def look_up(self, package, key):
        self.asked.append((package, key))
        return self.values.get((package, key))

    def set(self, **values):
        """Set what a target or exporter `x` is told in the section `zeit.cds`."""
        for name, value in values.items():
            self.values['zeit.cds', f'x-{name.replace("_", "-")}'] = value


class ValueTests(ProductTests):
    def test_the_directory_of_a_spool_is_the_value_of_the_key(self):
        self.values['zeit.content.article', 'cds-export'] = str(self.folder / 'export')
        self.read('<cds:spool name="s" product_config="zeit.content.article/cds-export" />')
        spool = zope.component.getUtility(ISpool, name='s')
        self.assertEqual(self.folder / 'export', spool.path)
        options = 'history', 'keep', 'keep-bytes'
        asked = ['cds-export', *(f'cds-export-{each}' for each in options)]
        self.assertEqual([('zeit.content.article', key) for key in asked], self.asked)

    def test_a_target_has_a_key_for_each_attribute(self):
        self.set(user='u', host='h', directory='/', port='2121', password_file='/secret')
        self.set(temporary='no', data_timeout='3')
        self.read('<cds:target name="t" product_config="zeit.cds/x" />')
        target = zope.component.getUtility(ITarget, name='t')
        settings = target.settings
        self.assertEqual(('h', 2121, 3.0), (settings.host, settings.port, settings.data_timeout))
        self.assertIsInstance(settings.password, SecretFile)
        self.assertFalse(target.delivery.temporary)

    def test_an_exporter_as_well(self):
        self.set(spool='s', target='t', strict='yes', max_files='5')
        self.read(SPOOL, TARGET, '<cds:exporter name="e" product_config="zeit.cds/x" />')
        exporter = zope.component.getUtility(IExporter, name='e')
        self.assertEqual(Options(strict=True, max_files=5), exporter.options)
        self.assertEqual(self.folder / 'spool', exporter.spool.path)

    def test_and_an_importer_into_the_spool_that_always_had_this_key(self):
        self.values['zeit.content.article', 'cds-import'] = str(self.folder / 'import')
        self.set(spool='i', target='t', min_age='5')
        self.read(
            '<cds:spool name="i" product_config="zeit.content.article/cds-import" />',
            TARGET,
            '<cds:importer name="i" product_config="zeit.cds/x" />',
        )
        importer = zope.component.getUtility(IImporter, name='i')
        self.assertEqual(
            (5, self.folder / 'import'), (importer.options.min_age, importer.spool.path)
        )

    def test_it_goes_before_the_attributes_which_are_the_defaults(self):
        self.set(port='2121', directory='/')
        self.read('<cds:target name="t" host="h" port="21" user="u" product_config="zeit.cds/x" />')
        settings = zope.component.getUtility(ITarget, name='t').settings
        self.assertEqual(('h', 2121, 'u'), (settings.host, settings.port, settings.user))

    def test_a_home_directory_is_expanded(self):
        self.values['a', 'b'] = '~/spool'
        self.read('<cds:spool name="s" product_config="a/b" />')
        self.assertTrue(zope.component.getUtility(ISpool, name='s').path.is_absolute())

    def test_nothing_is_asked_without_the_attribute(self):
        self.read(SPOOL, TARGET)
        self.assertEqual([], self.asked)

    def test_one_that_is_overridden_is_not_looked_up(self):
        self.write('<cds:spool name="s" product_config="a/b" />', name='base.zcml')
        self.write(SPOOL, name='overrides.zcml')
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')
        self.assertEqual([], self.asked)

    def test_an_overridden_exporter_is_not_checked(self):
        self.set(spool='nothing', target='nothing')
        self.write('<cds:exporter name="e" product_config="zeit.cds/x" />', name='base.zcml')
        self.write(
            SPOOL, TARGET, '<cds:exporter name="e" spool="s" target="t" />', name='overrides.zcml'
        )
        self.read('<include file="base.zcml" />', '<includeOverrides file="overrides.zcml" />')
        self.assertEqual([], self.asked)


class MistakeTests(ProductTests):
    LINE = f'cds.zcml, line {FIRST}: '

    def test_a_bad_value_is_named_by_section_and_key(self):
        target = '<cds:target name="t" host="h" product_config="zeit.cds/x" />'
        for attribute, value, said in (
            ('port', 'ftp', "'ftp' is not a port: a number from 1 to 65535"),
            ('port', '', "'' is not a port: a number from 1 to 65535"),
            ('temporary', 'maybe', "'maybe' is not yes or no"),
            ('netrc', 'netrc', "'netrc' is not an absolute path"),
            ('reply_timeout', 'nan', "'nan' is not a number of seconds above 0, at most 86400"),
        ):
            with self.subTest(attribute, value=value):
                self.values = {}
                self.set(**{attribute: value})
                key = f'x-{attribute.replace("_", "-")}'
                expected = f"{self.LINE}Product configuration 'zeit.cds', key '{key}': {said}"
                self.assertEqual(expected, self.problem(target))

    def test_numbers_and_truth_values_are_taken_as_their_text(self):
        self.set(host='h', directory='/', port=2121, temporary=False, data_timeout=2.5)
        self.read('<cds:target name="t" product_config="zeit.cds/x" />')
        target = zope.component.getUtility(ITarget, name='t')
        self.assertEqual((2121, 2.5), (target.settings.port, target.settings.data_timeout))
        self.assertFalse(target.delivery.temporary)

    def test_what_is_no_text_is_named_by_section_and_key_but_not_repeated(self):
        for attribute, value in (('host', b'hunter2'), ('password', ['hunter2'])):
            with self.subTest(attribute):
                self.values = {}
                self.set(**{'host': 'h', attribute: value})
                self.assertEqual(
                    f"{self.LINE}Product configuration 'zeit.cds', key 'x-{attribute}': "
                    f'The value is of the type {type(value).__name__}, and should be a text',
                    self.problem('<cds:target name="t" product_config="zeit.cds/x" />'),
                )

    def test_what_is_missing_is_named_by_section_and_key(self):
        for directive, parameter, key in (
            ('<cds:spool name="s" product_config="zeit.cds/cds-export" />', 'path', 'cds-export'),
            ('<cds:target name="s" product_config="zeit.cds/x" />', 'host', 'x-host'),
            ('<cds:exporter name="s" product_config="zeit.cds/x" />', 'spool', 'x-spool'),
        ):
            with self.subTest(directive):
                self.assertEqual(
                    f"{self.LINE}Missing parameter: '{parameter}'; product configuration 'zeit.cds'"
                    f" has no '{key}'. Set it before ZCML is executed, or give the attribute as a"
                    ' default',
                    self.problem(directive),
                )

    def test_without_a_reference_an_attribute_is_missing(self):
        self.assertEqual(
            f"{self.LINE}Missing parameter: 'path'", self.problem('<cds:spool name="s"/>')
        )

    def test_a_reference_is_a_section_and_a_key(self):
        for bad in ('zeit.cds', '/x', 'zeit.cds/', 'a/b/c'):
            with self.subTest(bad):
                self.assertEqual(
                    f"{self.LINE}Invalid value for 'product_config': '{bad}' is not "
                    'a section of the product configuration and a key: section/key',
                    self.problem(f'<cds:spool name="s" product_config="{bad}" />'),
                )

    def test_a_password_is_in_no_error_and_no_repr(self):
        self.set(host='h', directory='/', password='hunter2', netrc='/n')
        target = '<cds:target name="t" user="u" product_config="zeit.cds/x" />'
        self.assertIn('Give the password in one place', self.problem(target))
        self.assertNotIn('hunter2', ''.join(traceback.format_exception(self.caught)))
        self.set(password='hunter2\nx', netrc=None)
        for password in ('hunter2\nx', b'hunter2'):
            self.set(password=password)
            caught = raised(lambda: self.read(target))
            self.assertIsInstance(caught, ZCMLError)
            self.assertNotIn('hunter2', ''.join(traceback.format_exception(caught)))
            for error in chain(caught):
                self.assertNotIn('hunter2', ' '.join(variables(error)))
        self.set(password='hunter2')
        self.read(target)
        registered = zope.component.getSiteManager().registeredUtilities()
        self.assertNotIn('hunter2', ' '.join(map(repr, registered)))


class AccessorTests(ZCMLTests):
    """The product configurations of zeit.cms and of Zope."""

    DIRECTIVE = '<cds:spool name="s" product_config="zeit.cds/cds-export" />'

    def path(self):
        return str(zope.component.getUtility(ISpool, name='s').path)

    def test_zeit_cms(self):
        with cms.importable(cms.CMS):
            import zeit.cms.config

            zeit.cms.config.set('zeit.cds', 'cds-export', '/export')
            self.read(self.DIRECTIVE)
        self.assertEqual('/export', self.path())

    def test_zope(self):
        with cms.importable(cms.APPSETUP):
            from zope.app.appsetup.product import setProductConfiguration

            setProductConfiguration('zeit.cds', {'cds-export': '/export'})
            self.read(self.DIRECTIVE)
        self.assertEqual('/export', self.path())

    def test_zope_without_the_section(self):
        with cms.importable(cms.APPSETUP), self.assertRaisesRegex(ZCMLError, "has no 'cds-export'"):
            self.read(self.DIRECTIVE)

    def test_of_both_that_of_zeit_cms_counts(self):
        with cms.importable(cms.CMS, cms.APPSETUP):
            from zope.app.appsetup.product import setProductConfiguration

            import zeit.cms.config

            zeit.cms.config.set('zeit.cds', 'cds-export', '/export')
            setProductConfiguration('zeit.cds', {'cds-export': '/other'})
            self.read(self.DIRECTIVE)
        self.assertEqual('/export', self.path())

    def test_none_of_them(self):
        with self.assertRaisesRegex(ZCMLError, "has no 'cds-export'"):
            self.read(self.DIRECTIVE)
        self.read(self.DIRECTIVE.replace('/>', 'path="/default" />'))
        self.assertEqual('/default', self.path())

    def test_what_is_set_after_zcml_was_executed_comes_too_late(self):
        with cms.importable(cms.CMS):
            import zeit.cms.config

            with self.assertRaisesRegex(ZCMLError, 'Set it before ZCML is executed'):
                self.read(self.DIRECTIVE)
            zeit.cms.config.set('zeit.cds', 'cds-export', '/export')
            self.read(self.DIRECTIVE)
            zeit.cms.config.set('zeit.cds', 'cds-export', '/other')
            self.assertEqual('/export', self.path())
