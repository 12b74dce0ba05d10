"""The functions that buildout scripts and old deployments call."""

import contextlib
import inspect
import logging
import os
import sys

from zeit.cds import errors
from zeit.cds.cli.console import complaints
from zeit.cds.cli.output import open_closed
from zeit.cds.credentials import Secret, sendable
from zeit.cds.errors import ConfigurationError
from zeit.cds.run.exporter import Exporter
from zeit.cds.run.importer import Importer
from zeit.cds.spool.spool import Spool
from zeit.cds.system.logs import log_to, unheard
from zeit.cds.target.target import FTPTarget
from zeit.cds.text import printable
from zeit.cds.values.report import Report


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
    _run(Exporter, store_dir, hostname, port, user, password, ftp_dir, logfile)


def cds_export(*arguments, **named):
    """Export as `export` does, with the same arguments; return the exit code.

    Without a log file, what failed is said on standard error, in a line or two; that somebody else
    is at work is no failure.
    Other arguments, or none: it says how it is used, and returns 64.
    """
    return _script('cds-export', Exporter, arguments, named)


def import_(store_dir, hostname, port, user, password, ftp_dir, logfile=None):
    """Import what lies in a directory on an FTP server into the spool `store_dir`.

    The arguments and what it does not do are those of `export`.
    """
    _run(Importer, store_dir, hostname, port, user, password, ftp_dir, logfile)


def cds_import(*arguments, **named):
    """Import as `import_` does, with the same arguments; return the exit code.

    What it says, and about other arguments, see `cds_export`.
    """
    return _script('cds-import', Importer, arguments, named)


def _run(factory, store_dir, hostname, port, user, password, ftp_dir, logfile=None):
    password = Secret(password)
    with unheard(), log_to(logfile):
        try:
            spool = Spool(_path(store_dir))
            password.reveal()  # what cannot be one is known before anything is sent
            target = FTPTarget.from_options(
                host=hostname,
                port=_port(port),
                user=sendable(user, what='The user'),
                password=password,
                directory=sendable(ftp_dir, what='The directory'),
                connections=1,  # the order of the lines is fixed, too
            )
        except ConfigurationError as error:
            log.error('Exiting with exception:', exc_info=error)
            return Report(errors=[error])
        # The lines of a run are fixed from INFO on.
        target.warn_of_clear_text(level=logging.DEBUG)
        return factory(spool, target).run_once()


def _path(value):
    """Return the path of a spool."""
    if not isinstance(value, str | os.PathLike):
        raise ConfigurationError(f'The spool {printable(repr(value))} is no path')
    return value


def _port(value):
    """Return a port as a number; deployments may have it as digits."""
    with contextlib.suppress(TypeError, ValueError):
        if 0 < int(value) < 65536:
            return int(value)
    raise ConfigurationError(f'The port {printable(repr(value))} is no number from 1 to 65535')


def _script(name, factory, arguments, named):
    open_closed()
    try:
        bound = inspect.signature(_run).bind(factory, *arguments, **named)
    except TypeError:
        print(_USAGE.format(script=name), file=sys.stderr, end='')
        return errors.USAGE
    report = _run(*bound.args, **bound.kwargs)
    logfile = bound.arguments.get('logfile')
    if logfile is None or not os.path.isfile(logfile):
        # Nobody would see it, and cron sends what is said here.
        for line in complaints(report):
            print(f'{name}: {line}', file=sys.stderr)
    return report.exit_code
