"""ZCML, namespace http://namespaces.zeit.de/cds: spools, targets, exporters and importers by name.

Reading ZCML only registers: nothing connects, no password is looked up, no thread is started.

A directive's text may contain a password, and zope.configuration quotes the text in the errors of
actions and conflicts.  So the actions made here know their place, file and line, without the text.
"""

import functools
import logging
import os
import re
import traceback
from xml.sax import SAXParseException

import zope.component

# Without it a `<subscriber>` is registered and never called: zope.component by itself does not
# connect its registry with zope.event.
import zope.component.event  # noqa: F401
import zope.interface
from zope.component.zcml import utility
from zope.configuration import xmlconfig
from zope.configuration.config import (
    ConfigurationConflictError,
    ConfigurationMachine,
    GroupingContextDecorator,
)
from zope.configuration.exceptions import ConfigurationError as ZCMLError

import zeit.cds
from zeit.cds.credentials import SecretFile, SecretNetrc, SecretVariable
from zeit.cds.errors import ConfigurationError
from zeit.cds.interfaces import IDeliverable, IExporter, IImporter, IRetraction, ISpool, ITarget
from zeit.cds.sftp.target import SFTPTarget
from zeit.cds.spool.spool import Spool
from zeit.cds.system.files import require_regular
from zeit.cds.system.signals import ENDING
from zeit.cds.target.target import FTPTarget
from zeit.cds.text import printable
from zeit.cds.values.run_options import ImportOptions, Options
from zeit.cds.zcml.configured import ConfiguredExporter, ConfiguredImporter, require_one_way
from zeit.cds.zcml.product import Late, required
from zeit.cds.zcml.schemas import (
    PASSWORDS,
    IExporterDirective,
    IImporterDirective,
    ISFTPTargetDirective,
    ISpoolDirective,
    ITargetDirective,
)


log = logging.getLogger(__name__)

#: `order` of the actions that check references: after everything that registers something.
LAST = 1_000_000

#: The exit codes of signals.
_SIGNALS = [128 + number for number in ENDING]

#: How zope.configuration names the place of a directive.
_PLACE = re.compile(r'\s*File "(?P<file>.*)", line (?P<line>\d+)\.')

#: How a field says no: the class in front of its message, and a message that says nothing new.
_INVALID = re.compile(r'zope\.schema\.[\w.]+: ')
_MISSING = re.compile(r'zope\.schema\.[\w.]+\.RequiredMissing: ')


class _Place(xmlconfig.ParserInfo):
    """File and line of a directive, without its text."""

    __str__ = xmlconfig.ParserInfo.__repr__


def _without_text(context):
    """Return the context of a directive with a place that does not quote it."""
    info = context.info
    if not isinstance(info, xmlconfig.ParserInfo):
        return context
    place = _Place(info.file, info.line, info.column)
    place.end(info.eline, info.ecolumn)
    return GroupingContextDecorator(context, info=place)


def spool(_context, **given):
    """Register a spool; see `zeit.cds.zcml.schemas`.  Raises ZCML's `ConfigurationError`."""
    checks = _check_path, _check_deliverables
    _register(_context, ISpool, Spool, *checks, schema=ISpoolDirective, **given)


def _check_path(name, made):
    """Refuse a spool in a directory that is the one of another name, too.

    Nobody would be woken for what is put by the other name, and two exporters would share it.
    """
    for other, spool in _others(ISpool, name, made()):
        path = printable(os.path.realpath(spool.path))
        if path == printable(os.path.realpath(made().path)):
            raise ZCMLError(
                f'Spool {name!r}: {path} is also the directory of spool {other!r}.'
                ' Give each spool a directory of its own'
            )


def _others(interface, name, component):
    """Return (name, component) of those beside this one; none if this one was overridden."""
    known = dict(zope.component.getUtilitiesFor(interface))
    return sorted(known.items()) if known.pop(name, None) is component is not None else []


#: What an integrator adapts content to, by the name of a spool.
_OURS = IDeliverable, IRetraction


def _check_deliverables(name, made):
    """Find adapters for content that have the name of no spool: they work in vain."""
    known = {name for name, _ in zope.component.getUtilitiesFor(ISpool)}
    for adapter in zope.component.getGlobalSiteManager().registeredAdapters():
        offered = [each for each in _OURS if adapter.provided.isOrExtends(each)]
        if offered and adapter.name not in known:
            factory = getattr(adapter.factory, '__name__', repr(adapter.factory))
            place = getattr(adapter.info, 'file', '')
            place = f' ({place}, line {adapter.info.line})' if place else ''
            what = f'{factory} adapts to {offered[0].__name__}'
            raise ZCMLError(
                f'{what} for the spool {adapter.name!r}{place}, which does not exist; known: '
                f'{", ".join(sorted(known))}. An adapter must have the name of a spool'
            )


def target(_context, **given):
    """Register a target; see `zeit.cds.zcml.schemas`.  Raises ZCML's `ConfigurationError`."""
    _register(_context, ITarget, _target, _warn, schema=ITargetDirective, **given)


def sftp_target(_context, **given):
    """Register a target over SFTP; see `zeit.cds.zcml.schemas`."""
    _register(_context, ITarget, _sftp_target, schema=ISFTPTargetDirective, **given)


def _sftp_target(*, passphrase_file=None, **options):
    if passphrase_file is not None:
        options['passphrase'] = SecretFile(passphrase_file)
    return _target(SFTPTarget, **options)


def _target(kind=FTPTarget, **options):
    _take_password(options)
    try:
        return kind.from_options(**options)
    except ConfigurationError as error:
        raise ZCMLError(error.advice) from None


def _register(_context, interface, make, *checks, schema, name, product_config=None, **given):
    """Register what `make` makes of the attributes `given`.

    What needs the product configuration is made later, when the ZCML is executed.  When all of that
    is, each of `checks` is called with the name, and a function that returns what was made.
    """
    context = _without_text(_context)
    if product_config is None:
        component = make(**required(schema, given))
        utility(context, provides=interface, component=component, name=name)
    else:
        late = Late(make, schema=schema, place=product_config, given=given)
        utility(context, provides=interface, factory=late, name=name)

    def made():
        return late.component if product_config else component

    for check in checks:
        context.action(discriminator=None, callable=check, args=(name, made), order=LAST)


def _take_password(options):
    """Put a `Secret` into the dictionary `options` in place of where the password is."""
    given = [(each.name, options.pop(each.name)) for each in PASSWORDS if each.name in options]
    if len(given) > 1:
        both = ' and '.join(attribute for attribute, value in given)
        raise ZCMLError(f'Give the password in one place, not in {both}')
    if given and 'user' not in options:
        raise ZCMLError('Missing parameter \'user\'; use user="anonymous" if there is no account')
    for attribute, value in given:
        where = {'host': options['host'], 'user': options['user']}
        options['password'] = _secret(attribute, value, **where)


def _warn(name, made):
    component = made()
    # One that was overridden sends no password.
    if zope.component.queryUtility(ITarget, name=name) is component:
        component.warn_of_clear_text()


def _secret(attribute, value, *, host, user):
    if attribute == 'netrc':
        return SecretNetrc(host, user, path=value)
    kinds = {'password_file': SecretFile, 'password_env': SecretVariable}
    return kinds[attribute](value) if attribute in kinds else value


def exporter(_context, *, name, **given):
    """Register an exporter, and check later what it refers to; see `zeit.cds.zcml.schemas`."""
    make = functools.partial(_exporter, name=name)
    checks = functools.partial(_check, 'Exporter', IExporter), _check_alone
    _register(_context, IExporter, make, *checks, schema=IExporterDirective, name=name, **given)


def _exporter(*, name, spool, target, **options):
    options = Options(**options)
    return ConfiguredExporter(name=name, spool=spool, target=target, options=options)


def _check_alone(name, made):
    """Refuse two exporters of one spool to one target, or of one that cannot have several."""
    others = [
        (other, each)
        for other, each in _others(IExporter, name, made())
        # What somebody else has made may have its reasons.
        if each in made().beside()
    ]
    if others:
        _refuse_importers(name, made())
    for other, each in others:
        if not isinstance(made().shared, Spool):
            raise ZCMLError(
                f'Exporter {name!r}: its spool is also that of exporter {other!r}; each file would'
                ' go to only one of the two targets. Give each exporter a spool of its own'
            )
        if each.target.url == made().target.url:
            raise ZCMLError(
                f'Exporter {name!r}: spool and target are also those of exporter {other!r}; the'
                ' partner would get each file twice. Remove one of the two'
            )


def _refuse_importers(name, exporter):
    """Refuse an importer into a spool of several partners: its run would keep them all."""
    for other, each in sorted(zope.component.getUtilitiesFor(IImporter), key=lambda pair: pair[0]):
        if isinstance(each, ConfiguredImporter) and each.spool is exporter.shared:
            raise ZCMLError(
                f'Exporter {name!r}: its spool has several exporters, and is filled by importer'
                f' {other!r}. Give the importer a spool of its own'
            )


def importer(_context, **given):
    """Register an importer, and check later what it refers to; see `zeit.cds.zcml.schemas`."""
    check = functools.partial(_check, 'Importer', IImporter)
    _register(_context, IImporter, _importer, check, schema=IImporterDirective, **given)


def _importer(*, spool, target, two_way=False, **options):
    return ConfiguredImporter(
        spool=spool, target=target, two_way=two_way, options=ImportOptions(**options)
    )


def _check(kind, interface, name, made):
    component = made()
    # One that was overridden is not used, whatever it refers to.
    if zope.component.queryUtility(interface, name=name) is component:
        try:
            component.resolve()
            require_one_way(component, warn=True)
        except ConfigurationError as error:
            raise ZCMLError(f'{kind} {name!r}: {error.advice}') from None


class _Files(set):
    """The files that ZCML is read from; zope.configuration adds each of them before it opens it."""

    def add(self, path):
        """Refuse what is no regular file: nobody waits for the other end of a FIFO."""
        opened = path if os.path.exists(path) else f'{path}.in'
        try:
            require_regular(opened)
        except FileNotFoundError:
            pass  # it is about to be missed
        except OSError as error:
            raise ZCMLError(f'{opened}: {error.strerror}') from error
        super().add(path)


def load(path):
    """Read the ZCML file `path` into the global registry.

    The directives of this package and of zope.component (`<utility>`, `<adapter>`, ...) are known
    in it.  Raises `ConfigurationError` with one line that names the file and, where there is one,
    the line of what is wrong; things may be registered then, but nothing was used.
    """
    path = os.path.abspath(path)
    machine = ConfigurationMachine()
    machine._seen_files = _Files()
    xmlconfig.registerCommonDirectives(machine)
    try:
        # For a missing file, zope.configuration would silently take PATH.in, a template.
        os.stat(path)
        xmlconfig.include(machine, package=zeit.cds)
        xmlconfig.include(machine, path)
        machine.execute_actions()
    except OSError as error:
        hint = ''
        if isinstance(error, PermissionError):
            hint = 'Call the command as the user of the runs, who may read that.'
        raise ConfigurationError(f'{printable(path)}: {error.strerror}', hint=hint) from error
    except UnicodeDecodeError as error:
        # Its own text may quote the file.
        raise ConfigurationError(f'{printable(path)}: it is not a text in UTF-8') from error
    except ConfigurationConflictError as error:
        raise ConfigurationError(_conflict(error)) from error
    except ZCMLError as error:
        raise ConfigurationError(_problem(error)) from error
    except (Exception, SystemExit) as error:  # whatever is read may call anything
        if isinstance(error, SystemExit) and error.code in _SIGNALS:
            raise
        text = f'{type(error).__name__}: {error}'
        raise ConfigurationError(_in(_reached(error), [text])) from error


def _reached(error):
    """Return how far the innermost file was read when `error` was raised.

    zope.configuration does not tell it where a condition fails.
    """
    places = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        handler = frame.f_locals.get('self')
        if isinstance(handler, xmlconfig.ConfigurationHandler) and handler.locator:
            locator = handler.locator
            places.append(f'{locator.getSystemId()}, line {locator.getLineNumber()}')
    return places[-1:]


def _in(places, words):
    return printable(': '.join([*places, *words]), limit=500)


def _conflict(error):
    """Return one line about two directives that register the same thing."""
    # There may be several; the places that follow one are its own.
    what, _, places = str(error).split('\n  For: ')[1].partition('\n')
    first, *_, last = (f'{p["file"]}, line {p["line"]}' for p in _PLACE.finditer(places))
    return printable(f'{last}: This is registered already, in {first}: {what}', limit=500)


def _problem(error):
    """Return one line about what zope.configuration says in several."""
    cause = getattr(error, 'evalue', None)
    if isinstance(cause, SAXParseException):
        place = f'{cause.getSystemId()}, line {cause.getLineNumber()}'
        return printable(f'{place}: This is no XML: {cause.getMessage()}', limit=500)
    # There is no public way to the parts; in the text as a whole they cannot be told from the
    # quoted lines of the file.
    places, words = _reached(cause) if cause else [], []
    for part in map(str, (*error.args, *error._details)):
        if place := _PLACE.match(part):
            places.append(f'{place["file"]}, line {place["line"]}')
        elif not _MISSING.match(part):
            words.append(_INVALID.sub('', part).strip(' :'))
    # The first place is the innermost, where one file includes another.
    return _in(places[:1], words)
