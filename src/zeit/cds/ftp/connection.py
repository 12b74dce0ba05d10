"""One login on an FTP server, as a session uses it: its parts, getting in, getting out.

The control connection is the lowest part: `zeit.cds.ftp.control`.  The others use it, each those
before it: `pipelining` sends commands before their turn, `files` asks for sizes and gives names,
`transfers` moves files, and `listings` looks into directories.
"""

import codecs
import logging

from zeit.cds.errors import Error
from zeit.cds.ftp import login, opening
from zeit.cds.ftp.capabilities import Capabilities
from zeit.cds.ftp.control import ControlConnection
from zeit.cds.ftp.files import Files
from zeit.cds.ftp.listings import Listings
from zeit.cds.ftp.pipelining import Pipeline
from zeit.cds.ftp.transfers import Transfers
from zeit.cds.network.deadline import Deadline, Until
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How long the reply to QUIT is waited for where it is, in seconds: nothing is learned from it.
QUIT_TIMEOUT = 2


class Connection:
    """A login; in the directory, and in binary mode, if that was entered.

    `control` is its `ControlConnection`, `data` has its data connections, `files` its `Files`.
    `context` is what `settings.tls.context()` made, if TLS is wanted; `capabilities` are the
    server's.
    """

    def __init__(self, settings, *, deadline=None, context=None, capabilities=None):
        self.control = control = ControlConnection(
            settings,
            deadline=deadline or Deadline(),
            capabilities=capabilities or Capabilities(),
        )
        self._context = context
        self._pipeline = pipeline = Pipeline(control)
        self.files = files = Files(pipeline)
        transfers = Transfers(control, files=files)
        listings = Listings(transfers, pipeline=pipeline, files=files)
        control.list_names = listings.list_names

        # What a session calls is a method of one of the parts.
        self.data = control.data
        self.is_due, self.shown, self.drop = control.is_due, control.shown, control.drop
        self.command = pipeline.command
        self.is_reusable = files.is_reusable
        self.size, self.sizes, self.sizes_of = files.size, files.sizes, files.sizes_of
        self.modified, self.look, self.is_directory = files.modified, files.look, files.is_directory
        self.rename, self.packet = files.rename, files.packet
        self.upload, self.download, self.read = transfers.upload, transfers.download, transfers.read
        self.list_names, self.list_by = listings.list_names, listings.list_by
        self.list_facts, self.list_files = listings.list_facts, listings.list_files
        self.list_resting = listings.list_resting

    def __repr__(self):
        return repr(self.control).replace('ControlConnection', 'Connection')

    @property
    def usable(self):
        """See `ControlConnection`."""
        return self.control.usable

    @property
    def capabilities(self):
        """What the server is capable of: `Capabilities`."""
        return self.control.capabilities

    @property
    def protection(self):
        """The `Protection` of its data connections, None without TLS."""
        return self.data.protection

    def serve(self, *, deadline, capabilities=None):
        """Work for another session from now on, with its `deadline`, and its `capabilities`."""
        control = self.control
        control.deadline = control.stream.deadline = deadline
        control.known_size = None
        if capabilities is not None:
            control.capabilities = capabilities

    def open(self):
        """Connect and log in.  Raises what `ITarget.open` raises."""
        control = self.control
        try:
            opening.connect(control, context=self._context)
            login.log_in(self._pipeline)
        except Error as error:
            error = opening.explained(error, control)
            login.before_any_file(error)
            self.drop()
            raise error
        except BaseException:
            self.drop()
            raise
        control.utf8_due = codecs.lookup(control.settings.encoding).name == 'utf-8'

    def enter_directory(self):
        """See `zeit.cds.ftp.login.enter_directory`."""
        login.enter_directory(self._pipeline)

    def quit(self, *, awaited=False):
        """Say goodbye, if that makes sense, and close; never raises.

        `awaited`: not before the server has answered.  It may allow one login at a time, and
        another one follows.
        """
        control = self.control
        if control.usable and not control.in_between:
            try:
                control.send(('QUIT', ''))
                if awaited:
                    control.answer(until=Until(QUIT_TIMEOUT))
                    control.stream.finish(activity='saying goodbye')
            except Error as error:
                log.debug('No goodbye from the server: %s', printable(error.message))
        self.drop()
