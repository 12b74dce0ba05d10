"""Which exporters, importers and spools a command is about: from ZCML, or options and a URL."""

import logging
import os
from typing import NamedTuple

import zope.component

from zeit.cds import credentials, urls, usable
from zeit.cds.cli import configuration
from zeit.cds.cli.options import PASSWORD_VARIABLE
from zeit.cds.errors import DONE, ConfigurationError, UsageError
from zeit.cds.interfaces import IExporter, IImporter, IPartner, ISpool, ITarget
from zeit.cds.spool import sharing
from zeit.cds.spool.spool import Spool, translated
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class SelectedSpool(NamedTuple):
    """A spool, its name in ZCML ('' without), and (name, target) of who exports or imports it.

    `exports` and `imports` say whether there is one who does; without ZCML neither is known.
    """

    name: str
    spool: object
    targets: list
    exports: bool = False
    imports: bool = False


class SelectedServer(NamedTuple):
    """A target, and the spools that are known to be exported there, or filled from there.

    `name` has the chosen exporters and importers of ZCML, '' without.
    """

    target: object
    spools: list
    name: str = ''


def exchanges(factory, *, zcml, names, spool, everything=False, **target):
    """Return the chosen exporters or importers as a list of (name, each of them).

    `factory` is the class of those that are ours.  `zcml` and `spool` are paths, one of them None;
    `names` is what was named: exporters, or one URL; or `everything` in the ZCML.  `target` has
    further options of a target.  Raises `UsageError`, `ConfigurationError`.
    """
    interface, what = IExporter, 'deliver'
    if IImporter.implementedBy(factory):
        interface, what = IImporter, 'import'
    kind = factory.__name__.lower()
    _refuse_passwords(names)
    if everything and (names or spool is not None):
        other = 'names' if spool is None else '--spool'
        raise UsageError(f'--all cannot be combined with {other}', hint='Choose one.')
    if zcml is not None:
        _only_zcml(zcml, spool, target)
        known = _registered(zcml, interface)
        named = known if everything and known else names
        return [(name, known[name]) for name in _chosen(named, known, zcml, kind=kind)]
    if spool is None:
        raise UsageError(
            f'Nothing to {what}: give --zcml FILE, or --spool DIR and a URL',
            hint=configuration.NONE,
        )
    if len(names) != 1:
        raise UsageError(
            '--spool needs exactly one URL', hint='Write ftp://user@host:port/directory'
        )
    return [('', factory(Spool(spool), _target(names[0], **target)))]


def watched(*, zcml, names, spool, **target):
    """Return what runs again and again: (name, `IExporter`) and (name, `IImporter`), two lists.

    It is what has one of the names; without names everything.  With `spool` it is one exporter.
    Arguments and errors are those of `exchanges`.
    """
    if zcml is None:
        from zeit.cds.run.exporter import Exporter

        return exchanges(Exporter, zcml=zcml, names=names, spool=spool, **target), []
    _refuse_passwords(names)
    _only_zcml(zcml, spool, target)
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
    for interface, several in zip((IExporter, IImporter), chosen, strict=True):
        for _, exchange in several:
            require_interface(exchange, interface)
    return tuple(chosen)


class Checked(NamedTuple):
    """What is to be checked: a spool, and a target, or None; `imports` says which way files go.

    `exchange` is the exporter or importer of ZCML that they are of.
    """

    name: str
    spool: object
    target: object
    imports: bool = False
    exchange: object = None


def checked(*, zcml, names, spool, remote, **target):
    """Return what is to be checked, a list of `Checked`; the arguments are those of `spools`."""
    if zcml is not None:
        exporters, importers = watched(zcml=zcml, names=names, spool=spool, **target)
        return [
            Checked(name, each.spool, each.target, imports, each)
            for several, imports in ((exporters, False), (importers, True))
            for name, each in several
        ]
    found = spools(zcml=zcml, names=names, spool=spool, remote=remote, **target)[0]
    return [Checked('', found.spool, found.targets[0][1] if names else None)]


def require_usable(exchange):
    """Look at spool and target of an exporter or importer, without the network; return 0.

    Raises `ConfigurationError`; see `zeit.cds.credentials.require_usable`.
    """
    from zeit.cds.zcml.configured import require_one_way

    usable.require_usable(exchange.spool, exchange.target)
    require_one_way(exchange)
    return DONE


def spools(*, zcml, names, spool, remote, **target):
    """Return the chosen spools, a list of `SelectedSpool`.

    The arguments are those of `exchanges`; `remote` says that a target is needed for each.
    """
    _refuse_passwords(names)
    if zcml is not None:
        _only_zcml(zcml, spool, target)
        return _spools(zcml, names)
    if spool is None:
        raise UsageError('No spool given: give --zcml FILE or --spool DIR', hint=configuration.NONE)
    if len(names) > 1 or (remote and not names):
        raise UsageError(
            '--spool goes with one URL' if names else '--remote with --spool needs a URL',
            hint='Write ftp://user@host:port/directory',
        )
    targets = [('', _target(url, **target)) for url in names]
    return [SelectedSpool('', Spool(spool), targets)] if names else _at(spool)


def named(zcml, names, spool):
    """Return the spools with these names, without names all, or what is at the path `spool`.

    That is a list of `SelectedSpool`.  Raises `UsageError`, `ConfigurationError`.
    """
    if spool is not None and names:
        raise UsageError('Names of spools need --zcml', hint='Give --spool alone.')
    return spools(zcml=zcml, names=names, spool=spool, remote=False)


def _at(path):
    """Return the `SelectedSpool`s at a `path`: with its partners, or one of them."""
    parent = os.path.dirname(os.path.abspath(path))
    if parent.endswith(os.sep + sharing.PARTNERS):
        whole = os.path.dirname(os.path.dirname(parent))
        name = os.path.basename(os.path.abspath(path))
        found = [each for each in _partners(whole) if each.spool.path.name == name]
        if found:
            return found
    return [SelectedSpool('', Spool(path), []), *_partners(path)]


def _partners(path):
    if not sharing.is_shared(path):
        return []
    from zeit.cds.spool.partner import Partner

    with translated(path):
        known = sharing.known(path)
    return [SelectedSpool(name, Partner(Spool(path), each), []) for name, each in known.items()]


def registered():
    """Return the spools that the application has registered, a list of `SelectedSpool`."""
    return _spools(None, ())


def servers(*, zcml, names, spool, **target):
    """Return the chosen servers, a list of `SelectedServer`; the arguments are those of `spools`.

    Here the spool may be missing: it only helps to tell whose a lock is.
    """
    _refuse_passwords(names)
    if zcml is not None:
        _only_zcml(zcml, spool, target)
        known = _all_registered(zcml)
        known_names = [*dict.fromkeys(name for name, _ in known)]
        chosen = _chosen(names, known_names, zcml, kind='exporter or importer')
        return [
            SelectedServer(
                target,
                [e.spool for _, e in known if e.target.url == target.url],
                ', '.join(n for n, e in known if n in chosen and e.target.url == target.url),
            )
            for target in {e.target.url: e.target for n, e in known if n in chosen}.values()
        ]
    if len(names) != 1:
        raise UsageError(
            'No server given: give --zcml FILE and an exporter, or a URL', hint=configuration.NONE
        )
    target = _target(names[0], **target)
    return [SelectedServer(target, [] if spool is None else [Spool(spool)])]


def _spools(zcml, names):
    registered, known = _registered(zcml, ISpool), _all_registered(None)
    found = [
        _selected(name, spool, [(n, e) for n, e in known if e.spool is spool])
        for name, spool in registered.items()
    ]
    # An exporter made by somebody else may have a spool that is registered nowhere.
    own = (e for e in known if all(e[1].spool is not s for s in registered.values()))
    found += [_selected(name, exchange.spool, [(name, exchange)]) for name, exchange in own]
    found += _without_exporter(found)
    if not names:
        return found
    everything = [*dict.fromkeys([*registered, *(n for n, _ in known), *(s.name for s in found)])]
    if unknown := [name for name in names if name not in everything]:
        raise _unknown('spool or exporter', unknown[0], everything, zcml)
    return [
        each
        for each in found
        if each.name in names or any(name in names for name, _ in each.targets)
    ]


def _without_exporter(known):
    """Return the partners of spools for whom files wait, and who have no exporter any more."""
    there = {str(each.spool.path) for each in known}
    shared = {str(each.spool.shared.path) for each in known if IPartner.providedBy(each.spool)}
    shared |= {path for path in there if sharing.is_shared(path)}
    found = [each for path in sorted(shared) for each in _partners(path)]
    return [each for each in found if str(each.spool.path) not in there]


def _selected(name, spool, exchanges):
    """Return the `SelectedSpool` of a spool with these (name, exporter or importer)."""
    targets = [(each, exchange.target) for each, exchange in exchanges]
    importing = [IImporter.providedBy(exchange) for _, exchange in exchanges]
    exports = not all(importing)
    return SelectedSpool(name, spool, targets, exports=exports, imports=any(importing))


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
        from zeit.cds.zcml.handlers import load

        try:
            load(zcml)
        except ConfigurationError as error:
            error.hint or error.advise(configuration.origin(zcml))
            raise
    return dict(sorted(zope.component.getUtilitiesFor(interface), key=lambda pair: pair[0]))


def require_interface(exchange, interface):
    """Raise `ConfigurationError` if `exchange`, or an end of it, lacks what is used of it.

    That is one that somebody else has made, as an `interface`: `IExporter` or `IImporter`.
    """
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
            f'{printable(zcml)} has {len(known)} {kind.replace(" or ", "s or ")}s; name one'
            f'{"" if " or " in kind else ", or pass --all"}',
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


def _only_zcml(zcml, spool, target):
    given = ['spool'] * (spool is not None) + list(target)
    if given:
        option = given[0].replace('_', '-')
        raise UsageError(
            f'--{option} cannot be combined with --zcml',
            hint=f'Set it in {printable(zcml)}, or give --spool.',
        )


def _refuse_passwords(names):
    """Raise `UsageError` for a URL with a password, also where no URL is expected."""
    for name in names:
        if '://' in name or (':' in name and '@' in name):
            urls.location(name)


def _target(url, *, password_file=None, **options):
    from zeit.cds.sftp.connection_options import SFTP_ONLY

    location = urls.location(url)
    if location.sftp:
        return _sftp_target(location, password_file, **options)
    _refuse_options(options, SFTP_ONLY | {'passphrase_file'}, 'is for SFTP, but the URL is not')
    return _ftp_target(location, password_file, **options)


def _refuse_options(given, unknown, why):
    for name in given:
        if name in unknown:
            raise UsageError(f'--{name.replace("_", "-")} {why}')


def _sftp_target(location, password_file, *, passphrase_file=None, **options):
    from zeit.cds.sftp.connection_options import FTP_ONLY
    from zeit.cds.sftp.target import SFTPTarget
    from zeit.cds.target.target import TLS_OPTIONS

    _refuse_options(options, FTP_ONLY | {*TLS_OPTIONS}, 'is for FTP, but the URL is sftp://')
    secrets = {}
    if passphrase_file is not None:
        secrets['passphrase'] = credentials.SecretFile(passphrase_file)
    keys = options.get('ssh_key') or options.get('ssh_agent')
    if password_file is not None or PASSWORD_VARIABLE in os.environ or not keys:
        secrets['password'] = _password(location, password_file)
    if location.port is not None:
        options['port'] = location.port
    try:
        return SFTPTarget.from_options(
            host=location.host,
            user=location.user,
            directory=location.directory,
            **secrets,
            **options,
        )
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None


def _ftp_target(location, password_file, *, tls=None, **options):
    from zeit.cds.target.target import TLS_OPTIONS, FTPTarget

    if location.tls and tls not in (None, location.tls):
        raise UsageError(
            f'The URL asks for {location.tls} TLS, but --tls for {tls}',
            hint='ftpes:// is explicit, ftps:// is implicit; with ftp:// --tls decides.',
        )
    tls = location.tls or tls or 'no'
    useless = [name for name in options if name in TLS_OPTIONS]
    if tls == 'no' and useless:
        raise UsageError(
            f'--{useless[0].replace("_", "-")} needs TLS, but the URL is ftp://',
            hint='Use ftpes://, or --tls explicit.',
        )
    try:
        target = FTPTarget.from_options(
            host=location.host,
            port=location.port,
            user=location.user,
            directory=location.directory,
            password=_password(location, password_file),
            tls=tls,
            **options,
        )
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None
    target.warn_of_clear_text()
    return target


def _password(location, password_file):
    if password_file is not None:
        return credentials.SecretFile(password_file)
    if PASSWORD_VARIABLE in os.environ:
        return credentials.SecretVariable(PASSWORD_VARIABLE)
    if location.user == 'anonymous':
        return credentials.Secret('anonymous@')  # RFC 1635: by custom an address
    hint = f'Give a password file (--password-file), or set {PASSWORD_VARIABLE}.'
    return credentials.SecretNetrc(location.host, location.user, hint=hint)
