"""Exporters and importers that know their spool and target by name, as ZCML has them.

Everything is looked up when it is used, so that whatever is registered then takes part.
"""

import contextlib
import ipaddress
import logging
import os
import posixpath
import urllib.parse

import zope.component
import zope.interface

from zeit.cds.errors import ConfigurationError
from zeit.cds.interfaces import IExporter, IImporter, ISpool, ITarget
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.sharing import Terms, is_shared
from zeit.cds.spool.spool import Spool
from zeit.cds.values.report import Report


log = logging.getLogger(__name__)

#: The usual ports, with and without implicit TLS: two doors of one server.
_PORTS = (None, 21, 990)


class _Configured:
    """`options` is used by runs that are not given any."""

    interface = None
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
    """An `IExporter` for the spool and the target with these names.

    `name` is its own.  Where several have one spool, or had, or this one wants not all of it, the
    `spool` of each is an `IPartner`.
    """

    interface = IExporter
    kind = 'exporter'

    def __init__(self, *, name='', **kw):
        super().__init__(**kw)
        self.name = name
        self._partner = None

    @property
    def spool(self):
        """See the interface.  Raises `ConfigurationError` if none is registered."""
        shared = self.shared
        # What somebody else has made has its own ways.
        if not isinstance(shared, Spool):
            return shared
        terms = self.options.wanted, self.options.give_up_after
        alone = len(self.beside()) == 1 and terms == ('*', None)
        if alone and not is_shared(shared.path):
            return shared
        if self._partner is None or self._partner.shared is not shared:
            self._partner = Partner(shared, self.terms, everybody=self._everybody)
        return self._partner

    @property
    def shared(self):
        """The spool that is named, whoever else has it."""
        return super().spool

    @property
    def terms(self):
        """What it wants of the files of the spool."""
        options = self.options
        return Terms(self.name, self.target.url, options.wanted, options.give_up_after)

    def beside(self):
        """Return the exporters of the same spool, this one among them."""
        found = (each for _, each in zope.component.getUtilitiesFor(IExporter))
        same = [each for each in found if _is_ours(each) and each._spool == self._spool]
        return same if any(each is self for each in same) else [self]

    def _everybody(self):
        return [each.terms for each in self.beside()]


@zope.interface.implementer(IImporter)
class ConfiguredImporter(_Configured):
    """An `IImporter` for the spool and the target with these names.

    `two_way` says that files may also be delivered, out of another spool, to where it takes them.
    """

    interface = IImporter
    kind = 'importer'
    step = -1

    def __init__(self, *, two_way=False, **kw):
        super().__init__(**kw)
        self.two_way = two_way


def _is_ours(exporter):
    return isinstance(exporter, ConfiguredExporter)


def require_one_way(exchange, *, warn=False):
    """Raise `ConfigurationError` if files would go round between a spool and a directory.

    `exchange` is an exporter or importer, which is compared with all that are registered for the
    other way.  One that is not ours has perhaps no spool or target to be compared.  Two users may
    have two directories of one name: `warn` of them.
    """
    imports = IImporter.providedBy(exchange)
    opposite, kind = (IExporter, 'exporter') if imports else (IImporter, 'importer')
    others = zope.component.getUtilitiesFor(opposite)
    for name, other in sorted(others, key=lambda pair: pair[0]):
        try:
            there, their = _directory(other.target.url)
            here, our = _directory(exchange.target.url)
            same_spool = _spool(other) == _spool(exchange)
        except Exception as error:  # noqa: BLE001 somebody else's may raise anything
            log.debug('The %s %r cannot be compared.', kind, name, exc_info=error)
            continue  # it is told by itself
        allowed = getattr(exchange if imports else other, 'two_way', False)
        if there != here or (allowed and (our != their or not same_spool)):
            continue
        if our != their:
            # Once for both of them.
            if warn and (imports or not isinstance(other, ConfiguredImporter)):
                log.warning(
                    'The %s %r has the same directory on the server as another user: %r, not %r. '
                    'If both users see the same files there, what is delivered is fetched, and '
                    'deleted before the partner has it: see whether one of them finds what the '
                    'other has put. If not, two_way="yes" of the importer ends this warning.',
                    *(kind, name, their, our),
                )
        elif same_spool:
            raise ConfigurationError(
                f'The {kind} {name!r} has the same spool and target: what a partner brings '
                'would be sent back, again and again',
                hint='Import into another spool.',
            )
        else:
            raise ConfigurationError(
                f'The {kind} {name!r} has the same directory on the server: what is delivered '
                'there would be fetched, and deleted before the partner has it',
                hint='Use a directory of its own for each way; two_way="yes" of the importer '
                'allows this one.',
            )


def _spool(exchange):
    return os.path.realpath(exchange.spool.path)


def _directory(url):
    """Return what tells the directory of a target from others, however its `url` is written.

    This is a pair, the user apart: another one may have another root.  Names are not resolved: that
    would take the network.
    """
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname:
        return url, ''
    port = None if parts.port in _PORTS else parts.port
    path = posixpath.normpath('/' + urllib.parse.unquote(parts.path).strip('/'))
    return (_host(parts.hostname), port, path), urllib.parse.unquote(parts.username or '')


def _host(name):
    name = name.rstrip('.')
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        with contextlib.suppress(UnicodeError):
            name = name.encode('idna').decode('ascii')
        return name
    address = getattr(address, 'ipv4_mapped', None) or address
    return 'localhost' if address.is_loopback else address.compressed


def _component(interface, name, *, kind):
    found = zope.component.queryUtility(interface, name=name)
    if found is None:
        known = sorted(repr(known) for known, _ in zope.component.getUtilitiesFor(interface))
        there_are = f'there are {", ".join(known)}' if known else 'none is defined'
        raise ConfigurationError(f'There is no {kind} {name!r}; {there_are}')
    return found
