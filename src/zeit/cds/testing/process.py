"""Run a daemon in the foreground, for as long as this process lives and not longer."""

import contextlib
import os
import pathlib
import select
import socket
import ssl
import subprocess
import sys
import time

from zeit.cds.testing import supervisor


# Seconds.  The slowest of the daemons, ProFTPD, greets after some 50 ms; the rest is for a machine
# that is busy with something else.
START_TIMEOUT = 20
# The supervisor's grace, and what the kernel needs to take processes away.
STOP_TIMEOUT = supervisor.GRACE + 10
# Seconds for the server to close after QUIT; some do not.
GOODBYE_TIMEOUT = 1
# Milliseconds until the next attempt to connect, cut short when the daemon dies.
RETRY = 5


class ServerError(Exception):
    """A test server did not start, or did not stop.  The text carries its last output."""


class Daemon:
    """One foreground process and all of its descendants, watched by `supervisor`.

    `command` is the list of words to execute, `log` the path of a file that takes its output,
    `directories` what is removed if this process dies before it has called `stop`.
    Nothing runs before `start`.  It ends with `stop`, and also when this process ends in whatever
    way; see `zeit.cds.testing.supervisor` for how.
    """

    def __init__(self, command, *, log, directories=()):
        self.command = list(command)
        self.log = pathlib.Path(log)
        self.directories = os.pathsep.join(map(str, directories))
        self._process = None

    def __repr__(self):
        return f'<Daemon {self.command[0]} {"running" if self.alive else "stopped"}>'

    @property
    def alive(self):
        """Tell whether the daemon runs."""
        return self._process is not None and not self._ended(0)

    @property
    def pid(self):
        """The supervisor's process id, of which the daemon is a child; None when stopped."""
        return self._process and self._process.pid

    @property
    def descriptors(self):
        """The descriptors in this process that belong to the running daemon."""
        process = self._process
        return {process.stdin.fileno(), process.stdout.fileno()} if process else set()

    @property
    def output(self):
        """The last lines that the daemon wrote to its standard output and error."""
        try:
            return self.log.read_text(errors='replace').strip()[-2000:]
        except FileNotFoundError:
            return ''

    def start(self):
        """Start the process; raises ServerError if it runs already."""
        if self._process is not None:
            raise ServerError(f'{self!r} is started already')
        with open(self.log, 'wb') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-I', '-S', supervisor.__file__, self.directories, *self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def wait_for_greeting(
        self, address, *, begins=b'220', timeout=START_TIMEOUT, implicit_tls=False
    ):
        """Return once the server greets at *address*, a pair (host, port).

        begins: what the greeting of such a server begins with, by default that of FTP; timeout:
        seconds; implicit_tls: it comes after a handshake.  Raises ServerError, with the daemon's
        output, if the daemon dies or the time is over.
        """
        deadline = time.monotonic() + timeout
        while True:
            greeting = self._greeting(address, deadline=deadline, implicit_tls=implicit_tls)
            if self._ended(0 if greeting else RETRY):
                raise ServerError(f'{self.command[0]} ended at once: {self.output or greeting!r}')
            if greeting.startswith(begins):
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f'{self.command[0]} did not greet within {timeout} s: {greeting!r}'
                    f' {self.output}'
                )

    def wait_until(self, ready, *, timeout=START_TIMEOUT):
        """Return once `ready()` is true, an OSError of it meaning no.

        timeout: seconds.  Raises ServerError, with the daemon's output, if the daemon dies or the
        time is over.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if ready():
                    return
            if self._ended(RETRY):
                break
        raise ServerError(f'{self.command[0]} does not answer: {self.output}')

    def stop(self):
        """End the daemon and all of its descendants; return when they are gone.

        Does nothing when it is stopped already.  SIGTERM first, SIGKILL after the grace.  Raises
        ServerError if they are still there after STOP_TIMEOUT.
        """
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.ExitStack() as stack:
            stack.callback(process.stdout.close)
            stack.callback(process.stdin.close)
            # Said aloud, not only by closing the pipe: a fork of this process may hold a copy.
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.wait(STOP_TIMEOUT)
                raise ServerError(f'{self.command[0]} could not be stopped') from error

    def _ended(self, milliseconds):
        """Wait until everything is gone, at most *milliseconds*; tell whether it is."""
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        return bool(poll.poll(milliseconds))

    def _greeting(self, address, *, deadline, implicit_tls):
        """Return what the server says first, empty if nobody answers; leave politely."""
        remaining = max(deadline - time.monotonic(), 0.1)
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(
                    socket.create_connection(address, timeout=remaining)
                )
                if implicit_tls:
                    connection = stack.enter_context(_any_server().wrap_socket(connection))
                greeting = connection.recv(1024)
                connection.sendall(b'QUIT\r\n')
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(GOODBYE_TIMEOUT)
                # Until the server closes: its limits count this session no longer.
                with contextlib.suppress(TimeoutError):
                    while connection.recv(1024):
                        pass
                return greeting
            except OSError:
                return b''


def _any_server():
    """Return a TLS context for a look whether the server is there, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
