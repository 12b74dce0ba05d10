"""How files get onto a server: each is sent, compared, written down, given its name."""

import itertools
import logging

from zeit.cds import names
from zeit.cds.errors import (
    CONFIGURATION,
    LOST,
    Error,
    NotProven,
    NotTold,
    PermanentError,
    ServerError,
    SizeMismatch,
    SourceChanged,
    TakenAway,
    TargetExists,
    raise_signal,
)
from zeit.cds.target.earlier_upload import holds
from zeit.cds.target.in_place import Existing
from zeit.cds.target.workers import work_on
from zeit.cds.text import printable
from zeit.cds.values.plan import Outcome


log = logging.getLogger(__name__)

#: What to do when a complete upload does not get its name.
CANNOT_RENAME = 'For a server that cannot rename, set temporary="no" (--no-temporary).'
CANNOT_REPLACE = (
    'Other files could be renamed: perhaps a directory has this name, or the server does not '
    'accept it.'
)
IN_PLACE = (
    'A file of that name is there, and the server neither replaces it nor gives it another name; '
    'perhaps somebody has it in use. The next run tries again.'
)

#: What happens when a server does not say how it ended.
AGAIN = 'The next run sends it again.'

#: An upload that has begun can end so only when the server is storing; with all other errors it may
#: not have come to STOR.
_AFTER_THE_START = (ServerError, SizeMismatch, SourceChanged)


def upload_files(session, plan, *, ledger, token=None):
    """Upload the files of `plan`; yield an `IOutcome` for each as it comes.

    `session` is an `ITransfers`, `ledger` an `ILedger`; `token` is in the name of everything that
    is made on the way, a new one by default.

    A generator: it asks `plan.next()` for a job when it has a connection free for one, and the
    caller's greenlet alone touches the plan.  An outcome's source stays open until the next one is
    asked for.  It must be closed when it is left early.  Errors of the connection are outcomes too:
    the plan decides whether to go on.
    """
    existing, numbers = Existing(session), itertools.count(1)
    token = token or names.new_token()

    def uploader(each, *, call=lambda function: function()):
        in_place = each is not session and not each.delivery.temporary
        return Uploader(
            each,
            token=token,
            ledger=ledger,
            numbers=numbers,
            existing=existing.beside(each) if in_place else existing,
            call=call,
        )

    return work_on(plan, session, ledger=ledger, new_attempts=uploader)


class Uploader:
    """Uploads over a session; `token` marks what it makes, `ledger` remembers what matters.

    `numbers` tell the files of one token apart; `existing` is what the directory holds.
    `call(function)` does what each file needs written down, together with other files.
    """

    def __init__(self, session, *, token, ledger, numbers, existing, call):
        self._session = session
        self._delivery = session.delivery
        self._token = token
        self._ledger = ledger
        self._numbers = numbers
        self._existing = existing
        self._call = call

    def __repr__(self):
        return f'<Uploader {self._token}>'

    def attempt(self, job, source, *, followed=False):
        """Deliver the open `source` as `job.name`; return the `IOutcome`.

        `followed`: another file is likely to follow.
        """
        try:
            with self._session.during(source.rate, followed=followed):
                reply = self._upload(job.name, source)
            return Outcome(job=job, source=source, reply=reply)
        except Error as error:
            raise_signal(error)
            error.in_doubt = job.name in self._session.unconfirmed
            return Outcome(job=job, error=error)

    def _upload(self, name, source):
        """Send, compare, rename; return the server's final word on the upload."""
        source.require_wanted()  # nothing is sent in vain
        if not self._delivery.temporary:
            return self._upload_in_place(name, source)
        temporary = names.temporary(name, token=self._token, number=next(self._numbers))
        began, noted, renaming = [], False, False
        try:
            reply = self._send(temporary, source, began=began.append, to=name)
            source.verify()
            noted = True
            self._note_sent(name, temporary, source, reply)
            source.require_wanted()
            renaming = True
            self._publish(temporary, name, source)
        except BaseException as error:
            if isinstance(error, ServerError):
                began.append(temporary)  # some servers create it, and then refuse the command
            if renaming and self._may_be_renamed(temporary, error):
                self._session.unconfirmed.add(name)
                raise  # the next run finds out, as after a kill
            if noted:
                # Before the temporary is deleted: a run after a crash takes one that is gone for
                # one that got its name.
                self._ledger.note('abandoned', name)
            self._session.garbage += set(began)
            raise
        return reply

    def _may_be_renamed(self, temporary, error):
        """Return whether an upload may have got its real name before `error` came."""
        if isinstance(error, (ServerError, TakenAway, TargetExists)):
            return False
        if not isinstance(error, Error):
            self._session.hurry()
        try:
            return not self._session.exists(temporary)
        except Error as unknown:
            log.debug('Perhaps renamed: %s: %s', printable(temporary), printable(unknown.message))
            return True

    def _upload_in_place(self, name, source):
        """The same under the real name: what is there already is written down before."""
        before, size = self._existing.look(name), source.size
        self._note('exposed', name, size=size, before=before, sequence=source.number)
        began = []
        try:
            source.require_wanted()
            reply = self._send(name, source, began=began.append)
            if not reply:
                self._require_arrived(name, source, before)
            source.verify()
        except BaseException as error:
            if began:
                self._delete_part(name, size=size, before=before, error=error)
            else:
                self._tidied(name)
            raise
        # What is under the real name is complete; the part of an earlier attempt was not.
        self._session.garbage = [other for other in self._session.garbage if other != name]
        self._session.unconfirmed.discard(name)
        self._existing.mark_complete(name, size=size)
        self._note_sent(name, '', source, reply)
        return reply

    def _require_arrived(self, name, source, before):
        """Raise `NotProven` if an older file of the same size may stand there.

        Servers that store beside and swap when all is there have that one until then.
        """
        if before is None:
            told = name not in self._session.garbage
        else:
            told = before[0] not in (None, source.size)
        if not (told or holds(self._session, name, source)):
            raise NotProven(
                'No reply says that the upload is complete, and a file of the same size was there',
                hint=AGAIN,
            )

    def _delete_part(self, name, *, size, before, error):
        """Delete the part under the real name, after `error`."""
        if not isinstance(error, Error):
            self._session.hurry()
        part = True
        try:
            part = isinstance(error, _AFTER_THE_START) or Existing(self._session).is_part(
                name, size=size, before=before, waits=True
            )
        except Error as unknown:
            # Rather no file than half of one: it still waits in the spool.
            log.debug('Taken for a part: %s: %s', printable(name), printable(unknown.message))
        finally:
            # Not before: garbage is deleted over the next connection.
            if part:
                self._session.garbage.append(name)
        if not part:
            self._tidied(name)
            return
        self._existing.mark_partial(name)
        self._dispose_of(name, name)

    def _note(self, kind, name, **fields):
        self._call(lambda: self._ledger.note(kind, name, **fields))

    def _note_sent(self, name, temporary, source, reply):
        self._note(
            'uploaded' if temporary else 'placed',
            name,
            temporary=temporary,
            size=source.size,
            sha256=source.sha256,
            reply=reply,
            sequence=source.number,
            source=[*source.version],
        )

    def _send(self, name, source, *, began, to=''):
        """Send and compare; return the final word, '' without one.

        It is going to be renamed `to`, if given.
        """
        # Behind RNFR there is no room for OPTS UTF8, which the real name of a hash may need.
        rename_follows = bool(to) and (to.isascii() or not name.isascii())
        return self._session.upload(name, source, began=began, rename_follows=rename_follows)

    def _publish(self, temporary, name, source):
        """Give a complete upload, of `source`, its real name."""
        try:
            self._rename_or_replace(
                temporary, name, arrived=lambda: holds(self._session, name, source)
            )
        except PermanentError as error:
            if error.is_unsupported and not self._session.renames:
                error.exit_code = CONFIGURATION  # every other file would be sent in vain, too
            elif not self._exists(temporary, unknown=True):
                raise TakenAway(f'The upload is gone: {error.message}') from error
            if not error.hint:
                error.advise(CANNOT_REPLACE if self._session.renames else CANNOT_RENAME)
            raise

    def _rename_or_replace(self, temporary, name, *, arrived):
        try:
            self._rename_for_sure(temporary, name, arrived=arrived)
            return
        except PermanentError as error:
            there, old_size = self._existing_file(name)
            if not there:
                raise
            if self._delivery.exists == 'park':
                raise TargetExists(
                    f'The server has a file of that name already: {error.message}',
                    hint='With exists="replace" (--exists replace) it would be replaced.',
                ) from error
        # The server does not overwrite: first the old file aside, then the new one in.
        old = names.aside(name, token=self._token)
        self._ledger.note('aside', name, aside=old)
        try:
            self._move_aside(name, old, old_size)
            self._rename_for_sure(temporary, name, arrived=arrived)
        except BaseException:
            self._restore(old, name, old_size, temporary=temporary)
            raise
        self._dispose_of(old, name)

    def _existing_file(self, name):
        """Return whether there is a file that can be put aside, and its size, None if not told."""
        (size,) = self._session.sizes(name)
        if not isinstance(size, ServerError):
            return size is not None, size
        # Where it tells other sizes, somebody has this file in use.
        return not self._session.tells_sizes() and self._exists(name), None

    def _has_size(self, name, size):
        return self._session.exists(name) if size is None else self._session.size(name) == size

    def _exists(self, name, *, unknown=False):
        """Return whether there is a file `name`; `unknown` if that is not told."""
        try:
            return self._session.exists(name)
        except NotTold as error:
            log.debug('%s', printable(error.message))
            return unknown

    def _move_aside(self, name, old, size):
        try:
            self._rename_for_sure(name, old, arrived=lambda: self._has_size(old, size))
        except PermanentError as error:
            if not error.is_unsupported or self._session.renames:
                error.advise(IN_PLACE)
            raise

    def _dispose_of(self, old, name):
        if self._session.dispose_of(old):
            self._tidied(name)

    def _tidied(self, name):
        """Note it, unless there is something to be deleted, or may be later: the next run looks."""
        if name not in self._session.unconfirmed and name not in self._session.garbage:
            self._ledger.note('tidied', name)

    def _restore(self, old, name, size, *, temporary):
        """Give a file that may have been moved aside its name back.

        Not if `temporary` is gone: the new file had the name, and was taken away at once.
        """
        try:
            if not self._session.exists(old):
                self._tidied(name)
            elif not self._session.exists(name) and self._session.exists(temporary):
                self._rename_for_sure(old, name, arrived=lambda: self._has_size(name, size))
                self._session.unconfirmed.discard(name)
                self._tidied(name)
            else:
                # It is replaced, only the answer was lost.
                self._ledger.note('aside', name, aside=old, replaced=True)
                self._dispose_of(old, name)
        except Error as error:
            log.error(
                'On the server %s is called %s now; the next run puts it back: %s',
                printable(name),
                printable(old),
                printable(error.message),
            )

    def _rename_for_sure(self, old, new, *, arrived):
        """Rename; where no reply says whether it happened, find out.

        `arrived()` tells whether `new` is what was `old`, when that is gone.
        """
        try:
            inferred = self._session.rename(old, new)
        except LOST as error:
            if error.while_connecting:
                raise
            if not self._session.exists(old):
                if not arrived():
                    raise  # taken away at once, or never renamed: nothing is left to rename
                log.debug('Renamed, only the answer was lost: %s', printable(new))
                self._session.unconfirmed.discard(old)
                return
            if old in self._session.unconfirmed and not names.token_of(old):
                raise  # it would rename whatever has got this real name by then
            inferred = self._session.rename(old, new)
        if inferred and not arrived():
            raise NotProven(
                f'No reply says that {printable(old)} was renamed, and it is gone', hint=AGAIN
            )
