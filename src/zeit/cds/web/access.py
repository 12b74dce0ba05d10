"""Who may use the status page: whoever knows the password, and has not guessed too often."""

import base64
import collections
import hashlib
import hmac
import ipaddress
import logging
import math
import threading
import time

from zeit.cds.credentials import Secret
from zeit.cds.errors import ConfigurationError
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: How many wrong passwords may come within `WINDOW_SECONDS`: from one address, from all together.
GUESSES = 5
GUESSES_OF_ALL = 100
WINDOW_SECONDS = 60

#: Longest name of a user, in characters.
USER_CHARACTERS = 100


class Unauthorized(Exception):
    """The request has no password, or a wrong one."""


class TooManyGuesses(Exception):
    """There were too many wrong passwords; after `seconds` there may be another one."""

    def __init__(self, seconds):
        super().__init__(f'Too many wrong passwords; try again in {seconds} s')
        self.seconds = seconds


class Gate:
    """Lets those in who know a password, by HTTP basic authentication (RFC 7617).

    `secret`: a `zeit.cds.credentials.Secret`, looked up for each request, so that a new password
    counts at once.  What the user is called is for the log: there is one password.
    """

    def __init__(self, secret, *, clock=time.monotonic):
        self._secret = secret
        self._guesses = _Guesses(clock)

    def __repr__(self):
        return f'<{type(self).__name__}>'

    def admit(self, header, address):
        """Return the name of the user whom an Authorization header is of, '' without a name.

        `header` is a `Secret`, or None.  Raises `Unauthorized`, `TooManyGuesses`, and
        `ConfigurationError` if the password cannot be read.
        """
        if header is None:
            raise Unauthorized
        if seconds := self._guesses.wait(address):
            raise TooManyGuesses(seconds)
        user, given = _user_and_password(header)
        if given is None or not _are_equal(given, self._secret):
            self._guesses.add(address)
            # For fail2ban and its like.
            log.warning('Wrong password for the status page from %s', printable(address))
            raise Unauthorized
        return printable(user, limit=USER_CHARACTERS)


def _user_and_password(header):
    """Return what a `Secret` header has: a str, and a `Secret`, None if it cannot be understood."""
    scheme, _, encoded = header.reveal().partition(' ')
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode('utf-8')
    except ValueError:  # of base64 and of UTF-8
        return '', None
    user, colon, password = decoded.partition(':')
    understood = scheme.lower() == 'basic' and colon
    return user, Secret(password) if understood else None


def _are_equal(given, secret):
    """Return whether two `Secret`s are the same; how long that takes tells nothing."""
    wanted = _digest(secret)
    try:
        return hmac.compare_digest(_digest(given), wanted)
    except ConfigurationError:
        return False  # nobody can have a line end in it


def _digest(secret):
    return hashlib.sha256(secret.reveal().encode('utf-8')).digest()


class _Guesses:
    """How many wrong passwords came from where within the last `WINDOW_SECONDS`."""

    def __init__(self, clock):
        self._clock = clock
        self._lock = threading.Lock()
        self._made = collections.deque(maxlen=GUESSES_OF_ALL)

    def add(self, address):
        """There was one from `address`."""
        with self._lock:
            self._made.append((self._clock(), _network(address)))

    def wait(self, address):
        """Return in how many seconds somebody at `address` may guess again, 0 for now."""
        network, now = _network(address), self._clock()
        with self._lock:
            while self._made and self._made[0][0] <= now - WINDOW_SECONDS:
                self._made.popleft()
            theirs = [when for when, where in self._made if where == network]
            if len(self._made) >= GUESSES_OF_ALL:
                return math.ceil(self._made[0][0] + WINDOW_SECONDS - now)
            if len(theirs) >= GUESSES:
                return math.ceil(theirs[-GUESSES] + WINDOW_SECONDS - now)
        return 0


def _network(address):
    """Return what counts as one place: an address, of IPv6 the network of a customer."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64)))
