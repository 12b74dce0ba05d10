"""The command `zeit-cds`: how it begins, and how it ends.

Nothing is imported before it is needed, so that the command begins to work at once.
"""

import gc
import sys

from zeit.cds import __version__, errors
from zeit.cds.cli.output import open_closed, unwritten


def main(args=None):
    """Run the command line; return the exit code.  `args` is a list, None for the process's own.

    Raises `SystemExit` with 128 + the number of a signal that ended it.
    """
    open_closed()
    if args is None:
        # Nothing that is imported is garbage: to look for it takes a tenth of a start.
        gc.set_threshold(100_000)
    try:
        return _run(sys.argv[1:] if args is None else args)
    except KeyboardInterrupt:
        # It came before or after the time in which signals are handled.
        return 130
    finally:
        if args is None:
            gc.freeze()  # nor at the end, when it is looked for again: as long as 0.07 s


def _run(args):
    try:
        import fcntl  # noqa: F401
    except ImportError:
        return _refuse('This needs a POSIX system, such as Linux or macOS.', errors.CONFIGURATION)
    try:
        if args == ['--version']:
            print(f'zeit-cds {__version__}', flush=True)
            return errors.DONE
        return _command(args)
    except OSError as error:
        # Of --help and --version; what goes wrong in a command, it says itself.
        reason = unwritten(error)
        return _refuse(reason, errors.FILES_FAILED) if reason else errors.DONE


def _command(args):
    import click

    from zeit.cds.cli.commands.group import cli

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


def _refuse(text, code):
    from zeit.cds.text import printable

    print(f'zeit-cds: {printable(text, limit=1000)}', file=sys.stderr)
    return code
