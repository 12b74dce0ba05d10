"""The functions that buildout scripts and old deployments call."""

import contextlib
import inspect
import logging
import sys

from zeit.cds import errors
from zeit.cds.errors import ConfigurationError
from zeit.cds.exporter import Exporter
from zeit.cds.importer import Importer
from zeit.cds.logs import log_to, unheard
from zeit.cds.output import open_closed
from zeit.cds.settings import Secret
from zeit.cds.spool import Spool
from zeit.cds.target import FTPTarget
from zeit.cds.text import printable


log = logging.getLogger(__name__)


_USAGE = """\
{script} gets its arguments from a buildout (zc.recipe.egg):

  [cds]
  recipe = zc.recipe.egg
  eggs = zeit.cds
  scripts = {script}
  arguments = '/var/spool/cds', 'ftp.example.com', 21, 'user', password, '/', 'cds.log'

that is: store_dir, hostname, port, user, password, ftp_dir[, logfile].
On a command line use zeit-cds, which takes no password as an argument: zeit-cds --help
"""


def export(store_dir, hostname, port, user, password, ftp_dir, logfile=None):
    """Export what waits in the spool `store_dir` to a directory on an FTP server.

    `logfile` is a path, or None.  Returns None and prints nothing; what the server or the network
    did is logged, not raised.
    """
    _export(store_dir, hostname, port, user, password, ftp_dir, logfile)


def cds_export(*arguments, **named):
    """Export as `export` does, with the same arguments; return the exit code.

    Other arguments, or none: it says how it is used, and returns 64.
    """
    return _script('cds-export', _export, arguments, named)


def import_(store_dir, hostname, port, user, password, ftp_dir, logfile=None):
    """Import what lies in a directory on an FTP server into the spool `store_dir`.

    The arguments and what it does not do are those of `export`.
    """
    _import(store_dir, hostname, port, user, password, ftp_dir, logfile)


def cds_import(*arguments, **named):
    """Import as `import_` does, with the same arguments; return the exit code.

    Other arguments, or none: it says how it is used, and returns 64.
    """
    return _script('cds-import', _import, arguments, named)


def _export(store_dir, hostname, port, user, password, ftp_dir, logfile=None):
    return _run(Exporter, store_dir, hostname, port, user, password, ftp_dir, logfile)


def _import(store_dir, hostname, port, user, password, ftp_dir, logfile=None):
    return _run(Importer, store_dir, hostname, port, user, password, ftp_dir, logfile)


def _run(factory, store_dir, hostname, port, user, password, ftp_dir, logfile):
    with unheard(), log_to(logfile):
        try:
            target = FTPTarget.from_options(
                host=_host(hostname),
                port=_port(port),
                user=user,
                password=Secret(password),
                directory=ftp_dir,
                connections=1,  # the order of the lines is fixed, too
            )
        except ConfigurationError as error:
            log.error('Exiting with exception:', exc_info=error)
            return error.exit_code
        # The lines of a run are fixed from INFO on.
        target.warn_of_clear_text(level=logging.DEBUG)
        return factory(Spool(store_dir), target).run_once().exit_code


def _host(value):
    """Return a name or address that a resolver could be asked for."""
    try:
        if value and value.isprintable() and ' ' not in value and value.encode('idna'):
            return value
    except (AttributeError, UnicodeError):
        pass
    raise ConfigurationError(f'The host {printable(repr(value))} cannot be the name of a server')


def _port(value):
    """Return a port as a number; deployments may have it as digits."""
    with contextlib.suppress(TypeError, ValueError):
        if 0 < int(value) < 65536:
            return int(value)
    raise ConfigurationError(f'The port {printable(repr(value))} is no number from 1 to 65535')


def _script(name, function, arguments, named):
    open_closed()
    try:
        bound = inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        print(_USAGE.format(script=name), file=sys.stderr, end='')
        return errors.USAGE
    try:
        values = bound.arguments
        _host(values['hostname'])
        _port(values['port'])
    except ConfigurationError as error:
        # Also for those without a log file: nothing of this is up to the server.
        print(f'{name}: {error.message}', file=sys.stderr)
    return function(*arguments, **named)
