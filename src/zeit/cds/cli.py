"""The command `zeit-cds`: what stands before a sub-command, and how it all ends.

Nothing of Zope is imported before it is needed, so that `--help` and `--version` answer at once.
"""

import os
import sys

import click

from zeit.cds import errors, options
from zeit.cds.commands.act import adopt, demo, retry, unlock
from zeit.cds.commands.exchange import export, import_
from zeit.cds.commands.look import journal, receipt, status
from zeit.cds.commands.watch import watch
from zeit.cds.output import open_closed, unwritten


_CONTEXT = {'help_option_names': ['-h', '--help'], 'max_content_width': 80}


def _version(context, parameter, value):
    if value and not context.resilient_parsing:
        import importlib.metadata

        click.echo(f'zeit-cds {importlib.metadata.version("zeit.cds")}')
        context.exit()


@click.group(context_settings=_CONTEXT, invoke_without_command=True)
@options.several(*options.COMMON)
@click.option(
    '--version', is_flag=True, callback=_version, expose_value=False, is_eager=True,
    help='Show the version and exit.',
)  # fmt: skip
@click.pass_context
def cli(context):
    """Carry files from a spool to a CDS server by FTP.

    \b
      zeit-cds demo                      see it work, on this machine only
      zeit-cds --zcml cds.zcml status    what waits, what was delivered
      zeit-cds --zcml cds.zcml export    deliver it
      zeit-cds --zcml cds.zcml import    fetch what a partner has left
      zeit-cds --zcml cds.zcml watch     deliver what comes in, until it is ended
      zeit-cds --zcml cds.zcml receipt a.xml
      zeit-cds export --spool /var/spool/cds ftp://user@ftp.example.com/in

    Each command has a --help of its own.

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


for _each in (export, import_, watch, status, receipt, retry, adopt, unlock, journal, demo):
    cli.add_command(_each)


def main(args=None):
    """Run the command line; return the exit code.  `args` is a list, None for the process's own.

    Raises `SystemExit` with 128 + the number of a signal that ended it.
    """
    open_closed()
    try:
        return _run(args)
    except KeyboardInterrupt:
        # It came before or after the time in which signals are handled.
        return 130


def _run(args):
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return _refuse('This needs a POSIX system, such as Linux or macOS.', errors.CONFIGURATION)
    try:
        return cli.main(args=args, prog_name='zeit-cds', standalone_mode=False)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else 'zeit-cds'
        text = error.format_message()
        stop = '' if text.endswith(('.', '?')) else '.'
        return _refuse(f"{text}{stop} See '{path} --help'.", errors.USAGE)
    except click.ClickException as error:
        return _refuse(error.format_message(), errors.USAGE)
    except click.Abort:
        return 130
    except OSError as error:
        # Of --help and --version; what goes wrong in a command, it says itself.
        reason = unwritten(error)
        return _refuse(reason, errors.FILES_FAILED) if reason else errors.DONE


def _refuse(text, code):
    from zeit.cds.text import printable

    print(f'zeit-cds: {printable(text, limit=1000)}', file=sys.stderr)
    return code
