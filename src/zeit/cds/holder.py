"""Whether there is a lock on a server, whose it is, and since when, as far as can be seen."""

import contextlib
import logging
import re

from zeit.cds import names
from zeit.cds.errors import (
    COME_BACK_LATER,
    CONFIGURATION,
    ConfigurationError,
    Error,
    Locked,
    LockVanished,
    NotTold,
    ServerError,
)
from zeit.cds.presence import is_no_file
from zeit.cds.text import local_time, printable


log = logging.getLogger(__name__)

_SINCE = re.compile(r', since \S+$')


def said(content, *, since):
    """Return what the `content` (bytes) of a lock says, without the ends of its lines.

    One of ours says its time as well; that is left out if `since` will be told.
    """
    text = ' '.join(content.decode('utf-8', 'backslashreplace').split())
    if since is not None and names.token_of(text):
        text = _SINCE.sub('', text)
    return text


def described(session, name, *, lost=False):
    """Return the `Locked` for the lock or guard `name`: who holds it, since when."""
    holder, since, tokens = 'It cannot be read.', None, set()
    try:
        if name == names.GUARD:
            inside = sorted(session.names(inside=name))
            tokens.update(map(names.token_of, inside))
            holder = f'An exporter is about to lock: {printable(", ".join(inside)) or "unknown"}'
        else:
            since = session.modified(name)
            content = session.read(name, limit=1000)
            if content is not None:
                tokens.add(names.token_of(content.decode('latin-1')))
                text = said(content, since=since)
                holder = f'It says: {printable(text)}' if text else 'It is empty.'
    except Error as error:
        log.debug('Nothing is known about %s: %s', name, printable(error.message))
        holder = f'It cannot be read: {printable(error.message)}'
    if since is not None:
        holder += f' (since {local_time(since)})'
    return Locked(
        name,
        lost=lost,
        holder=holder,
        tokens=tokens - {''},
        hint='Whoever made it removes it, and the next run goes on. If nobody does: '
        '"zeit-cds unlock", with the exporter or the URL of this run, shows it, and removes it if '
        'you are sure.',
    )


def not_ours(session, name, *, lost=False):
    """Return the error for the lock `name` of ours that does not carry our token any more.

    `lost`: it did so for some time.  A `Locked`, or a `LockVanished` if there is none.
    """
    with contextlib.suppress(NotTold):
        if not session.exists(name):
            return LockVanished(name)
    return described(session, name, lost=lost)


def refuse(session, locks, *, present=None):
    """Raise the `Locked` for the first of `locks` that is there; return (a listing, refusals).

    `present` is a listing that was just made.  SIZE is asked as well: listings may be cut, and may
    leave files out.  It is asked before a listing is made, for which the port goes along then.  The
    refusals, by name, are those answers that do not say that there is no such file.
    """
    there, refusals = set(present or ()).intersection(locks), {}
    if not there:
        there, refusals = _files_among(session, locks)
    if present is None:
        present = session.names()
    for name in locks:
        if name in there or name in present:
            raise described(session, name)
    return present, refusals


def require_sight(session, present=()):
    """Raise `ConfigurationError` if nobody can tell what is not in the directory.

    To be called when a file of ours is there: what shows neither that, in the listing `present`,
    nor its size does not show somebody's lock, either.
    """
    if not session.is_proven(present):
        raise ConfigurationError(
            'The server shows neither our own files nor their sizes, so that nobody could see a '
            'lock there',
            hint='Let the account have the right to list the directory, or SIZE.',
        )


def refuse_unseen(session, locks, *, refusals):
    """Raise the `Locked` for the first of `locks` that is seen now that a file of ours is there.

    `refusals` are those of `refuse`, a moment ago.  Raises `ConfigurationError` if none could be
    seen, `NotTold` if the server does not tell whether there is one.
    """
    if session.is_proven() and not refusals:
        return
    present, refusals = refuse(session, locks)
    require_sight(session, present)
    require_told(session, present, refusals)
    for name in sorted(present):
        # Perhaps one name to this server: nobody has asked it for the size.
        if not names.readings(name).isdisjoint(locks):
            raise described(session, name)


def require_told(session, present, refusals):
    """Raise `NotTold` if there may be a lock of which SIZE was refused as in `refusals`.

    Only a listing that shows a file of ours shows that there is none: is this `present` one?
    """
    if session.is_shown(present):
        return
    for name, refusal in refusals.items():
        raise NotTold(
            f"The server does not tell whether there is a lock '{name}': {refusal.message}",
            hint='Perhaps somebody has it in use, so none was made. If it stays so, let the '
            'account have the right to list the directory.',
            exit_code=COME_BACK_LATER if refusal.transient else CONFIGURATION,
        )


def _files_among(session, candidates):
    """Return (those that have a size, the refusals that say nothing by name)."""
    found, refusals = set(), {}
    for name, size in zip(candidates, session.sizes(*candidates), strict=True):
        if isinstance(size, ServerError):
            log.debug('SIZE tells nothing about %s: %s', printable(name), printable(size.message))
            if not is_no_file(size):
                refusals[name] = size
        elif size is not None:
            found.add(name)
    return found, refusals
