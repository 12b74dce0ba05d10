"""One file onto an FTP server, for sure: send, compare, rename.

The file goes under a temporary name; it is complete when the server has confirmed the upload and
tells the same size.  Only then it gets its real name.
"""

import dataclasses
import logging

from zeit.cds import names
from zeit.cds.errors import (
    ConnectionLost,
    Error,
    PermanentError,
    RemoteProtocolError,
    ReplyLost,
    ServerError,
    ServiceClosing,
    SizeMismatch,
    TargetExists,
)
from zeit.cds.plan import Outcome
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: After one of these the connection is gone, and nothing is known about the command's effect.
LOST = (ConnectionLost, RemoteProtocolError, ServiceClosing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivery:
    """How files are stored.

    `temporary`: send under a temporary name, rename when complete.  `size_check`: without a
    matching answer to SIZE a file is not delivered.  `exists`: what to do when the server refuses
    to rename onto an existing file, 'replace' or 'park'.
    """

    temporary: bool = True
    size_check: bool = True
    exists: str = 'replace'


class Sender:
    """Delivers files by means of a session; `options` is a `Delivery`."""

    def __init__(self, session, options):
        self._session = session
        self._options = options
        self._token = names.new_token()
        self._number = 0

    def __repr__(self):
        return f'<Sender {self._token}, {self._number} so far>'

    def store(self, name, content):
        """Send the binary file `content` under exactly this name."""
        began = []
        try:
            sent, _ = self._session.upload(name, content, began=began.append)
            if self._options.size_check:
                self._compare(name, sent)
        except BaseException:
            for each in began:
                self._session.discard(each)
            raise

    def attempt(self, job, source):
        """Deliver a job from its open source; return the `Outcome`."""
        try:
            return Outcome(job=job, source=source, reply=self._deliver(job.name, source))
        except Error as error:
            return Outcome(job=job, error=error)

    def _deliver(self, name, source):
        """Send, compare, rename; return the server's final word on the upload."""
        remote = name
        if self._options.temporary:
            self._number += 1
            remote = names.temporary(name, token=self._token, number=self._number)
        began = []
        try:
            reply = self._send(remote, source, began=began.append)
            source.verify()
            if remote != name:
                self._publish(remote, name, source.size)
        except BaseException:
            for each in began:
                self._session.discard(each)
            raise
        return reply

    def _send(self, name, source, *, began):
        try:
            sent, reply = self._session.upload(name, source, began=began)
            reply = reply.text
        except ReplyLost as error:
            if not self._options.size_check:
                raise
            log.debug('%s', printable(error.message))
            sent, reply = error.sent, ''
        if sent != source.size:
            raise SizeMismatch(
                f'The file was announced with {source.size} bytes, but {sent} were read',
                hint='It changed while it was sent; the next run sends it again.',
            )
        if self._options.size_check:
            self._compare(name, sent)
        return reply

    def _compare(self, name, sent):
        try:
            size = self._session.size(name)
        except ServerError as error:
            if isinstance(error, ServiceClosing):
                raise
            raise SizeMismatch(
                f'The server does not tell the size of the file: {error.message}',
                hint='If it never does, size_check="no" trusts its final reply alone.',
            ) from error
        if size != sent:
            there = 'no file' if size is None else f'{size} bytes'
            raise SizeMismatch(
                f'{sent} bytes were sent, but the server has {there}',
                hint='The incomplete file is not used; the next run sends it again.',
            )

    def _publish(self, temporary, name, size):
        """Give a complete upload its real name."""
        try:
            self._rename_or_replace(temporary, name, size)
        except PermanentError as error:
            error.hint = 'For a server that cannot rename, set temporary="no".'
            error.add_note(error.hint)
            raise

    def _rename_or_replace(self, temporary, name, size):
        try:
            self._rename_for_sure(temporary, name, size)
            return
        except PermanentError as error:
            old_size = self._session.size(name)
            if old_size is None:
                raise
            if self._options.exists == 'park':
                raise TargetExists(
                    f'The server has a file of that name already: {error.message}',
                    hint='With exists="replace" it would be replaced.',
                ) from error
        # The server does not overwrite: first the old file aside, then the new one in.
        old = names.aside(name, token=self._token)
        try:
            self._rename_for_sure(name, old, old_size)
            self._rename_for_sure(temporary, name, size)
        except BaseException:
            self._restore(old, name, old_size)
            raise
        self._session.discard(old)
        self._session.sweep()

    def _restore(self, old, name, size):
        """Give a file that may have been moved aside its name back."""
        try:
            if self._session.size(old) is None:
                return
            if self._session.size(name) is None:
                self._rename_for_sure(old, name, size)
            else:
                self._session.discard(old)  # it is replaced, only the answer was lost
        except Error as error:
            log.error(
                'On the server %s is now called %s, and cannot be renamed back: %s',
                printable(name),
                printable(old),
                printable(error.message),
            )

    def _rename_for_sure(self, temporary, name, size):
        """Rename; where the answer is lost, find out whether it happened."""
        try:
            self._session.rename(temporary, name)
        except LOST as error:
            if error.while_connecting:
                raise
            if self._session.size(temporary) is None and self._session.size(name) == size:
                log.debug('Renamed, only the answer was lost: %s', printable(name))
                return
            self._session.rename(temporary, name)
