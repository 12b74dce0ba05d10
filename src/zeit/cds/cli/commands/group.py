"""What stands before a sub-command of `zeit-cds`, and all of these."""

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


class _Commands(click.Group):
    """The sub-commands: each is imported when it is asked for."""

    def list_commands(self, context):
        """Return their names."""
        return list(NAMES)

    def get_command(self, context, name):
        """Return the one with this name, None if there is none."""
        match name:
            case 'check':
                from zeit.cds.cli.commands.check import check as found
            case 'export':
                from zeit.cds.cli.commands.export import export as found
            case 'import':
                from zeit.cds.cli.commands.import_ import import_ as found
            case 'watch':
                from zeit.cds.cli.commands.watch import watch as found
            case 'status':
                from zeit.cds.cli.commands.status import status as found
            case 'serve':
                from zeit.cds.cli.commands.serve import serve as found
            case 'log':
                from zeit.cds.cli.commands.log import log as found
            case 'receipt':
                from zeit.cds.cli.commands.receipt import receipt as found
            case 'retry':
                from zeit.cds.cli.commands.retry import retry as found
            case 'resend':
                from zeit.cds.cli.commands.resend import resend as found
            case 'hold':
                from zeit.cds.cli.commands.hold import hold as found
            case 'release':
                from zeit.cds.cli.commands.hold import release as found
            case 'drop':
                from zeit.cds.cli.commands.drop import drop as found
            case 'withdraw':
                from zeit.cds.cli.commands.withdraw import withdraw as found
            case 'prune':
                from zeit.cds.cli.commands.prune import prune as found
            case 'partners':
                from zeit.cds.cli.commands.partners import partners as found
            case 'adopt':
                from zeit.cds.cli.commands.adopt import adopt as found
            case 'unlock':
                from zeit.cds.cli.commands.unlock import unlock as found
            case 'journal':
                from zeit.cds.cli.commands.journal import journal as found
            case 'demo':
                from zeit.cds.cli.commands.demo import demo as found
            case _:
                return None
        return found


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
