"""Exporters and importers that know their spool and target by name, as ZCML has them.

Everything is looked up when it is used, so that whatever is registered then takes part.
"""

import logging
import os

import zope.component
import zope.interface

from zeit.cds.errors import ConfigurationError
from zeit.cds.interfaces import IExporter, IImporter, ISpool, ITarget
from zeit.cds.report import Report


log = logging.getLogger(__name__)


class _Configured:
    """`options` is used by runs that are not given any."""

    interface = opposite = None
    kind = ''
    step = 1

    def __init__(self, *, spool, target, options):
        self._spool = spool
        self._target = target
        self.options = options

    def __repr__(self):
        ends = (self._spool, self._target)[:: self.step]
        return f'<{type(self).__name__} from {ends[0]!r} to {ends[1]!r}>'

    @property
    def spool(self):
        """See the interface.  Raises `ConfigurationError` if none is registered."""
        return _component(ISpool, self._spool, kind='spool')

    @property
    def target(self):
        """See the interface.  Raises `ConfigurationError` if none is registered."""
        return _component(ITarget, self._target, kind='target')

    def resolve(self):
        """Return the one that does the work.  Raises `ConfigurationError`."""
        found = zope.component.queryMultiAdapter((self.spool, self.target), self.interface)
        if found is None:
            raise ConfigurationError(
                f'No {self.kind} is registered for {self.spool!r} and {self.target!r}',
                hint='<include package="zeit.cds" /> registers the usual one.',
            )
        return found

    def require_one_way(self):
        """Raise `ConfigurationError` if files go round: from the target to the spool, and back."""
        others = zope.component.getUtilitiesFor(self.opposite)
        for name, other in sorted(others, key=lambda pair: pair[0]):
            try:
                same = _ends(other) == _ends(self)
            except (ConfigurationError, AttributeError):
                continue  # it is told by itself, or not one of ours
            if same:
                kind = 'importer' if self.opposite is IImporter else 'exporter'
                raise ConfigurationError(
                    f'The {kind} {name!r} has the same spool and target: what a partner brings '
                    'would be sent back, again and again',
                    hint='Import into another spool.',
                )

    def run_once(self, options=None):
        """See the interface."""
        try:
            found = self.resolve()
        except ConfigurationError as error:
            log.error('Exiting with exception:', exc_info=error)
            return Report(errors=[error])
        return found.run_once(self.options if options is None else options)


@zope.interface.implementer(IExporter)
class ConfiguredExporter(_Configured):
    """An `IExporter` for the spool and the target with these names."""

    interface, opposite = IExporter, IImporter
    kind = 'exporter'


@zope.interface.implementer(IImporter)
class ConfiguredImporter(_Configured):
    """An `IImporter` for the spool and the target with these names."""

    interface, opposite = IImporter, IExporter
    kind = 'importer'
    step = -1


def _ends(exchange):
    """Return what says which spool and which directory on a server an exchange is between."""
    return os.path.realpath(exchange.spool.path), exchange.target.url


def _component(interface, name, *, kind):
    found = zope.component.queryUtility(interface, name=name)
    if found is None:
        known = sorted(repr(known) for known, _ in zope.component.getUtilitiesFor(interface))
        there_are = f'there are {", ".join(known)}' if known else 'there is none at all'
        raise ConfigurationError(f'There is no {kind} {name!r}; {there_are}')
    return found
