"""The start of a transfer, whose first answer may be waited for later."""

import errno

from zeit.cds.errors import (
    ConnectionLost,
    DataConnectionRefused,
    NotBegun,
    PermanentError,
    RemoteProtocolError,
    ServerError,
)
from zeit.cds.ftp import reply_errors, was_executed
from zeit.cds.network.deadline import Until


#: What to do when the server refuses a data connection that was made.
MADE = (
    'The connection was made, so no firewall prevents it: its operator finds in the log of the '
    'server why it is not used.'
)


class Start:
    """The start of a transfer that the `ControlConnection` `control` asks for.

    `early`: data may be sent before it is accepted, and be lost; `connected`: it has its data
    connection; `accepted`: the server has said that it begins.
    `began(argument)` is called when the server begins, or when nobody knows whether it did (then
    perhaps twice): not when it has refused.
    """

    def __init__(self, control, verb, argument, *, began=lambda argument: None):
        self._control = control
        self._command = verb, argument
        self._began = began
        self._asked = False
        self.early = False
        self.connected = False
        self.accepted = False

    def __repr__(self):
        return f'<Start of {self._command[0]}, {"accepted" if self.accepted else "open"}>'

    def ask(self):
        """Send the command."""
        self._asked = True
        self._control.send(self._command)

    def wait(self, *, within=None):
        """Wait until the server has accepted it, if that is still to be done.

        Raises why it does not, `NotBegun` if it is silent about a file that is to be sent to us.
        """
        if self.accepted:
            return
        try:
            self._first_word(within)
        except ConnectionLost as error:
            raise self.blamed(error) from error
        # In this order: a signal in between must not hide that it began.
        self._began(self._command[1])
        self.accepted = True

    def _first_word(self, within):
        control = self._control
        answer = control.answer(until=None if within is None else Until(within))
        if answer.verdict == reply_errors.WAIT:
            return
        command, reply = answer.command, answer.reply
        if command.verb in reply_errors.LISTINGS and reply.code < 400 and not control.in_between:
            if was_executed.in_step(control):
                # In place of a listing it is a refusal, whatever it means elsewhere.
                raise PermanentError(reply.code, reply.text, command=command.shown)
        answer.check()
        text = f'The server ended {command.verb} before the transfer: {reply.text}'
        raise RemoteProtocolError(text)

    def blamed(self, error):
        """Return the error, `NotBegun` in place of a silence about a file that is to be sent."""
        if self.accepted or self._command[0] != 'RETR' or error.errno != errno.ETIMEDOUT:
            return error
        return NotBegun(
            error.errno,
            f'The server did not begin to send it: {error.message}',
            hint='Check whether it is a regular file: a pipe, for example, is never sent.',
        )

    def failed(self, error):
        """It has ended by `error`."""
        if self.connected and isinstance(error, DataConnectionRefused):
            error.advise(MADE)
        if self._asked and not self.accepted and not isinstance(error, ServerError):
            self._began(self._command[1])
