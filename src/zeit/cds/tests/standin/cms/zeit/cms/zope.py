"""The start of the application: settings first, then ZCML."""

import zope.component
import zope.event
from zope.configuration import xmlconfig

import zeit.cms.config


class ZCMLLoaded:
    """An event: all ZCML is executed."""


def configure_product_config(settings):
    """Take the product configuration out of settings, which are texts: `vivi_PACKAGE_KEY`."""
    for name, value in settings.items():
        prefix, _, rest = name.partition('_')
        if prefix == 'vivi':
            package, _, key = rest.partition('_')
            zeit.cms.config.set(package, key, value)


def load_zcml(settings):
    """Execute the ZCML file `site_zcml`."""
    xmlconfig.file(settings['site_zcml'])
    zope.event.notify(ZCMLLoaded())
