"""What was delivered and is retracted: deleted on the server, if it is what we have delivered.

Whoever retracts only writes down which content, see `zeit.cds.spool.withdrawal`, and waits for no
server.  The next run finds its receipts, and notes in the journal a row for each file whose last
delivered version is of that content.  Under the lock, and before anything is sent, each of them is
deleted, if nothing newer was delivered under its name, and if the server has it with the size and
the SHA-256 of the receipt; it is read for that.  A receipt says what has become of it.

A size proves nothing, and a time no more: partners set it.
"""

import logging

from zeit.cds import digests
from zeit.cds.errors import LOST, FileError, ServerError, SourceGone, raise_signal
from zeit.cds.journal.append_log import number_of
from zeit.cds.journal.kinds import told
from zeit.cds.spool.delivered_files import delivered
from zeit.cds.spool.withdrawal import require_idle
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: What has become of a file, and what is said of it.
OUTCOMES = {
    'deleted': 'It was retracted, and deleted on the server.',
    'gone': 'It was retracted, and is not on the server any more.',
    'changed': 'It was retracted, but the server has something else of its name, which stays.',
    'replaced': 'It was retracted, but something newer was delivered under its name, which stays.',
    'unknown': 'It was retracted, but the receipt has no SHA-256, and nobody can tell whether the '
    'server has it still: look there.',
    'forgotten': 'It was retracted, and a person has decided that it stays.',
}

#: What the journal has of a receipt.
_KNOWN = 'target', 'name', 'sequence', 'size', 'sha256'

#: The outcomes that are logged as warnings: somebody may want to look.
STAYS = 'changed', 'unknown'

#: Errors that concern one file: the run goes on with the others.
_OF_ONE_FILE = (ServerError, FileError, *LOST)


class _Digest:
    """Digests what is written to it, and keeps nothing."""

    def __init__(self):
        self.size, self._digest = 0, digests.sha256()

    def __repr__(self):
        return f'<Digest of {self.size} bytes>'

    def write(self, data):
        self.size += len(data)
        self._digest.update(data)

    @property
    def sha256(self):
        return self._digest.hexdigest()


class RetractedFiles:
    """Deletes at the target with the `View` `ledger`; `record` is that of the run.

    `size_check` is that of the target.
    """

    def __init__(self, ledger, *, record, size_check):
        self._ledger = ledger
        self._journal = ledger.journal
        self._record = record
        self._size_check = size_check

    def __repr__(self):
        return f'<RetractedFiles at {self._ledger.url}>'

    def prepare(self):
        """Find the files of what was retracted since the last run.  Raises `SpoolError`."""
        for row in self._journal.find('erasures'):
            uploads = self._journal.find('uploads')
            contents = [self._journal.told(number_of(each)).get('content') for each in uploads]
            if row['id'] in contents:
                continue  # it has no receipt yet
            with self._journal.together():
                for receipt in _receipts(self._journal, content=row['id'], until=row['sequence']):
                    self._journal.note('remove', id=row['id'], **receipt)
            with self._journal.log.locked():
                if self._journal.row('erasures', row['id']) == row:
                    self._journal.note('erased', id=row['id'])

    def rows(self):
        """Return what is to be deleted at this target: rows of the journal, by name."""
        return self._ledger.rows('removals')

    def dry_run(self):
        """Say of a dry run what would be deleted."""
        for name in self.rows():
            log.info('Would delete on the server, if unchanged: %s', printable(name))

    def delete(self, session, lock):
        """Delete what is to be deleted; what fails is tried again by the next run."""
        for name, row in self.rows().items():
            about = {'name': name, 'sequence': row['sequence'], 'size': row['size']}
            if self._ledger.close('retraction', about, since=row['at']):
                continue  # a run was killed behind that
            try:
                outcome = self._erase(session, lock, name, row)
            except _OF_ONE_FILE as error:
                raise_signal(error)
                if not error.hint and isinstance(error, ServerError):
                    known = f'"zeit-cds retry --forget {printable(row["id"] or name)}"'
                    error.advise(
                        'Let the account read and delete files there; the next run tries again. '
                        f'If it is to stay: {known}'
                    )
                self._record.failed(name, error, size=row['size'], what='deleted on the server')
                if error.while_connecting:
                    raise
            else:
                settle(self._journal, row, outcome)
                level = logging.WARNING if outcome in STAYS else logging.INFO
                log.log(level, '%s: %s', printable(name), OUTCOMES[outcome])
                about = {'size': row['size'], 'content': row['id'], 'reason': OUTCOMES[outcome]}
                self._record.result(name, 'retracted', **about)

    def _erase(self, session, lock, name, row):
        """Delete a file if it is what was delivered; return the outcome."""
        if self._is_replaced(name, row):
            return 'replaced'
        from zeit.cds.target.fetcher import Fetcher

        fetcher, digest = Fetcher(session, size_check=self._size_check), _Digest()
        look = fetcher.look(name)
        if not look.exists:
            return 'gone'
        if look.size not in (None, row['size']):
            return 'changed'
        if not row['sha256']:
            return 'unknown'
        try:
            look = fetcher.fetch(name, digest, before=look)
        except SourceGone:
            return 'gone'
        if digest.sha256 != row['sha256']:
            return 'changed'
        lock.watch()
        return self._delete(session, name)

    def _is_replaced(self, name, row):
        number = number_of(row)
        about = {'kind': 'delivered', 'target': self._ledger.url, 'above': number}
        found = self._journal.history.find(name=name, **about)
        return any(number_of(each) > number for each in found)

    def _delete(self, session, name):
        try:
            session.delete(name)
        except ServerError:
            if session.exists(name):
                raise
        except LOST as error:
            if not error.while_connecting:
                session.unconfirmed.add(name)  # nothing may get this name in this run
            raise
        (size,) = session.sizes(name)
        if isinstance(size, int):
            raise FileError(
                'The deletion was confirmed, but it is still there',
                hint='Let the account delete files there; the next run tries again.',
            )
        return 'deleted'


def _receipts(journal, **wanted):
    """Return what the journal has of each receipt of what the partner has, as it is `wanted`."""
    found = [each for each in delivered(journal.history, **wanted) if each.keys() >= {*_KNOWN}]
    return [{field: receipt[field] for field in _KNOWN} for receipt in found]


def take_back(journal, receipts, reason):
    """Let the next run delete on the server what was delivered of a file, for a `reason`.

    `receipts` are what `zeit.cds.spool.delivered_files.delivered` finds; `journal` knows what is
    written about the file, and is locked.  Returns the URLs of the targets, a list.  Raises
    `SpoolBusy` if a version of it is being delivered at this moment, and `SpoolError`.
    """
    receipts = [each for each in receipts if each.keys() >= {*_KNOWN}]
    for receipt in receipts:
        require_idle(receipt['name'], journal)
    with journal.together():
        for receipt in receipts:
            about = {field: receipt[field] for field in _KNOWN}
            journal.note('remove', id=receipt.get('content', ''), reason=reason, **about)
    return [receipt['target'] for receipt in receipts]


def forget(journal, wanted):
    """Let what was delivered stay on the server; return whether it was to be deleted.

    `wanted` is the id of its content, or the name of a file.  `journal` knows all, and is locked.
    """
    rows = [row for row in journal.find('removals') if wanted in (row['id'], row['name'])]
    waits = journal.row('erasures', wanted)
    if waits is not None:  # no run has looked yet for what that is
        found = _receipts(journal, content=wanted, until=waits['sequence'])
        rows += [{'id': wanted, **each} for each in found]
    for row in rows:
        settle(journal, row, 'forgotten')
    if waits is not None:
        journal.note('erased', id=wanted)
    return waits is not None or rows != []


def settle(journal, row, outcome):
    """Write the receipt of a file that was to be deleted, a `row` of the `journal`."""
    about = {field: row[field] for field in _KNOWN}
    about |= told({'content': row['id']}) | {'outcome': outcome}
    journal.receipt('retraction', about | ({'reason': row['reason']} if row.get('reason') else {}))
