"""What was delivered is sent once more, by a person: a copy of what is in `cur/`, if that is it.

The partner has lost it, say.  It gets a new number, as all that comes in, so nobody takes its old
receipt for the new one.  That would make an old version the newest: so it is refused where anything
newer of its name is known, or where its content was retracted.
"""

import logging
import os
from typing import NamedTuple

from zeit.cds.errors import Expired, FileError, SpoolBusy
from zeit.cds.journal import kinds
from zeit.cds.journal.append_log import number_of
from zeit.cds.spool import entries, newer_version, schedule, transactions_in_doubt
from zeit.cds.spool.delivered_files import was_published
from zeit.cds.spool.filing import FILING
from zeit.cds.spool.sequence import OUTBOX, Numbers
from zeit.cds.spool.source import Source
from zeit.cds.spool.withdrawal import require_idle
from zeit.cds.system import files
from zeit.cds.text import printable


log = logging.getLogger(__name__)

_ANEW = 'Publish it again; or put it into the spool anew, if it is to go all the same.'


class Delivered(NamedTuple):
    """What is to be sent once more: its `name`, its `receipt`, and its name in `cur/`, `stored`."""

    name: str
    receipt: dict
    stored: str

    @property
    def number(self):
        """That of the version."""
        return number_of(self.receipt)

    @property
    def told(self):
        """What the application has told of it."""
        return kinds.told(self.receipt)


class Resending:
    """Sends once more from the spool at `path`; `parking` is its `Parking`.

    `filed_at` is that of the `ISpool`.

    All methods raise `FileError` for a file that is not to be sent, and OSError, `SpoolError`.
    """

    def __init__(self, path, *, parking, filed_at):
        self._filed_at = filed_at
        self._path = os.fspath(path)
        self._parking = parking

    def __repr__(self):
        return f'<Resending from {self._path!r}>'

    def _in(self, *segments):
        return os.path.join(self._path, *segments)

    def find(self, name, history, *, now):
        """Return what was `Delivered` last as `name`, as the `history` has it.

        What has expired `now` no run would send.
        """
        found = next(history.find(name=name, kind='delivered'), None)
        if found is None:
            raise FileError(
                f'{printable(name)} was never delivered, as far as receipts tell',
                hint='"zeit-cds log" shows what was.',
            )
        # Where a clock was set back, the last line may be about an older one.
        later = history.find(name=name, kind='delivered', above=number_of(found))
        found = max([found, *later], key=number_of)
        delivered = Delivered(name, found, str(found.get('filed_as') or name))
        try:
            schedule.require_not_over(delivered.told.get('not_after'), now=now)
        except Expired as error:
            raise _refused(name, error.message, _ANEW) from None
        return delivered

    def draft(self, delivered):
        """Return the path of a copy in `tmp/`; it is what was delivered."""
        path = self._filed_at(delivered.stored)
        shown = f'cur/{printable(delivered.stored)}'
        if os.path.basename(path) != delivered.stored or not os.path.lexists(path):
            raise FileError(
                f'{printable(delivered.name)} cannot be sent again: {shown} is gone',
                hint='Somebody has deleted it, or "zeit-cds prune" ("zeit-cds log" shows that): '
                'put it into the spool anew.',
            )
        with Source(path) as source:
            draft = files.draft(self._in('tmp'), source.rewound())
        with Source(draft) as source:
            size, digest = source.size, source.digest()
        expected = delivered.receipt.get('sha256')
        if size != delivered.receipt.get('size') or (expected and digest != expected):
            os.unlink(draft)
            raise FileError(
                f'{shown} is not what was delivered: size and SHA-256 are those of another file',
                hint=f'"zeit-cds receipt {printable(delivered.name)}" shows them; put the right '
                'file into the spool anew.',
            )
        if not expected:
            log.warning('%s: its receipt has no SHA-256, its size is right.', shown)
        return draft

    def place(self, delivered, draft, remembered):
        """Give the draft its name in `new/`; return False if the lock of the journal was lost.

        `remembered` is a `Journal`, locked, that knows what is written about name and content.
        """
        name, told = delivered.name, delivered.told
        self._require_newest(delivered, remembered)
        is_notice = self._require_valid(delivered, remembered)
        numbers = Numbers(remembered)
        number = numbers.note(name, entries.find(*os.path.split(draft)).version, told=told)
        about = {'name': name, 'sequence': number, 'size': delivered.receipt['size'], **told}
        # Before it waits: a kill in between has it sent no more than a person knows.
        remembered.record('resent', {**about, 'from': delivered.stored})
        if is_notice:
            remembered.record('notice', {**about, 'content': told['content']})
            remembered.note('notice', id=told['content'], name=name, sequence=number)
        if not numbers.are_ours():
            return False
        try:
            files.rename_exclusively(draft, self._in('new', name))
        except FileExistsError:
            raise newer_version.taken(name) from None
        return True

    def _require_newest(self, delivered, remembered):
        """Refuse what is not the newest of its name."""
        name, number = delivered.name, delivered.number
        require_idle(name, remembered)
        if entries.find(self._in(FILING), name) is not None:
            raise SpoolBusy(
                f'{printable(name)} is on its way to cur at this moment',
                hint='Try again when the run has ended.',
            )
        if entries.find(self._in('new'), name) is not None:
            raise _refused(name, 'it waits already', 'The next run sends what waits.')
        later = remembered.newest_delivered(name, above=number)
        if later is not None and later['sequence'] > number:
            raise _refused(name, 'a newer version was delivered just now', 'Try again.')
        if name in transactions_in_doubt.names(self._in(OUTBOX)):
            hint = '"zeit-cds status" shows what is in doubt; the next run decides.'
            raise _refused(name, 'a newer version may be about to come in', hint)
        for parked in self._parking.versions(name):
            if parked.number > number and not parked.given_up:
                what = f'a newer version is parked as {printable(parked.stored)}'
                hint = '"zeit-cds retry" sends that, "zeit-cds drop" gives it up.'
                raise _refused(name, what, hint)

    def _require_valid(self, delivered, remembered):
        """Refuse what was taken back since, or is about to be; return whether it is a notice."""
        name, number, content = delivered.name, delivered.number, delivered.told.get('content')
        history = remembered.history
        if remembered.find('removals', name=name):
            raise _refused(name, 'it is about to be deleted on the server', _ANEW)
        since = [*history.find(name=name, kind='retraction', above=number - 1)]
        if content:
            since += remembered.find('retracted', id=content)
            since += history.find(content=content, kind='notice', above=number)
        # A retraction of this very version has its number, and so has the notice of one.
        if any(number_of(each) >= number + (each['kind'] != 'retraction') for each in since):
            raise _refused(name, 'it was retracted since', _ANEW)
        notices = history.find(name=name, kind='notice', above=number - 1)
        is_notice = bool(content) and number in map(number_of, notices)
        if is_notice and was_published(remembered, content, above=number):
            raise _refused(name, 'it tells of a retraction, and was published since', _ANEW)
        return is_notice


def _refused(name, why, hint):
    return FileError(f'{printable(name)} is not sent again: {why}', hint=hint)
