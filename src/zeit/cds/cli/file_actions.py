"""What `zeit-cds hold`, `release`, `drop`, `withdraw` and `resend` do, file by file."""

import codecs
import os
import sys
import time

from zeit.cds import errors
from zeit.cds.cli import selection
from zeit.cds.errors import Embargoed, FileError, SpoolBusy, UsageError
from zeit.cds.interfaces import IPartner
from zeit.cds.journal import journal
from zeit.cds.monitoring.verify import require_there
from zeit.cds.run import retract_delivered
from zeit.cds.spool import entries, schedule
from zeit.cds.spool.delivered_files import delivered
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.holds import ALL
from zeit.cds.spool.sequence import Sequence
from zeit.cds.spool.sharing import is_shared
from zeit.cds.spool.spool import translated
from zeit.cds.text import plural, printable, retry


def exported(zcml, spool, names, everything=None, *, by=None):
    """Return the spools of a command with NAME..., or --all.  Raises `UsageError`.

    `everything` is None if the command has no --all, `by` an exporter, None for any.  What waits in
    a spool that is only imported into is the application's, whatever it is called: such a spool is
    named by --spool.
    """
    if everything and names:
        raise UsageError('--all cannot be combined with names', hint='Choose one.')
    if not names and not everything:
        hint = '' if everything is None else 'Or pass --all.'
        raise UsageError("Missing argument 'NAME...'", hint=hint)
    require_names(() if names is True else names)
    found = selection.named(zcml, (), spool)
    chosen = [each for each in found if each.exports or not each.imports]
    if found and not chosen:
        raise UsageError(
            f'There is no spool in {printable(str(zcml))} that is exported',
            hint='A spool that an importer fills is named by --spool.',
        )
    if by is not None:
        chosen = [each for each in chosen if by in [name for name, _ in each.targets]]
        if not chosen:
            raise UsageError(f'There is no exporter {printable(by)!r} in {printable(str(zcml))}')
    return [each.spool for each in chosen]


def require_names(names):
    """Raise `UsageError` for what is no name of a file in a directory."""
    for name in names:
        is_path = os.path.basename(name) != name or '\0' in name
        if is_path or name in ('', os.curdir, os.pardir):
            raise UsageError(
                f'{printable(repr(name))} is not the name of a file', hint='Give no directory.'
            )


def hold(console, spools, names, reason):
    """Hold files of these names, without names all; return the exit code."""
    codes = [errors.DONE]
    for name in dict.fromkeys(names or [ALL]):
        for spool in _with(name, spools):
            if spool.hold(name, reason):
                codes.append(_tell(console, SpoolBusy(
                    f'{printable(name)} is being delivered at this moment, and may go still',
                    hint='Versions that come later are held.  When the run has ended, "zeit-cds '
                    'receipt" tells whether this one has gone, and "zeit-cds withdraw" takes it '
                    'back.',
                )))  # fmt: skip
            elif not console.quiet:
                until = 'zeit-cds release' if name else 'zeit-cds release --all'
                console.say(f'{_what(name, spool)} is held until "{until}".')
    return errors.decisive(codes)


def release(console, spools, names):
    """Release files of these names, without names all; return the exit code."""
    codes = [errors.DONE]
    for name in dict.fromkeys(names or [ALL]):
        done = [spool for spool in spools if spool.release(name)]
        for spool in () if console.quiet else done:
            console.say(f'{_what(name, spool)} is released; {_what_is_next(name, spool)}')
        if not done:
            what = printable(name) or 'The whole spool'
            hint = '"zeit-cds status" shows what is.'
            codes.append(_tell(console, FileError(f'{what} is not held', hint=hint)))
    return errors.decisive(codes)


def drop(console, spools, names, reason, *, sure):
    """Give up; return the exit code.  Raises `UsageError` if nobody can be asked."""
    codes = [errors.DONE]
    for name in dict.fromkeys(names):
        found = _shared_alone([each for each in spools if _where(name, each)])
        for spool in found:
            where = f'{_where(name, spool)} in {printable(str(spool.path))}'
            question = f'Drop {printable(name)}, which {where}? [y/N] '
            if sure or console.confirms(question, otherwise=f'{printable(name)} was not dropped'):
                codes.append(_each(console, _drop, spool, name, reason))
            else:
                codes.append(errors.COME_BACK_LATER)
        if not found:
            hint = 'It must wait in new or be in parked: "zeit-cds status" shows what is there.'
            error = FileError(f'{printable(name)} neither waits nor is parked', hint=hint)
            codes.append(_tell(console, error))
    return errors.decisive(codes)


def _drop(spool, name, reason):
    stored = spool.drop(name, reason)
    if not stored:
        raise SpoolBusy(f'{printable(name)} has just gone', hint='See "zeit-cds status".')
    path = printable(str(spool.path / 'parked' / stored))
    again = retry(spool.path, stored)
    return f'{printable(name)} is not sent; its bytes are {path}\n  to send it after all: {again}'


def _where(name, spool):
    """Return what a file does in a spool, '' if it is not there."""
    if waits(spool, name):
        return 'waits'
    return 'is parked' if name in [parked for parked, _ in spool.status().parked] else ''


def waits(spool, name):
    """Return whether there is a regular file of this name in `new/`."""
    with translated(spool.path):
        return entries.find(spool.path / 'new', name) is not None


def withdraw(console, spools, names, reason):
    """Take back; return the exit code."""
    codes = [errors.DONE]
    for name in dict.fromkeys(names):
        found = [spool for spool in spools if waits(spool, name)]
        for spool in found:
            # What a partner had taken is withdrawn with that of all, or is being delivered.
            if spool is found[0] or waits(spool, name):
                codes.append(_each(console, _withdraw, spool, name, reason))
        if not found:
            codes.append(_each(console, _take_back, spools, name, reason))
    return errors.decisive(codes)


def _withdraw(spool, name, reason):
    if spool.withdraw(name, reason):
        where = printable(str(spool.path / 'withdrawn'))
        several = not IPartner.providedBy(spool) and is_shared(spool.path)
        history = spool.history_of_all() if several else journal.history(spool.path / PRIVATE)
        before = delivered(history, name=name)
        text = f'{printable(name)} is withdrawn, and not sent; its bytes are in {where}.'
        what = 'The version before it is on the server'
        if several:
            what = 'What partners have got by this name is on their servers'
        more = f'\n  {what}: call this again for that.'
        return text + more if before else text
    raise SpoolBusy(
        f'{printable(name)} is being delivered at this moment',
        hint='If that fails it is withdrawn.  If not, call this again when the run has ended.',
    )


def take_back(spool, name, reason):
    """Let the next run delete what was delivered as `name`; return the URLs of where, a list.

    Raises `SpoolBusy`, `SpoolError`.
    """
    require_there(spool)
    # Before: it may take a second, and others wait for the lock of the journal.
    receipts = delivered(journal.history(spool.path / PRIVATE), name=name)
    if not receipts:
        return []
    with Sequence(spool.path).visited({'name': [name]}) as visited:
        return retract_delivered.take_back(visited, receipts, reason)


def _take_back(spools, name, reason):
    found = [url for each in spools for url in take_back(each, name, reason)]
    if not found:
        raise FileError(
            f'{printable(name)} neither waits, nor is it on a server as far as receipts tell',
            hint='What is parked is given up by "zeit-cds drop".',
        )
    where = ', '.join(map(printable, found))
    what = f'{printable(name)} will be deleted on {where}'
    return f'{what} by the next run there, if it is still ours.'


def names_in(path):
    """Return the names in a file, one on each line; `-` is standard input.  Raises `UsageError`."""
    try:
        if path == '-':
            data = sys.stdin.buffer.read()
        else:
            with open(path, 'rb') as file:
                data = file.read()
    except OSError as error:
        raise UsageError(f'{printable(path)} cannot be read: {error.strerror}') from None
    lines = data.removeprefix(codecs.BOM_UTF8).splitlines()
    names = [os.fsdecode(line) for line in lines if line]
    require_names(names)
    return names


def resend(console, spools, names, *, since=None, to=None):
    """Send once more what has these names, or all that was delivered since; return the exit code.

    `since` is a time (ISO 8601, UTC); `to` the exporter that is to get it, also what others have
    got.
    """
    codes, spools = [errors.DONE], [each for each in spools if _is_sent(each)]
    for spool in spools:
        if to is None:
            require_there(spool)
    for spool in spools if since else ():
        for name in _delivered(spool, since, everybody=to is not None):
            codes.append(_each(console, _resend, [spool], name))
    if since and len(codes) == 1 and not console.quiet:
        console.say('Nothing was delivered since then.')
    codes += [_each(console, _resend, spools, name) for name in dict.fromkeys(names)]
    return errors.decisive(codes)


def _resend(spools, name):
    known = spools
    if len(spools) > 1:
        known = [spool for spool in spools if _has_delivered(spool, name)] or spools[:1]
    for spool in known:
        spool.resend(name)
    return f'{printable(name)} waits once more; the next run sends it.'


def _is_sent(spool):
    """Return whether files are sent from a spool as a whole, or those of one partner."""
    return IPartner.providedBy(spool) or not is_shared(spool.path)


def _delivered(spool, since, *, everybody):
    """Return the names of what was delivered `since`, the oldest first; by `everybody` or one."""
    history = journal.history(spool.path / PRIVATE)
    wants = bool
    if everybody and IPartner.providedBy(spool):
        history, wants = spool.history_of_all(), spool.terms.wants
    found = history.find(kind='delivered', since=since)
    names = dict.fromkeys(str(each.get('name')) for each in reversed([*found]))
    return [name for name in names if wants(name)]


def _has_delivered(spool, name):
    found = journal.history(spool.path / PRIVATE).find(name=name, kind='delivered')
    return next(found, None) is not None


def _each(console, function, *arguments):
    """Call `function(*arguments)`, say what it returns, or tell its error; return the exit code."""
    try:
        text = function(*arguments)
    except (FileError, SpoolBusy) as error:
        return _tell(console, error)
    if not console.quiet:
        console.say(text)
    return errors.DONE


def _with(name, spools):
    """Return the spools in which the file waits; all, if it waits nowhere."""
    found = [spool for spool in spools if name and waits(spool, name)]
    return _shared_alone(found or spools)


def _shared_alone(spools):
    """Return `spools` without the partners of those among them, who do as their spool does."""
    paths = {spool.path for spool in spools}
    return [
        spool
        for spool in spools
        if not IPartner.providedBy(spool) or spool.shared.path not in paths
    ]


def _what_is_next(name, spool):
    """Return what comes of it that a name, or all, is released."""
    status = spool.status()
    if ALL in status.held:
        return 'but the whole spool is held.'
    if status.held and not name:
        return f'{plural(len(status.held), "file")} held by name still.'
    waiting = [each for each in status.waiting if name in (ALL, each.name)]
    if not waiting:
        return 'nothing waits now.'
    try:
        schedule.require_begun(waiting[0].not_before if name else '', now=time.time())
    except Embargoed as error:
        return f'it waits: {error.message}.'
    return 'the next run sends it.'


def _what(name, spool):
    where = printable(str(spool.path))
    return f'{printable(name)} in {where}' if name else f'The whole spool {where}'


def _tell(console, error):
    console.tell(error)
    return error.exit_code
