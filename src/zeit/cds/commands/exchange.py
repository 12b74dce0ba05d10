"""The sub-commands that make runs."""

import click

from zeit.cds import errors, options, options_target
from zeit.cds.commands import command


@click.command()
@click.argument('names', nargs=-1, metavar='[NAME]... | URL')
@options.several(options.SPOOL, options.PASSWORD, *options.RUN, *options_target.TARGET)
@command
def export(console, zcml, **arguments):
    """Deliver what waits in a spool.

    \b
    With --zcml: the exporters of these names, one after the other; without a
    name the only one that there is.
      zeit-cds --zcml cds.zcml export articles

    \b
    With --spool: to ftp://user@host:port/directory, or ftpes:// with explicit
    and ftps:// with implicit TLS.  The path is absolute, the port 21, or 990
    for ftps, if there is none.  A password does not belong in the URL.
      zeit-cds export --spool /var/spool/cds --password-file /etc/cds.pw \\
          ftpes://zeit@ftp.example.com/in

    A run that succeeds says what it did if standard output is a terminal, and
    nothing otherwise, so that cron sends mail only when there is something to do.
    """
    from zeit.cds import choice
    from zeit.cds.exporter import Exporter, Options

    target = options_target.take(arguments)
    given = {name: value for name, value in arguments.items() if value is not None}
    names, spool = given.pop('names'), given.pop('spool', None)
    exporters = choice.exporters(zcml=zcml, names=names, spool=spool, **target)
    return _runs(console, exporters, given, factory=Exporter, options=Options)


@click.command(name='import')
@click.argument('names', nargs=-1, metavar='[NAME]... | URL')
@options.several(options.SPOOL, options.PASSWORD, *options.IMPORT, *options_target.SOURCE)
@command
def import_(console, zcml, **arguments):
    """Fetch what a partner has left on a server into a spool.

    \b
    With --zcml: the importers of these names, one after the other; without a
    name the only one that there is.
      zeit-cds --zcml cds.zcml import letters

    \b
    With --spool: from a URL, as for export.
      zeit-cds import --spool /var/spool/letters --password-file /etc/cds.pw \\
          ftpes://zeit@ftp.example.com/out

    Each file is deleted on the server when it is complete in new.  A run that
    succeeds says what it did if standard output is a terminal, and nothing
    otherwise, so that cron sends mail only when there is something to do.
    """
    from zeit.cds import choice
    from zeit.cds.importer import Importer, ImportOptions

    target = options_target.take(arguments)
    given = {name: value for name, value in arguments.items() if value is not None}
    names, spool = given.pop('names'), given.pop('spool', None)
    importers = choice.importers(zcml=zcml, names=names, spool=spool, **target)
    return _runs(console, importers, given, factory=Importer, options=ImportOptions)


def _runs(console, exchanges, given, *, factory, options):
    """Make a run of each (name, exporter or importer); return the decisive exit code.

    `given` are the options of the command line, `factory` is the class of those that are ours, and
    `options` that of their options.
    """
    from zeit.cds.choice import run_once
    from zeit.cds.plan import options_of

    codes = []
    for name, exchange in exchanges:
        def run(exchange=exchange):
            # None lets one that somebody else made use its own options.
            own = getattr(exchange, 'options', None)
            with console.progress() as progress:
                if given or own is not None or isinstance(exchange, factory):
                    kw = {'given': given, 'comes_again': False, 'progress': progress}
                    own = options_of(exchange, options, **kw)
                report = run_once(exchange, own)
            console.tell_report(report)
            return report.exit_code

        codes.append(console.guarded(run, about=name, several=len(exchanges) > 1))
    return errors.decisive(codes)
