"""What `zeit-cds unlock` does: a lock that nobody will remove any more, removed by a person.

Whose a lock is, the journals of the spools tell; see `zeit.cds.lock.unlocking` for the rest.
"""

import contextlib
import logging

from zeit.cds import errors
from zeit.cds.errors import Error, UsageError
from zeit.cds.journal import journal
from zeit.cds.lock import unlocking
from zeit.cds.text import printable
from zeit.cds.usable import require_usable


log = logging.getLogger(__name__)


def opened(target, *, spools):
    """Return a session on a `target`, as runs of its `spools` know the server."""
    return target.open(learned=_learned(target, spools))


def _learned(target, spools):
    """Return what a run of one of the spools has found out about the server, {} if none has."""
    for spool in spools:
        with contextlib.suppress(OSError, errors.SpoolError):  # `own_tokens` says it
            known = journal.read(spool.path / '.cds', table='learned').at(target.url)
            if learned := known.learned():
                return learned
    return {}


def own_tokens(spool):
    """Return the tokens in the journal of `spool` that its next run will know as ours.

    It only reads, as somebody who may be another user than the one of the runs.  A copied journal
    has none.
    """
    try:
        known = journal.read(spool.path / '.cds')
    except (OSError, errors.SpoolError) as error:
        log.debug('No journal: %s', error)
        return set()
    return set() if known.is_copy else {row['token'] for row in known.find('tokens')}


def run(console, server, *, sure):
    """Show the locks behind a `SelectedServer`, remove those that are to be; the exit
    code.

    `sure` removes without asking.  Otherwise what the next run of a known spool heals is left to
    it; and to a run that is active its own lock in any case.
    """
    try:
        return _run(console, server, sure=sure)
    except UsageError:
        raise
    except Error as error:
        error.server = error.server or server.target.title
        raise


def _run(console, server, *, sure):
    require_usable(server.target)
    session = opened(server.target, spools=server.spools)
    try:
        found = unlocking.find(session)
        console.say(f'Server {server.target.title}')
        if not found:
            console.say('  not locked')
            return errors.DONE
        own = {spool: own_tokens(spool) for spool in server.spools}
        codes, wanted = [], []
        for each in found:
            spool = _shown(console, each, own)
            if spool is not None and spool.status().active:
                codes.append(errors.COME_BACK_LATER)
            elif spool is None or sure:
                wanted.append(each)
        codes += [_remove(console, session, each, sure=sure) for each in wanted]
        return errors.decisive(codes)
    finally:
        session.close()


def of_a_run(spool):
    """Return whose a lock is that belongs to a run of `spool`."""
    path, active = printable(str(spool.path)), spool.status().active
    does = f'is active ({active})' if active else 'is over; the next run removes it'
    return f'made by a run of {path}, which {does}'


def _shown(console, found, own):
    """Show a lock; return the one of our spools that it belongs to, or None."""
    console.say(f"  '{printable(found.name)}': {found.description}")
    for spool, tokens in own.items():
        if found.tokens & tokens:
            console.say(f'    {of_a_run(spool)}')
            return spool
    if own:
        spools = ', '.join(printable(str(spool.path)) for spool in own)
        console.say(f'    not made by a run of spool {spools}')
    return None


def _remove(console, session, found, *, sure):
    name = f"'{printable(found.name)}'"
    question = f'Remove {name}? Its owner may be using the server. [y/N] '
    about = {'otherwise': f'{name} was not removed'}
    about['hint'] = 'If nobody is using the server, pass --yes.'
    if not (sure or console.confirms(question, **about)):
        return errors.COME_BACK_LATER
    remover = unlocking.Remover(session)
    remover.remove(found)
    console.say(f'{name} removed.')
    if not remover.exclusive:
        console.say(
            '  The server cannot rename it, so it was read again and deleted; a new lock made '
            'between the two is gone as well.'
        )
    return errors.DONE
