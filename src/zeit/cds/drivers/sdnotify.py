"""What systemd wants to hear from a service: sd_notify(3), without a library.

The protocol is a datagram with lines NAME=VALUE to the socket that the environment names.
"""

import logging
import math
import os
import socket
import threading
import time

from zeit.cds.system.forks import not_inherited


log = logging.getLogger(__name__)

#: Seconds that a message may take; systemd reads at once, and nothing depends on it.
TIMEOUT = 1


class Notifier:
    """Tells systemd; does nothing where that has not started us.  `environ` as os.environ."""

    def __init__(self, environ):
        self._address = environ.get('NOTIFY_SOCKET', '')
        self._watchdog = environ.get('WATCHDOG_USEC', '')
        self._watchdog_pid = environ.get('WATCHDOG_PID', '')

    def __repr__(self):
        return f'<Notifier {self._address!r}>'

    @property
    def watchdog(self):
        """Seconds within which systemd wants to hear from us again; None if it does not."""
        if not self._watchdog.isdecimal() or self._watchdog_pid not in ('', str(os.getpid())):
            return None
        return int(self._watchdog) / 1e6

    def tell(self, **values):
        """Send NAME=VALUE for each of `values`; never raises."""
        if self._address[:1] not in ('/', '@'):
            return
        address = self._address
        if address.startswith('@'):
            address = '\0' + address[1:]  # unix(7): the abstract namespace
        lines = '\n'.join(f'{name}={" ".join(str(v).split())}' for name, v in values.items())
        try:
            with not_inherited(socket.socket, socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.settimeout(TIMEOUT)
                client.sendto(lines.encode('utf-8', 'replace'), address)
        except OSError as error:
            log.debug('systemd does not hear us: %s', error)

    def reloading(self):
        """Tell that the configuration is read again; READY=1 follows."""
        self.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)


class Heartbeat:
    """Lets the watchdog of systemd hear from us as long as that is justified; a context manager.

    It is by a thread, as a large file takes its time, but no longer than was `allowed`: then
    something hangs that should not, and systemd is to end us.
    """

    def __init__(self, notifier):
        self._notifier = notifier
        self._until = math.inf
        self._ended = threading.Event()
        self._thread = None

    def __repr__(self):
        return f'<Heartbeat by {self._notifier!r}>'

    def __enter__(self):
        if self._notifier.watchdog:
            self._thread = threading.Thread(target=self._beat, name='heartbeat', daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def allow(self, seconds):
        """From now on so many seconds are justified; `math.inf` for no end."""
        self._until = time.monotonic() + seconds

    def _beat(self):
        while not self._ended.is_set():
            if time.monotonic() < self._until:
                self._notifier.tell(WATCHDOG=1)
            # sd_watchdog_enabled(3): half of the time is recommended.
            self._ended.wait(self._notifier.watchdog / 2)
