"""What all sessions do, whichever protocol they speak: their time, their garbage, their end."""

import contextlib
import io
import logging

from zeit.cds.errors import LOST, Error, SizeMismatch
from zeit.cds.network.deadline import Deadline, unanswered
from zeit.cds.system.throttle import UNLIMITED
from zeit.cds.target.name_probe import NameProbe
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many seconds there are to clean up after an interruption.
HURRY = 8

#: A connection that was kept is replaced if it does not answer within this many seconds.
SOON = 5


#: The commands of `ISession.perform` that take a name away.
LEAVING = ('RNTO', 'DELE')


class BaseSession:
    """An `ISession` but for its protocol.

    `capabilities` is what all sessions of a run know of the server: `known`, `renames`, `learned`
    of `ISession`, and what `NameProbe` needs.  `link` has the connection, and replaces it; see
    `zeit.cds.target.reconnecting`.  `kept` is where it is between two sessions, a `Kept`, or None.
    `throttle` is for the files; what is needed for a lock is little, and waits for none of them.

    Of a protocol are the operations, and four private methods: `_enter` lets a new connection be in
    the directory, `_execute` calls something over the present one, `_resume` looks whether the
    server still answers over what was kept, `_clean_up` deletes garbage.
    """

    def __init__(
        self,
        settings,
        delivery,
        *,
        capabilities,
        link=None,
        throttle=UNLIMITED,
        deadline=None,
        kept=None,
    ):
        self._settings = settings
        self.delivery = delivery
        self._capabilities = capabilities
        self.known = capabilities.known
        self._link = link
        self._throttle = throttle
        self._kept = kept
        self._deadline = Deadline(outer=deadline)
        self._patience = Deadline(outer=self._deadline)
        self._hurries = self._followed = False
        self._cleaned_over = None
        self._tried = set()
        self.free = True
        self.garbage = []
        self.unconfirmed = set()

    def __repr__(self):
        return f'<{type(self).__name__} {self._link}, {len(self.garbage)} to be deleted>'

    @property
    def learned(self):
        """See `ISession`."""
        return self._capabilities.learned

    @property
    def renames(self):
        """See `ISession`; a refusal is about that name only then."""
        return self._capabilities.renames

    def is_shown(self, present):
        """See `ISession`."""
        return not self.known.isdisjoint(present)

    def misspelt(self, names, *, token):
        """See `ISession`."""
        return NameProbe(self, capabilities=self._capabilities, token=token).refused(names)

    def _forget(self, commands):
        """Forget the names that `commands` of `perform` take away; return those known till now."""
        known = {name for verb, name, *_ in commands if verb in LEAVING and name in self.known}
        self.known.difference_update(known)
        return known

    def _remember(self, command, refusal, *, known):
        """Know what became of a command of `perform`: `known` is that of `_forget`."""
        verb, name, *new = command
        if verb == 'RNTO' and refusal is None:
            self._capabilities.renames = True
            self.known.update(new if name in known else ())
        elif verb in LEAVING and refusal is not None and name in known:
            self.known.add(name)
        return refusal

    # The connection

    @property
    def connections(self):
        """See `ISession`."""
        return self._link.made

    def enter(self):
        """See `ITransfers`."""
        self._ready()

    def reconnect(self):
        """See `ISession`."""
        self._link.reconnect()

    def _taken(self):
        """Return what was kept, if the server still answers over it; or None."""
        kept = self._kept and self._kept.take(self._settings)
        if kept is None:
            return None
        soon = Deadline(outer=self._patience)
        soon.restart(SOON)
        try:
            self._resume(kept, deadline=soon)
            return kept
        except Error as error:
            # That says nothing about the server: a NAT may have forgotten it.
            log.debug('The connection that was kept is of no use: %s', printable(error.message))
            kept.quit()
            return None
        except BaseException:
            kept.quit()
            raise

    def _ready(self, *call):
        """Return a connection that is usable, in the directory, and free for this `call`.

        Over each new one garbage is deleted first.
        """
        connection = self._link.ready(*call, deadline=self._patience, enter=self._enter)
        if connection is not self._cleaned_over:
            self._cleaned_over = connection
            self._clean_up()
        return self._link.connection

    def _query(self, *call, **options):
        """Execute what changes nothing; once more if the connection broke."""
        try:
            return self._execute(*call, **options)
        except LOST as error:
            if error.while_connecting:
                raise
            log.debug('Once more over a new connection: %s', printable(error.message))
            return self._execute(*call, **options)

    # Uploads and downloads

    @contextlib.contextmanager
    def at_work(self):
        """See `ITransfers`."""
        try:
            yield
        except (Error, GeneratorExit):
            raise
        except BaseException:
            self.hurry()
            raise
        finally:
            self.delete_garbage()

    @contextlib.contextmanager
    def during(self, transfer, *, followed=False):
        """See `ITransfers`."""
        self._patience.transfer, self._followed = transfer, followed
        try:
            yield
        finally:
            self._patience.transfer, self._followed = None, False

    def sibling(self):
        """See `ITransfers`."""
        return type(self)(
            self._settings,
            self.delivery,
            capabilities=self._capabilities,
            link=self._link.beside(),
            throttle=self._throttle,
            deadline=self._deadline,
        )

    # Garbage

    def delete_garbage(self):
        """Delete our garbage if that is possible; a failure here is none of a file."""
        if self.garbage:
            self._tried.clear()
            self._clean_up_if_possible()

    def dispose_of(self, name):
        """See `ITransfers`."""
        if name not in self.garbage:
            self.garbage.append(name)
        self._tried.discard(name)
        self._clean_up_if_possible()
        return name not in self.garbage

    def _clean_up_if_possible(self):
        try:
            self._ready()
            self._clean_up()
        except Error as error:
            log.debug('Not cleaned up: %s', printable(error.message))

    def _untried(self):
        """Return what is to be deleted, and was not tried: what stays must not stand in the way."""
        return [name for name in self.garbage if name not in self._tried]

    # The end

    def bound(self, seconds, *, ends=False):
        """See `ISession`."""
        if self._hurries:
            return
        if ends:
            self._deadline.restart(seconds, passed=unanswered(seconds))
        else:
            self._deadline.restart(seconds, span=seconds)

    def hurry(self):
        """See `ITransfers`."""
        self.bound(HURRY, ends=True)
        self._hurries = True

    def leave(self):
        """See `ITransfers`."""
        self.delete_garbage()
        self._link.leave()

    def close(self):
        """See `ISession`."""
        self.bound(HURRY, ends=True)
        self.delete_garbage()
        for name in self.garbage:
            log.warning('Left on the server, for the next run to delete: %s', printable(name))
        unsure = self._hurries or self.garbage or self.unconfirmed
        self._link.end(kept=None if unsure else self._kept)


class Content(io.BytesIO):
    """Bytes to be stored, as an upload wants them."""

    @property
    def size(self):
        """The number of bytes."""
        return self.getbuffer().nbytes


def require_whole(source, *, sent):
    """Raise `SizeMismatch` if a file had not as many bytes as its `source` was announced with."""
    if sent != source.size:
        raise SizeMismatch(
            f'The file was announced with {source.size} bytes, but {sent} were read',
            hint='It changed while it was sent; the next run sends it again.',
        )
