"""The command `zeit-cds`: its options, and what each sub-command does with them.

Nothing of Zope is imported before it is needed, so that `--help` and `--version` answer at once.
"""

import dataclasses
import functools
import os
import sys

import click

from zeit.cds import errors, options


_CONTEXT = {'help_option_names': ['-h', '--help'], 'max_content_width': 80}


def _command(function):
    """Let `function(console, zcml, ...)` run with console, log file and signals set up."""

    @options.several(*options.COMMON)
    @click.pass_context
    @functools.wraps(function)
    def command(context, **arguments):
        from zeit.cds.console import Console

        common = context.obj
        console = Console(verbosity=common.verbosity, log_file=common.log_file)
        return console.run(functools.partial(function, console, common.zcml, **arguments))

    return command


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
      zeit-cds --zcml cds.zcml receipt a.xml
      zeit-cds export --spool /var/spool/cds ftp://user@ftp.example.com/in

    Each command has a --help of its own.

    \b
    Exit codes:
       0  done, or nothing to do       73  a lock was left on the server
       1  a file was not delivered     75  locked, or another run is active
      64  wrong usage                  77  the login was refused
      69  the server is unreachable    78  configuration, spool or directory
      70  a bug in zeit-cds           130  interrupted; 143 terminated
    """
    if os.environ.get('NO_COLOR'):
        context.color = False
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(errors.USAGE)


@cli.command()
@click.argument('names', nargs=-1, metavar='[NAME]... | URL')
@options.several(options.SPOOL, options.PASSWORD, *options.RUN, *options.TARGET)
@_command
def export(console, zcml, **arguments):
    """Deliver what waits in a spool.

    \b
    With --zcml: the exporters of these names, one after the other; without a
    name the only one that there is.
      zeit-cds --zcml cds.zcml export articles

    \b
    With --spool: to ftp://user@host:port/directory; the path is absolute, the
    port 21 if there is none.  A password does not belong into the URL.
      zeit-cds export --spool /var/spool/cds --password-file /etc/cds.pw \\
          ftp://zeit@ftp.example.com/in

    A run that succeeds says what it did if standard output is a terminal, and
    nothing otherwise, so that cron sends mail only when there is something to do.
    """
    from zeit.cds import choice
    from zeit.cds.exporter import Options

    given = {name: value for name, value in arguments.items() if value is not None}
    target = {name: given.pop(name) for name in options.TARGET_NAMES if name in given}
    names, spool = given.pop('names'), given.pop('spool', None)
    exporters = choice.exporters(zcml=zcml, names=names, spool=spool, **target)
    codes = []
    for name, exporter in exporters:
        about = name if len(exporters) > 1 else ''

        def run(exporter=exporter):
            # None lets an exporter from ZCML use its own options.
            own = getattr(exporter, 'options', None) or Options()
            report = exporter.run_once(dataclasses.replace(own, **given) if given else None)
            console.tell_report(report)
            return report.exit_code

        codes.append(console.guarded(run, about=about))
    return errors.decisive(codes)


@cli.command()
@click.argument('names', nargs=-1, metavar='[NAME]... | [URL]')
@options.several(options.SPOOL, options.PASSWORD)
@click.option(
    '--remote', is_flag=True, help='Ask the server as well who holds the lock.  Default: no.'
)
@options.several(options.JSON)
@_command
def status(console, zcml, **arguments):
    """Show what waits, what was delivered, and who is at work.

    \b
    With --zcml: all spools, or those with these names, or of exporters with
    these names.  With --spool: this one; --remote needs the URL of its server.
      zeit-cds --zcml cds.zcml status --remote
      zeit-cds status --spool /var/spool/cds

    It never waits for a run, and changes nothing.  The exit code is 0 also when
    files wait or the server is locked, and the one of the failure if a spool or
    server cannot be asked.
    """
    from zeit.cds import choice
    from zeit.cds import status as look

    remote, as_json = arguments.pop('remote'), arguments.pop('as_json')
    places = choice.places(zcml=zcml, remote=remote, **arguments)
    looks = [look.look(place, remote=remote) for place in places]
    console.say(look.as_json(looks) if as_json else look.as_text(looks))
    return errors.decisive(code for each in looks for code in each.exit_codes)


@cli.command()
@click.argument('name')
@click.argument('spools', nargs=-1, metavar='[SPOOL]...')
@options.several(options.SPOOL, options.JSON)
@_command
def receipt(console, zcml, *, name, spools, spool=None, as_json):
    """Print the receipts of a file: each delivery of this name.

    \b
    With --zcml: in all spools, or those with these names.  With --spool: in
    this one.
      zeit-cds --zcml cds.zcml receipt a.xml
      zeit-cds receipt --spool /var/spool/cds a.xml

    A receipt tells when it was, size and SHA-256 of what was sent, the server
    and its final reply.  It never waits for a run.  The exit code is 1 if there
    is none.
    """
    from zeit.cds import choice, receipts
    from zeit.cds.errors import UsageError

    if spool is not None and spools:
        raise UsageError('A receipt is of one file', hint='Names of spools go with --zcml.')
    places = choice.places(zcml=zcml, names=spools, spool=spool, password_file=None, remote=False)
    found = [(place, each) for place in places for each in receipts.receipts(place.spool, name)]
    if as_json:
        console.say(receipts.as_json(found))
    elif found:
        console.say(receipts.as_text(name, found))
    if not found:
        raise receipts.none_of(name, places)
    return errors.DONE


@cli.command()
@click.argument('names', nargs=-1, required=True, metavar='NAME...')
@options.several(options.SPOOL)
@_command
def retry(console, zcml, *, names, spool=None):
    """Bring parked files back, to be sent by the next run.

    \b
    With --zcml: from whichever of its spools they are parked in.  With --spool:
    from this one.
      zeit-cds --zcml cds.zcml retry a.xml b.xml
      zeit-cds retry --spool /var/spool/cds a.xml

    The exit code is 1 if one is not parked, or a newer one waits already; the
    others are brought back.
    """
    from zeit.cds import choice, receipts
    from zeit.cds.text import printable

    places = choice.places(zcml=zcml, names=(), spool=spool, password_file=None, remote=False)
    codes = []
    for name, path, error in receipts.bring_back(names, places):
        if error is not None:
            console.tell(error)
            codes.append(error.exit_code)
        elif not console.quiet:
            console.say(f'{printable(name)} waits in {printable(str(path))} again.')
    return errors.decisive(codes)


@cli.command()
@click.argument('names', nargs=-1, metavar='[NAME]... | [URL]')
@options.several(options.SPOOL, options.PASSWORD)
@click.option('--yes', is_flag=True, help='Remove without asking.  Default: no.')
@_command
def unlock(console, zcml, **arguments):
    """Show who holds the lock on a server; remove it if you are sure.

    \b
    With --zcml: on the servers of these exporters.  Otherwise at this URL; the
    spool, --spool, only helps to tell whose lock it is.
      zeit-cds --zcml cds.zcml unlock articles
      zeit-cds unlock --spool /var/spool/cds ftp://zeit@ftp.example.com/in

    What a killed run of the spool has left needs no unlocking: the next run
    removes it.  The lock of somebody else is removed only after you say yes,
    on a terminal or by --yes; one that came in meanwhile stays.

    \b
    Exit codes: 0 not locked, removed, or left to the next run; 64 nobody could
    be asked; 73 the server refuses to remove it; 75 you said no, or there is
    another lock now.
    """
    from zeit.cds import choice
    from zeit.cds import unlock as unlocking

    sure = arguments.pop('yes')
    doors = choice.doors(zcml=zcml, **arguments)
    return errors.decisive([unlocking.run(console, door, sure=sure) for door in doors])


@cli.command(short_help='Show an export, on this machine only.')
@_command
def demo(console, zcml):
    """Show an export to an FTP server that runs for a moment on this machine.

    It fills a spool in a temporary folder, starts an FTP server on 127.0.0.1,
    delivers, and shows both sides before and after.  Nothing is left behind.
    """
    from zeit.cds.demo import run

    return run(console)


def main(args=None):
    """Run the command line; return the exit code.  `args` is a list, None for the process's own.

    Raises `SystemExit` with 128 + the number of a signal that ended it.
    """
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


def _refuse(text, code):
    from zeit.cds.text import printable

    print(f'zeit-cds: {printable(text, limit=1000)}', file=sys.stderr)
    return code
