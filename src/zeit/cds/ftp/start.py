"""The start of a transfer, whose first answer may be waited for later."""

import errno

from zeit.cds.errors import ConnectionLost, NotBegun, ServerError


class Start:
    """The start of a transfer over a `PassiveConnection`.

    `began(argument)` is called when the server begins, or when nobody knows whether it did (then
    perhaps twice): not when it has refused.
    """

    def __init__(self, connection, verb, argument, *, began=lambda argument: None):
        self._connection = connection
        self._command = verb, argument
        self._began = began
        self._asked = False
        self.accepted = False

    def __repr__(self):
        return f'<Start of {self._command[0]}, {"accepted" if self.accepted else "open"}>'

    def ask(self):
        """Send the command."""
        self._asked = True
        self._connection.begin(*self._command)

    def wait(self, *, within=None):
        """Wait until the server has accepted it, if that is still to be done."""
        if not self.accepted:
            self._connection.first_word(within=within)
            # In this order: a signal in between must not hide that it began.
            self._began(self._command[1])
            self.accepted = True

    def expect(self):
        """Wait as `wait` does; raise `NotBegun` if the server is silent about a file."""
        try:
            self.wait()
        except ConnectionLost as error:
            if not self._command[1] or error.errno != errno.ETIMEDOUT:
                raise
            raise NotBegun(
                error.errno,
                f'The server did not begin to send it: {error.message}',
                hint='See whether it is a regular file there: a pipe, for example, is never sent.',
            ) from error

    def failed(self, error):
        """It has ended by `error`."""
        if self._asked and not self.accepted and not isinstance(error, ServerError):
            self._began(self._command[1])
