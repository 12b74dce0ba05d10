"""How files get onto a server: each is sent, compared, written down, given its name."""

import itertools
import logging

from zeit.cds import names
from zeit.cds.errors import (
    Error,
    NotProven,
    ServerError,
    SizeMismatch,
    SourceChanged,
    TakenAway,
    TargetExists,
    raise_signal,
)
from zeit.cds.target.interrupted_upload import holds
from zeit.cds.target.renaming import AGAIN, Renaming
from zeit.cds.target.upload_in_place import Existing
from zeit.cds.target.workers import work_on
from zeit.cds.text import printable
from zeit.cds.values.plan import Outcome


log = logging.getLogger(__name__)

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
        self._renaming = Renaming(session, token=token, ledger=ledger)
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
            self._renaming.give_name(temporary, name, source)
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
                self._renaming.tidied(name)
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
            self._renaming.tidied(name)
            return
        self._existing.mark_partial(name)
        self._renaming.dispose_of(name, name)

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
