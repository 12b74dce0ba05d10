"""The numbers of all spools, where Prometheus asks zeit.cms for its own."""

import logging

import zope.component

from zeit.cds.monitoring.metrics import Collector
from zeit.cms.interfaces import IPrometheusRegistry
from zeit.cms.zope import ZCMLLoaded


log = logging.getLogger(__name__)


@zope.component.adapter(ZCMLLoaded)
def register(event):
    """Register a `Collector` with the utility `IPrometheusRegistry`, if there is one."""
    registry = zope.component.queryUtility(IPrometheusRegistry)
    if registry is None:
        return
    try:
        registry.register(Collector())
    except ValueError as error:
        # ZCML is executed a second time in this process.  The first one tells the same.
        log.debug('Not registered: %s', error)
