"""What stands before a sub-command of `zeit-cds`, and all of these."""

import importlib
import os

import click

from zeit.cds import __version__, errors
from zeit.cds.cli import options


_CONTEXT = {'help_option_names': ['-h', '--help'], 'max_content_width': 80}

#: The sub-commands, in the order of the help.
NAMES = (
    *('check', 'export', 'import', 'watch', 'status', 'serve', 'log', 'receipt', 'retry'),
    *('resend', 'hold', 'release', 'drop', 'withdraw', 'prune', 'partners', 'adopt', 'unlock'),
    *('journal', 'demo'),
)

#: Those that are not in a module of their name.
_MODULES = {'import': 'import_', 'release': 'hold'}


class _Commands(click.Group):
    """The sub-commands: each is imported when it is asked for."""

    def list_commands(self, context):
        """Return their names."""
        return list(NAMES)

    def get_command(self, context, name):
        """Return the one with this name, None if there is none."""
        if name not in NAMES:
            return None
        module = importlib.import_module(f'zeit.cds.cli.commands.{_MODULES.get(name, name)}')
        return getattr(module, 'import_' if name == 'import' else name)


def _version(context, parameter, value):
    if value and not context.resilient_parsing:
        click.echo(f'zeit-cds {__version__}')
        context.exit()


@click.group(cls=_Commands, context_settings=_CONTEXT, invoke_without_command=True)
@options.several(*options.COMMON)
@click.option(
    '--version', is_flag=True, callback=_version, expose_value=False, is_eager=True,
    help='Show the version and exit.',
)  # fmt: skip
@click.pass_context
def cli(context):
    """Carry files from a spool to a CDS server by FTP or SFTP.

    \b
      zeit-cds demo             see it work, on this machine only
      zeit-cds status           what waits, what was delivered
      zeit-cds export --all     deliver it
      zeit-cds import --all     fetch what partners have left
      zeit-cds watch            deliver what comes in, until it is ended
      zeit-cds receipt a.xml    was it delivered?
      zeit-cds export --spool /var/spool/cds ftp://user@ftp.example.com/in

    Each command has a --help of its own.  The configuration is the ZCML file of
    --zcml, else of $ZEIT_CDS_ZCML, else /etc/zeit.cds/cds.zcml.

    \b
    Exit codes:
       0  done, or nothing to do       73  a lock was left on the server
       1  a file failed                75  locked, or another run is active
      64  wrong usage                  77  the login was refused
      69  the server is unreachable    78  configuration, spool or directory
      70  a bug in zeit-cds           129  130  143  ended by a signal
    """
    if os.environ.get('NO_COLOR'):
        context.color = False
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(errors.USAGE)
