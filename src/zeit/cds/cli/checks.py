"""What `zeit-cds check` finds out, as a table or JSON; `zeit.cds.check` asks the questions."""

import textwrap
from typing import NamedTuple

from zeit.cds import errors
from zeit.cds.check import local, server
from zeit.cds.check.finding import CANNOT, FAILED, UNKNOWN, WARNING, failed
from zeit.cds.interfaces import IPartner
from zeit.cds.text import plural, printable, strict_json
from zeit.cds.zcml.configured import require_one_way


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


def results(chosen, *, remote):
    """Return a `Result` for each `Checked`; what one spool is told of is not found out twice."""
    spools, found, common = {}, [], set()
    for each in chosen:
        path, shared = (str(place) for place in (each.spool.path, _shared(each.spool)))
        if path not in spools:
            spools[path] = local.spool(each.spool, common=shared not in common)
            common.add(shared)
        there = []
        if each.target is not None:
            hooks = local.hooks(getattr(each.exchange, 'options', None))
            there = [*local.target(each.target), *_one_way(each), *hooks]
        known = [*spools[path], *there]
        asked = None
        if remote and FAILED not in [finding.result for finding in known]:
            asked = server.server(each.spool, each.target, imports=each.imports)
        found.append(Result(each, spools[path], there, asked))
    return found


def _shared(spool):
    return spool.shared.path if IPartner.providedBy(spool) else spool.path


def _one_way(checked):
    try:
        if checked.exchange is not None:
            require_one_way(checked.exchange)
    except errors.Error as error:
        yield failed('directions', error)


# For people


def as_text(results):
    """Return the table."""
    blocks, seen = [], set()
    for each in results:
        path = str(each.checked.spool.path)
        if path not in seen:
            blocks.append('\n'.join(_block(_title(each.checked.spool), each.spool)))
        seen.add(path)
        if each.checked.target is not None:
            name = f'{printable(each.checked.name)}: ' * bool(each.checked.name)
            title = f'Server {name}{each.checked.target.title}'
            blocks.append('\n'.join(_block(title, [*each.target, *(each.remote or ())])))
    return '\n\n'.join([*blocks, _summary(results)])


def _title(spool):
    whose = f'Partner {printable(spool.name)}:' if IPartner.providedBy(spool) else 'Spool'
    return f'{whose} {printable(str(_shared(spool)))}'


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


def complaints(results):
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


def as_json(results):
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
