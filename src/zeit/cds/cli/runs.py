"""The runs that a command makes."""

import contextlib
import functools
import time

import zope.component

from zeit.cds import errors
from zeit.cds.cli import parallel_runs, selection
from zeit.cds.cli.options import split
from zeit.cds.cli.status_json import VERSION, failure, utc
from zeit.cds.errors import ConfigurationError
from zeit.cds.interfaces import IExporter, IImporter, IPublisher, IReport
from zeit.cds.text import printable, strict_json
from zeit.cds.values.run_options import options_of


#: What is used of a report; those of somebody else need not have the rest.
_REPORT = {*IReport.names()} - {'done', 'due', 'errors', 'limited'}


def run_each(console, zcml, arguments, *, factory, options):
    """Make a run of each chosen exporter or importer; return the decisive exit code.

    Partners of one spool run side by side, all others one after the other.

    `arguments` are those of the command line, `factory` is the class of those that are ours, and
    `options` that of their options.  With the option `as_json` JSON is printed, one array for all.
    """
    selected, given = split(arguments)
    exchanges = selection.exchanges(factory, zcml=zcml, **selected)
    objects = [[] for _ in exchanges]
    imports = IImporter.implementedBy(factory)
    interface = IImporter if imports else IExporter
    as_json = given.pop('as_json')

    def run(number, interrupted=None):
        name, exchange = exchanges[number]

        def once():
            selection.require_interface(exchange, interface)
            # None lets one that somebody else made use its own options.
            own = getattr(exchange, 'options', None)
            # Of several bars on one line nobody could read any.
            shown = console.progress() if interrupted is None else contextlib.nullcontext()
            with shown as progress:
                if given or own is not None or isinstance(exchange, factory):
                    kw = {'given': given, 'comes_again': False, 'progress': progress}
                    if interrupted is not None:
                        kw['interrupted'] = interrupted
                    own = options_of(exchange, options, **kw)
                if as_json:
                    report = _described(name, exchange, own, objects[number], imports=imports)
                else:
                    report = run_once(exchange, own)
            console.tell_report(report, summarised=not as_json)
            return report.exit_code

        return console.guarded(once, about=name, several=len(exchanges) > 1)

    with parallel_runs.Beside() as threads:
        several = parallel_runs.partners(exchanges)
        results = {
            number: threads.start(name, functools.partial(run, number))
            for number, (name, _) in enumerate(exchanges)
            if number in several
        }
        codes = [run(each) for each in range(len(exchanges)) if each not in several]
        codes += [result() for result in results.values()]
    if as_json:
        console.say(strict_json([each for found in objects for each in found]))
    return errors.decisive(codes)


def _described(name, exchange, options, objects, *, imports):
    """Return what `run_once` does; add what JSON says of the run to the list `objects`."""
    started = time.monotonic()
    describe = functools.partial(_object, name, exchange, imports=imports)
    try:
        report = run_once(exchange, options)
    except errors.Error as error:
        objects.append(describe(None, error=error, seconds=time.monotonic() - started))
        raise
    objects.append(describe(report, seconds=time.monotonic() - started))
    return report


def run_once(exchange, options):
    """Let an exporter or importer make a run; return its report.

    First what the application could not put into its spools, and is due, is tried again.  Raises
    `ConfigurationError` if one that somebody else made returns none.
    """
    publisher = zope.component.queryUtility(IPublisher)
    dry = getattr(options, 'dry_run', False)
    if publisher is not None and IExporter.providedBy(exchange) and not dry:
        publisher.retry_due()
    report = exchange.run_once(options)
    if not all(hasattr(report, name) for name in _REPORT):
        raise ConfigurationError(
            f'{type(exchange).__name__}.run_once returned no report: {printable(repr(report))}',
            hint='It must return what IReport describes.',
        )
    return report


# JSON


def _object(name, exchange, report, *, imports, seconds, error=None):
    """Return a dictionary: what became of a run of the exporter or importer `exchange`.

    `name` is that in ZCML, `imports` says which way it goes, `report` is an `IReport`, None if
    there is none because of `error`.
    """
    error = error or report.error
    results = [] if report is None else report.results
    due = getattr(report, 'due', None)
    return {
        'version': VERSION,
        'name': name or None,
        'direction': 'in' if imports else 'out',
        'path': str(exchange.spool.path),
        'server': exchange.target.url,
        'exit_code': error.exit_code if report is None else report.exit_code,
        'seconds': round(seconds, 3),
        'limited': bool(getattr(report, 'limited', False)),
        'due': utc(due),
        'error': failure(error),
        'files': [_file(each) for each in results],
    }


def _file(result):
    seconds = getattr(result, 'seconds', None)
    return {
        'name': result.name,
        'status': result.status,
        'size': result.size,
        'seconds': None if seconds is None else round(seconds, 3),
        'reason': result.reason or None,
        'filed_as': result.filed_as or None,
        'content': getattr(result, 'content', '') or None,
        'content_version': getattr(result, 'content_version', '') or None,
    }
