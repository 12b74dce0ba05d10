"""The functions that buildout scripts and old deployments call."""

import inspect
import sys

from zeit.cds import errors
from zeit.cds.exporter import Exporter
from zeit.cds.logs import log_to
from zeit.cds.settings import Secret
from zeit.cds.spool import Spool
from zeit.cds.target import FTPTarget


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


def _export(store_dir, hostname, port, user, password, ftp_dir, logfile=None):
    target = FTPTarget.from_options(
        host=hostname, port=int(port), user=user, password=Secret(password), directory=ftp_dir
    )
    with log_to(logfile):
        return Exporter(Spool(store_dir), target).run_once().exit_code


def _script(name, function, arguments, named):
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        print(_USAGE.format(script=name), file=sys.stderr, end='')
        return errors.USAGE
    return function(*arguments, **named)
