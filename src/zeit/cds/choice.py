"""Which exporters, importers and spools a command is about: from ZCML, or options and a URL."""

import logging
import os
from typing import NamedTuple

import zope.component

from zeit.cds import settings, usable
from zeit.cds.configured import require_one_way
from zeit.cds.errors import DONE, ConfigurationError, UsageError
from zeit.cds.exporter import Exporter
from zeit.cds.importer import Importer
from zeit.cds.interfaces import IExporter, IImporter, IReport, ISpool, ITarget
from zeit.cds.options import PASSWORD_VARIABLE
from zeit.cds.spool import Spool
from zeit.cds.target import FTPTarget
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The interface and the usual class of who makes runs.
_KINDS = {'exporter': (IExporter, Exporter), 'importer': (IImporter, Importer)}


#: What is used of a report; those of somebody else need not have the rest.
_REPORT = {*IReport.names()} - {'done', 'errors', 'limited'}


class Place(NamedTuple):
    """A spool, its name in ZCML ('' without), and (name, target) of who exports or imports it.

    `exports` and `imports` say whether there is one who does; without ZCML neither is known.
    """

    name: str
    spool: object
    targets: list
    exports: bool = False
    imports: bool = False


class Door(NamedTuple):
    """A target, and the spools that are known to be exported there, or filled from there.

    `name` has the chosen exporters and importers of ZCML, '' without.
    """

    target: object
    spools: list
    name: str = ''


def exporters(*, zcml, names, spool, **target):
    """Return the chosen exporters as a list of (name, `IExporter`).

    `zcml` and `spool` are paths, one of them None; `names` is what was named: exporters, or one
    URL.  `target` has further options of a target.  Raises `UsageError`, `ConfigurationError`.
    """
    return _exchanges('exporter', 'deliver', zcml, names, spool, target)


def importers(*, zcml, names, spool, **target):
    """Return the chosen importers as a list of (name, `IImporter`); see `exporters`."""
    return _exchanges('importer', 'import', zcml, names, spool, target)


def _exchanges(kind, what, zcml, names, spool, target):
    interface, factory = _KINDS[kind]
    _refuse_passwords(names)
    if zcml is not None:
        _only_zcml(spool, target)
        known = _registered(zcml, interface)
        chosen = [(name, known[name]) for name in _chosen(names, known, zcml, kind=kind)]
        _require_interface(interface, chosen)
        return chosen
    if spool is None:
        raise UsageError(f'Nothing to {what}: give --zcml FILE, or --spool DIR and a URL.')
    if len(names) != 1:
        raise UsageError(
            'With --spool exactly one URL is needed', hint='Write ftp://user@host:port/directory'
        )
    return [('', factory(Spool(spool), _target(names[0], **target)))]


def watched(*, zcml, names, spool, **target):
    """Return what runs again and again: (name, `IExporter`) and (name, `IImporter`), two lists.

    It is what has one of the names; without names everything.  With `spool` it is one exporter.
    Arguments and errors are those of `exporters`.
    """
    if zcml is None:
        return exporters(zcml=zcml, names=names, spool=spool, **target), []
    _refuse_passwords(names)
    _only_zcml(spool, target)
    known = _registered(zcml, IExporter), _registered(None, IImporter)
    everything = [name for each in known for name in each]
    if not everything:
        raise UsageError(
            f'{printable(zcml)} has no exporters or importers', hint='Add a cds:exporter.'
        )
    if unknown := [name for name in names if name not in everything]:
        raise _unknown('exporter or importer', unknown[0], everything, zcml)
    chosen = [
        [(name, each[name]) for name in dict.fromkeys(names or each) if name in each]
        for each in known
    ]
    for interface, each in zip((IExporter, IImporter), chosen, strict=True):
        _require_interface(interface, each)
    return tuple(chosen)


def require_usable(exchange):
    """Look at spool and target of an exporter or importer, without the network; return 0.

    Raises `ConfigurationError`; see `zeit.cds.usable`.
    """
    usable.require_usable(exchange.spool, exchange.target)
    require_one_way(exchange)
    return DONE


def run_once(exchange, options):
    """Let an exporter or importer make a run; return its report.

    Raises `ConfigurationError` if one that somebody else made returns none.
    """
    report = exchange.run_once(options)
    if not all(hasattr(report, name) for name in _REPORT):
        raise ConfigurationError(
            f'{type(exchange).__name__}.run_once has returned no report: {printable(repr(report))}',
            hint='IReport says what is expected.',
        )
    return report


def places(*, zcml, names, spool, remote, **target):
    """Return the chosen `Place`s.

    The arguments are those of `exporters`; `remote` says that a target is needed for each.
    """
    _refuse_passwords(names)
    if zcml is not None:
        _only_zcml(spool, target)
        return _places(zcml, names)
    if spool is None:
        raise UsageError('No spool was named: give --zcml FILE or --spool DIR.')
    if len(names) > 1 or (remote and not names):
        raise UsageError(
            '--spool goes with one URL, which --remote needs',
            hint='Write ftp://user@host:port/directory',
        )
    targets = [('', _target(url, **target)) for url in names]
    return [Place('', Spool(spool), targets)]


def doors(*, zcml, names, spool, **target):
    """Return the `Door`s whose locks a person wants to see; the arguments are those of `places`.

    Here the spool may be missing: it only helps to tell whose a lock is.
    """
    _refuse_passwords(names)
    if zcml is not None:
        _only_zcml(spool, target)
        known = _all_registered(zcml)
        known_names = [*dict.fromkeys(name for name, _ in known)]
        chosen = _chosen(names, known_names, zcml, kind='exporter or importer')
        return [
            Door(
                target,
                [e.spool for _, e in known if e.target.url == target.url],
                ', '.join(n for n, e in known if n in chosen and e.target.url == target.url),
            )
            for target in {e.target.url: e.target for n, e in known if n in chosen}.values()
        ]
    if len(names) != 1:
        raise UsageError('No server was named: give --zcml FILE and an exporter, or a URL.')
    target = _target(names[0], **target)
    return [Door(target, [] if spool is None else [Spool(spool)])]


def _places(zcml, names):
    spools, known = _registered(zcml, ISpool), _all_registered(None)
    found = [
        _place(name, spool, [(n, e) for n, e in known if e.spool is spool])
        for name, spool in spools.items()
    ]
    # An exporter made by somebody else may have a spool that is registered nowhere.
    own = (e for e in known if all(e[1].spool is not s for s in spools.values()))
    found += [_place(name, exchange.spool, [(name, exchange)]) for name, exchange in own]
    if not names:
        return found
    everything = [*spools, *(name for name, _ in known)]
    if unknown := [name for name in names if name not in everything]:
        raise _unknown('spool or exporter', unknown[0], everything, zcml)
    return [
        place
        for place in found
        if place.name in names or any(name in names for name, _ in place.targets)
    ]


def _place(name, spool, exchanges):
    """Return the `Place` of a spool, of which these (name, exporter or importer) are known."""
    targets = [(each, exchange.target) for each, exchange in exchanges]
    importing = [IImporter.providedBy(exchange) for _, exchange in exchanges]
    exports = not all(importing)
    return Place(name, spool, targets, exports=exports, imports=any(importing))


def _all_registered(zcml):
    """Return the exporters and the importers, a list of (name, each of them)."""
    found = [*_registered(zcml, IExporter).items(), *_registered(None, IImporter).items()]
    return sorted(filter(_has_ends, found), key=lambda pair: pair[0])


def _has_ends(pair):
    """Tell whether somebody else's, a pair of name and itself, has spool and target at all."""
    name, exchange = pair
    try:
        return bool(exchange.spool and exchange.target.url)
    except Exception as error:  # noqa: BLE001 it is no reason not to tell of the others
        what = f'{type(exchange).__name__} has no spool or target: {type(error).__name__}: {error}'
        log.error('%s: %s', printable(name), printable(what, limit=500))
        return False


def _registered(zcml, interface):
    if zcml is not None:
        from zeit.cds.zcml import load

        load(zcml)
    return dict(sorted(zope.component.getUtilitiesFor(interface), key=lambda pair: pair[0]))


def _require_interface(interface, chosen):
    """Raise `ConfigurationError` if one that somebody else has made lacks what is used of it."""
    for _, exchange in chosen:
        _verify(interface, exchange)
        _verify(ISpool, exchange.spool)
        _verify(ITarget, exchange.target)


def _verify(interface, part):
    if not type(part).__module__.startswith('zeit.cds.'):
        from zope.interface.exceptions import Invalid
        from zope.interface.verify import verifyObject

        try:
            verifyObject(interface, part)
        except Invalid as error:
            text = f'{_registration(part)}{error}'
            raise ConfigurationError(printable(text, limit=500)) from None


def _registration(component):
    known = zope.component.getGlobalSiteManager().registeredUtilities()
    infos = [each.info for each in known if each.component is component]
    return ''.join(f'{i.file}, line {i.line}: ' for i in infos if hasattr(i, 'file'))


def _chosen(names, known, zcml, *, kind='exporter'):
    if not known:
        raise UsageError(f'There is no {kind} in {printable(zcml)}')
    if not names and len(known) == 1:
        return list(known)
    if not names:
        raise UsageError(
            f'{printable(zcml)} has {len(known)} {kind.replace(" or ", "s or ")}s, so name one',
            hint=_known(known),
        )
    for name in names:
        if name not in known:
            raise _unknown(kind, name, known, zcml)
    return list(dict.fromkeys(names))


def _unknown(kind, name, known, zcml):
    return UsageError(
        f'There is no {kind} {printable(name)!r} in {printable(zcml)}', hint=_known(known)
    )


def _known(names):
    return f'Known: {", ".join(printable(name) for name in dict.fromkeys(names)) or "none"}.'


def _only_zcml(spool, target):
    given = ['spool'] * (spool is not None) + list(target)
    if given:
        option = given[0].replace('_', '-')
        raise UsageError(f'--{option} does not go with --zcml', hint='Set it in the ZCML file.')


def _refuse_passwords(names):
    """Raise `UsageError` for a URL with a password, also where no URL is expected."""
    for name in names:
        if '://' in name or (':' in name and '@' in name):
            settings.location(name)


def _target(url, *, password_file=None, encoding='utf-8', tls=None, **options):
    place = settings.location(url)
    if place.tls and tls not in (None, place.tls):
        raise UsageError(
            f'The URL asks for {place.tls} TLS, and --tls for {tls}',
            hint='ftpes:// is explicit, ftps:// implicit; with ftp:// the option says it.',
        )
    try:
        target = FTPTarget.from_options(
            host=place.host,
            port=place.port,
            user=place.user,
            directory=place.directory,
            password=_password(place, password_file),
            encoding=settings.encoding(encoding),
            tls=place.tls or tls or 'no',
            **options,
        )
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None
    target.warn_of_clear_text()
    return target


def _password(place, password_file):
    if password_file is not None:
        return settings.SecretFile(password_file)
    if PASSWORD_VARIABLE in os.environ:
        return settings.SecretVariable(PASSWORD_VARIABLE)
    if place.user == 'anonymous':
        return settings.Secret('anonymous@')  # RFC 1635: by custom an address
    hint = f'Name a password file (--password-file), or set {PASSWORD_VARIABLE}.'
    return settings.SecretNetrc(place.host, place.user, hint=hint)
