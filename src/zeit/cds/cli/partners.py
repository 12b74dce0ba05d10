"""What `zeit-cds partners` does."""

import time

from zeit.cds import errors
from zeit.cds.cli.status_text import oldest
from zeit.cds.errors import LockLeftBehind, UsageError
from zeit.cds.interfaces import IPartner
from zeit.cds.journal import journal
from zeit.cds.spool import sharing
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.spool import translated
from zeit.cds.text import age, file_size, plural, printable


def as_text(selected_spools):
    """Return what people read: who gets the files of each spool."""
    configured = [each.spool for each in selected_spools if IPartner.providedBy(each.spool)]
    found = [_paragraph(each, configured) for each in _shared(selected_spools)]
    return '\n\n'.join(found) or 'No spool has several partners.'


def _shared(selected_spools):
    """Return the spools with several partners, each of them once, by its path."""
    found = {}
    for each in selected_spools:
        is_partner = IPartner.providedBy(each.spool)
        spool = each.spool.shared if is_partner else each.spool
        if is_partner or sharing.is_shared(spool.path):
            found[str(spool.path)] = spool
    return [*found.values()]


def _paragraph(spool, configured):
    lines = [f'Spool {printable(str(spool.path))}']
    known = sharing.known(spool.path)
    partners = [Partner(spool, terms) for terms in known.values()]
    to_come = [each for each in configured if each.shared.path == spool.path]
    partners += [each for each in to_come if each.name not in known]
    for each in partners:
        lines += [f'  {printable(each.name)}: {printable(each.terms.url)}']
        lines += ['    no run as one of several yet'] * (each.name not in known)
        lines += [f'    {line}' for line in _about(each)]
    for name in sharing.known(spool.path, left=True):
        lines += [f'  {printable(name)}: removed']
    return '\n'.join(lines)


def _about(partner):
    """Yield what there is to say of a partner."""
    terms, status, now = partner.terms, partner.status(), time.time()
    waiting = status.waiting
    if terms.wanted != '*':
        yield f'gets {printable(terms.wanted)}'
    if terms.give_up_after is not None:
        yield f'gives up after {age(terms.give_up_after)}'
    if waiting:
        size = file_size(sum(each.size for each in waiting))
        yield f'{plural(len(waiting), "file")} waiting, {size}, {oldest(waiting, now)}'
        if status.alone:
            alone = file_size(sum(each.size for each in status.alone))
            yield f'of these for it alone: {plural(len(status.alone), "file")}, {alone}'
    else:
        yield 'nothing waiting'


def remove(console, selected_spools, name, *, sure):
    """Let the partner `name` be none any more; return the exit code.

    What a killed run of it has left on its server is told: none follows that would clean up.
    """
    configured = [each for chosen in selected_spools for each, _ in chosen.targets]
    if name in configured:
        raise UsageError(
            f'{printable(name)} has an exporter still, and would be a partner again at once',
            hint='Remove that from the ZCML file first.',
        )
    found = [each for each in _shared(selected_spools) if name in sharing.known(each.path)]
    if not found:
        known = [each for spool in _shared(selected_spools) for each in sharing.known(spool.path)]
        raise UsageError(
            f'There is no partner {printable(name)!r}',
            hint=f'Known: {", ".join(map(printable, known)) or "none"}.',
        )
    codes = [errors.DONE]
    for spool in found:
        partner = Partner(spool, sharing.known(spool.path)[name])
        waiting = len(partner.status().waiting)
        where = f'{printable(name)} of {printable(str(spool.path))}'
        question = f'{plural(waiting, "file")} will not be sent to {where}. '
        if _left_behind(partner):
            question += 'Its last run was killed, and one more would clean up its server. '
        question += 'Remove this partner? [y/N] '
        otherwise = f'{printable(name)} was not removed'
        if not sure and not console.confirms(question, otherwise=otherwise):
            return errors.COME_BACK_LATER
        with translated(spool.path):
            sharing.Sharing(spool.path).leave(name)
        if not console.quiet:
            console.say(f'Nothing waits for {where} any more.')
        # Now no run of it is active, nor begins.
        if left := _left_behind(partner):
            console.tell(left)
            codes.append(left.exit_code)
    return errors.decisive(codes)


def _left_behind(partner):
    """Return the `LockLeftBehind` of what killed runs may have left on its server, or None."""
    url = partner.terms.url
    tokens = journal.read(partner.path / PRIVATE, table='tokens').open_tokens(url)
    if not tokens:
        return None
    url += '/' if url.endswith('/') else ''  # the root of a server, as the command takes it
    return LockLeftBehind(
        f'A run of {printable(partner.name)} was killed, and may have left its lock on the server, '
        f'and files with {", ".join(tokens)} in their names',
        hint=f'"zeit-cds unlock {printable(url)}" shows the lock, and removes it: it needs the '
        'password, and the options of the target. Delete such files by hand.',
    )
