"""Texts of the page that are no part of a template, as messages of the domain `zeit.cds`."""

import datetime
import errno
import os
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from zope.i18nmessageid import Message, MessageFactory

from zeit.cds import errors
from zeit.cds.spool.statistics import SIGNAL
from zeit.cds.text import file_size, from_timestamp, local, local_time, printable


_ = MessageFactory('zeit.cds')

#: How many characters are shown of what servers, partners and applications have said.
SAID_CHARACTERS = 500

#: What an exit code of a run means.
OUTCOMES = {
    errors.DONE: _('done'),
    errors.FILES_FAILED: _('not all files went through'),
    errors.USAGE: _('it was called in a wrong way'),
    errors.UNAVAILABLE: _('the server could not be used'),
    errors.SOFTWARE: _('an internal error'),
    errors.LOCK_LEFT_BEHIND: _('the lock could not be removed'),
    errors.COME_BACK_LATER: _('the server was locked'),
    errors.LOGIN_REFUSED: _('the login was refused'),
    errors.CONFIGURATION: _('the configuration or a directory cannot be used'),
}

#: What has happened to a file, by the `event` of `log --json`.
EVENTS = {
    'delivered': _('delivered'),
    'imported': _('imported'),
    'withdrawn': _('withdrawn'),
    'retraction': _('retracted'),
    'parked': _('parked'),
    'resent': _('sent once more'),
    'given_up': _('parked by hand'),
    'pruned': _('deleted here'),
    'held': _('held'),
    'released': _('released'),
}

#: What a file does now, by the `state` of `zeit.cds.browser.source`.
STATES = {
    'waiting': _('waits'),
    'held': _('is held'),
    'filing': _('was sent, and is on its way to cur'),
    'parked': _('is parked'),
    'given up': _('was parked by hand'),
    'unpublished': _('could not be put into the spool'),
}


#: What runs and spools write down in always the same words.  All else stays as it is in the log,
#: where people look for it: most of it has names, addresses, or words of a server.
FIXED = {
    str(each): each
    for each in (
        _('An older version was brought back in its place.'),
        _('It has waited too long for this partner (give_up_after).'),
        _('Replaced by a newer version while its transaction was in doubt.'),
        _('The application does not want it any more.'),
        _('The next run tries again.'),
        _('Check host and port, and whether a firewall drops the packets.'),
        _('Check user and password; too many attempts may lock the account.'),
        _('Nothing listens there: check host and port, and whether the server runs.'),
        _('There is no route to the host: check the network.'),
        _('There is no route to the network: check the network.'),
        _('begins with a dot, and such files are never sent'),
        _('is a FIFO, not a regular file'),
        _('is a device, not a regular file'),
        _('is a directory, not a regular file'),
        _('is a socket, not a regular file'),
        _('is a symbolic link, not a regular file'),
    )
} | {
    os.strerror(number): text
    for number, text in (
        (errno.ECONNREFUSED, _('Connection refused')),
        (errno.ECONNRESET, _('Connection reset by peer')),
        (errno.EHOSTUNREACH, _('No route to host')),
        (errno.ENETUNREACH, _('Network is unreachable')),
        (errno.ETIMEDOUT, _('Connection timed out')),
    )
}


def said(text):
    """Return a `text` of the core or of others as it can be shown, '' for none.

    That is a message if it is one of ours, or `FIXED`, also with advice behind it.
    """
    if isinstance(text, Message):
        return text
    what, _dot, advice = str(text or '').partition('. ')
    if advice and what in FIXED:
        return _('${what}. ${advice}', mapping={'what': FIXED[what], 'advice': said(advice)})
    return FIXED.get(text) or printable(str(text or ''), limit=SAID_CHARACTERS)


def failure(error):
    """Return what an `Error` says, and its hint, as `said`."""
    text = error.args[0] if error.args and isinstance(error.args[0], Message) else error.message
    return said(text), said(error.hint)


def outcome(exit_code):
    """Return in words what the exit code of a run means."""
    if type(exit_code) is int and exit_code > SIGNAL:
        return _('it was ended from outside')
    other = _('exit code ${code}', mapping={'code': str(exit_code)})
    return OUTCOMES.get(exit_code, other)


def age(seconds):
    """Return a duration in `seconds`, as `zeit.cds.text.age` does."""
    seconds = max(0, int(seconds))
    for text, length in ((_('${n} d'), 86400), (_('${n} h'), 3600), (_('${n} min'), 60)):
        if seconds >= 2 * length:
            return _(text, mapping={'n': str(seconds // length)})
    return _('${n} s', mapping={'n': str(seconds)})


def duration(seconds):
    """Return how long a run took: short ones to the tenth of a second."""
    return _('${n} s', mapping={'n': f'{seconds:.1f}'}) if seconds < 10 else age(seconds)


class Moment(NamedTuple):
    """A time: `iso` for machines, `local` for people, in the `zone` of this machine.

    `age` is how long ago that was.
    """

    iso: str
    local: str
    zone: str
    age: str
    seconds: float

    @property
    def full(self):
        """The local time with its zone, for where nothing else tells that."""
        return f'{self.local} {self.zone}'

    @property
    def ago(self):
        """The age in a sentence."""
        return _('${age} ago', mapping={'age': self.age})


def moment(text, now):
    """Return the `Moment` of a time in ISO format, None if it is none; `now` is since the epoch."""
    try:
        found = datetime.datetime.fromisoformat(text)
        seconds = now - found.timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    shown, zone = local_time(found), local(found).strftime('%Z')
    return Moment(found.isoformat(timespec='seconds'), shown, zone, age(seconds), seconds)


def before(seconds, now):
    """Return the `Moment` that was this many `seconds` ago, None for None."""
    return None if seconds is None else moment(from_timestamp(now - seconds).isoformat(), now)


def size(number):
    """Return `number` of bytes in the unit that suits it."""
    return file_size(number) if type(number) is int else ''


def encoded(name):
    """Return the name of a file in ASCII, so that each form and URL can have it."""
    return quote_from_bytes(os.fsencode(name), safe='')


def decoded(text):
    """Return what was `encoded`."""
    return os.fsdecode(unquote_to_bytes(text))
