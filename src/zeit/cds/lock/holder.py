"""Whether there is a lock on a server, whose it is, and since when, as far as can be seen."""

import logging
import re

from zeit.cds import names
from zeit.cds.errors import (
    ConfigurationError,
    Error,
    Locked,
    LockVanished,
    RemoteProtocolError,
    ServerError,
)
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


def content_of(session, name):
    """Return what is in the lock `name`, as `ISession.read` does.

    Its size is asked for first: of an empty file some servers never begin to send anything.
    """
    session.sizes(name, followed=True)
    return session.read(name, limit=1000)


def locked_by(session, name, *, lost=False):
    """Return the `Locked` for the lock or guard `name`: who holds it, since when."""
    holder, since, tokens = 'It cannot be read.', None, set()
    try:
        if name == names.GUARD:
            inside = sorted(session.names(inside=name))
            tokens.update(map(names.token_of, inside))
            holder = f'An exporter is about to lock: {printable(", ".join(inside)) or "unknown"}'
        else:
            since = modified(session, name)
            content = content_of(session, name)
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
        hint='Its owner should remove it; the next run will retry. If nobody does, "zeit-cds '
        'unlock" with the exporter or URL of this run shows it, and removes it if you are sure.',
    )


def modified(session, name):
    """Return when the file was changed (aware datetime), None if the server does not tell."""
    try:
        return session.modified(name)
    except (ServerError, RemoteProtocolError) as error:
        log.debug('No time of %s: %s', printable(name), printable(error.message))
        return None


def not_ours(session, name, *, lost=False):
    """Return the error for the lock `name` of ours that does not carry our token any more.

    `lost`: it did so for some time.  A `Locked`, or a `LockVanished` if there is none.
    """
    vanished = has_vanished(session, name)
    return LockVanished(name) if vanished else locked_by(session, name, lost=lost)


def has_vanished(session, name):
    """Return whether nothing shows our lock any more: enough to say so, and to do nothing else."""
    return session.sizes(name, followed=True) == [None] and name not in session.names()


def is_seen(session, name, *, sizes=None):
    """Return whether the server shows a file that it was told to delete, or to rename.

    `sizes` is what `ISession.sizes` tells of it, if that was asked.  It is enough for trying again,
    or for saying so.
    """
    (size,) = sizes or session.sizes(name)
    return size is not None and (not isinstance(size, ServerError) or name in session.names())


def refuse(session, locks, *, present=None, rename_follows=''):
    """Raise the `Locked` for the first of `locks` that is there; return a listing.

    `present` is one that was just made.  SIZE is asked as well: listings may be cut, and may leave
    files out.  It comes first: the port for the listing is asked for in the same packet.
    `rename_follows`: see `ISession.sizes`.
    """
    there = set(present or ()).intersection(locks)
    there = there or _files_among(session, locks, rename_follows=rename_follows)
    if present is None:
        present = session.names()
    for name in locks:
        if name in there or name in present:
            raise locked_by(session, name)
    return present


def refuse_beside_ours(session, locks, **options):
    """The same when a file of ours is there, which the listing must show.

    Raises `ConfigurationError` if it does not.
    """
    present = refuse(session, locks, **options)
    require_sight(session, present)
    if not session.tells_sizes():
        for name in sorted(present):
            # Perhaps one name to this server: nobody has been told that it has a size.
            if not names.readings(name).isdisjoint(locks):
                raise locked_by(session, name)
    return present


def require_sight(session, present):
    """Raise `ConfigurationError` if `present`, a listing, does not show a file of ours.

    One that does not show that does not show somebody's lock, either, whatever SIZE tells.
    """
    if not session.is_shown(present):
        raise ConfigurationError(
            'The server does not list the directory as it is: no listing '
            f'({session.terms.listings}) shows the file that was just made there, so that nobody '
            'could see a lock',
            hint='Give the account the right to list it. A program there that removes '
            "whatever it finds must leave alone what begins with 'write' or 'read'.",
        )


def _files_among(session, candidates, **options):
    found, sizes = set(), session.sizes(*candidates, followed=True, **options)
    for name, size in zip(candidates, sizes, strict=True):
        if isinstance(size, ServerError):
            log.debug('SIZE tells nothing about %s: %s', printable(name), printable(size.message))
        elif size is not None:
            found.add(name)
    return found
