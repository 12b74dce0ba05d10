"""The sub-command `check`: what it has found out, as a table or JSON."""

import textwrap
from typing import NamedTuple

import click

from zeit.cds import errors
from zeit.cds.check.finding import CANNOT, FAILED, UNKNOWN, WARNING, failed
from zeit.cds.cli import completion, options
from zeit.cds.cli.commands import command
from zeit.cds.text import plural, printable, strict_json


@click.command(
    cls=options.Command,
    short_help='Find out whether everything is set up, here and on the server.',
)
@options.names('[NAME]... | [URL]', completion.exchanges)
@options.several(options.SPOOL, options.PASSWORD)
@options.flag('--remote', help='Also try out the server, under the lock.')
@options.several(options.JSON, *options.TARGET)
@command
def check(console, zcml, *, remote, as_json, **arguments):
    """Find out whether everything is set up, before there is a delivery.

    \b
    With --zcml: check the exporters and importers with these names, or all.
    With --spool: check this one; --remote needs the server's URL.
      zeit-cds check
      zeit-cds check --remote articles
      zeit-cds check --remote --spool /var/spool/cds ftp://me@ftp.example.com/in

    It looks at configuration, password, certificates, rights, room and clock,
    and lets a file of its own go the way of what is delivered.  With --remote it
    also locks the server as a run does, tries with files of its own what the
    server can do, and removes them.  A table says what it cannot do, what is done
    instead, and what you can set.  A run remembers what was found out.

    \b
    With -q only what would end a run is written, to standard error.  Exit codes:
    0 all is well; 69 the server cannot be reached; 75 the server is locked, or a
    run is active; 77 the login is refused; 78 something is to be set.
    """
    from zeit.cds.cli import selection

    target = options.take(arguments)
    chosen = selection.checked(zcml=zcml, remote=remote, **arguments, **target)
    results = _results(chosen, remote=remote)
    if as_json:
        console.say(_as_json(results))
    elif not console.quiet:
        console.say(as_text(results))
    if console.quiet:
        for line in _complaints(results):
            console.complain(line)
    return errors.decisive(code for each in results for code in each.codes)


#: That of the format, see docs/json.txt.
VERSION = 1

#: Columns of a terminal, and of those of the table which come first.
WIDTH = 80
RESULT = 9
NAME = 21


class Result(NamedTuple):
    """What was found out about a `Checked`: lists of `Finding`; `remote` is None if not asked."""

    checked: object
    spool: list
    target: list
    remote: list | None

    @property
    def findings(self):
        return [*self.spool, *self.target, *(self.remote or ())]

    @property
    def codes(self):
        """The exit codes of all of it."""
        return [each.code for each in self.findings]


def _results(chosen, *, remote):
    """Return a `Result` for each `Checked`; what one spool is told of is not found out twice."""
    from zeit.cds.check import local

    spools, found = {}, []
    for each in chosen:
        path = str(each.spool.path)
        if path not in spools:
            spools[path] = local.spool(each.spool)
        there = []
        if each.target is not None:
            hooks = local.hooks(getattr(each.exchange, 'options', None))
            there = [*local.target(each.target), *_one_way(each), *hooks]
        known = [*spools[path], *there]
        server = _server(each) if remote and not any(f.result == FAILED for f in known) else None
        found.append(Result(each, spools[path], there, server))
    return found


def _one_way(checked):
    from zeit.cds.zcml.configured import require_one_way

    try:
        if checked.exchange is not None:
            require_one_way(checked.exchange)
    except errors.Error as error:
        yield failed('directions', error)


def _server(checked):
    from zeit.cds.check import server

    return server.server(checked.spool, checked.target, imports=checked.imports)


# For people


def as_text(results):
    """Return the table."""
    blocks, seen = [], set()
    for each in results:
        path = str(each.checked.spool.path)
        if path not in seen:
            blocks.append('\n'.join(_block(f'Spool {printable(path)}', each.spool)))
        seen.add(path)
        if each.checked.target is not None:
            name = f'{printable(each.checked.name)}: ' * bool(each.checked.name)
            title = f'Server {name}{each.checked.target.title}'
            blocks.append('\n'.join(_block(title, [*each.target, *(each.remote or ())])))
    return '\n\n'.join([*blocks, _summary(results)])


def _block(title, findings):
    yield title
    for each in findings:
        yield from _lines(each)


def _lines(finding):
    name = f'{finding.name:<{NAME}}'
    before = f'  {finding.result:<{RESULT}}{name}'
    indent = ' ' * len(before)
    texts = [finding.found or ('' if finding.instead else finding.result)]
    texts += [f'instead: {finding.instead}'] * bool(finding.instead)
    texts += [f'setting: {finding.setting}'] * bool(finding.setting)
    for text in filter(None, texts):
        first = before if before else indent
        yield from textwrap.wrap(
            text,
            WIDTH,
            initial_indent=first,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
        before = ''


def _summary(results):
    """Return the last line: whether it would work."""
    findings = [finding for each in results for finding in each.findings]
    bad = [each.name for each in findings if each.result == FAILED]
    if bad:
        return f'{plural(len(bad), "thing")} to be set right: {", ".join(dict.fromkeys(bad))}.'
    if any(each.code for each in findings):
        return 'Not all was found out: somebody else is at work there.'
    warnings = sum(each.result == WARNING for each in findings)
    said = f'All is well, with {plural(warnings, "warning")}' if warnings else 'All is well'
    if unknown := [each.name for each in findings if each.result == UNKNOWN]:
        said += f', but not all was found out: {", ".join(dict.fromkeys(unknown))}'
    if any(each.result == CANNOT for each in findings):
        said += '; what the server cannot do is done in another way'
    return f'{said}.'


def _complaints(results):
    """Return a line for each finding that would end a run."""
    return list(
        dict.fromkeys(
            f'{about}{each.name}: {_sentences(each.found, each.setting)}'
            for result in results
            for about in [f'{printable(result.checked.name)}: ' * bool(result.checked.name)]
            for each in result.findings
            if each.code
        )
    )


def _sentences(*texts):
    return '. '.join(text.rstrip('. ') for text in texts if text)


# For programs


def _as_json(results):
    """Return a JSON array with an object for each `Result`."""
    return strict_json([_object(each) for each in results])


def _object(result):
    checked = result.checked
    kind = None if checked.target is None else 'importer' if checked.imports else 'exporter'
    return {
        'version': VERSION,
        'name': checked.name,
        'kind': kind,
        'path': str(checked.spool.path),
        'server': None if checked.target is None else checked.target.title,
        'exit_code': errors.decisive(result.codes),
        'local': [_finding(each) for each in (*result.spool, *result.target)],
        'remote': None if result.remote is None else [_finding(each) for each in result.remote],
    }


def _finding(finding):
    return {
        'name': finding.name,
        'result': finding.result,
        'found': finding.found,
        'instead': finding.instead or None,
        'setting': finding.setting or None,
    }
