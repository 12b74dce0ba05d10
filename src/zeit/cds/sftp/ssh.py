"""A login over SSH: which server it is, who we are, and by which hosts.

Nothing of ~/.ssh is read: what a run does must not depend on whose it is.  No password, and no
passphrase, is in a variable of a frame that may raise, nor in an argument of AsyncSSH's connect.
"""

import contextlib
import errno
import logging
import os
import socket
from typing import NamedTuple

from zeit.cds.errors import (
    LOGIN_REFUSED,
    ConfigurationError,
    ConnectionLost,
    Error,
    FTPOSError,
    HandshakeFailed,
    PermanentError,
)
from zeit.cds.network.deadline import Deadline
from zeit.cds.network.oserrors import from_os
from zeit.cds.sftp.host_keys import RSA_BITS, HostKeys, rsa_bits
from zeit.cds.sftp.library import asyncssh
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: The fastest first; none of them is known to be weak.  AsyncSSH has more, for old servers.
CIPHERS = (
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes256-ctr',
    'aes192-ctr',
    'aes128-ctr',
)
MACS = (
    'hmac-sha2-256-etm@openssh.com',
    'hmac-sha2-512-etm@openssh.com',
    'hmac-sha2-256',
    'hmac-sha2-512',
)
HOST_KEY_TYPES = (
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
)
SIGNATURES = (
    *HOST_KEY_TYPES,
    'sk-ssh-ed25519@openssh.com',
    'sk-ecdsa-sha2-nistp256@openssh.com',
)

#: All that AsyncSSH has, but for what uses SHA-1 (RFC 9142), or one key for all connections.
KEY_EXCHANGES = '-*sha1,rsa2048-sha256'

#: The number of a packet (RFC 4253, section 12).
MSG_IGNORE = 2

#: How many seconds an ssh-agent may take.
AGENT = 5

_HINT_LOGIN = (
    'Check the user, and the key, certificate or password; ask the operator of the server whether '
    'they know the key.'
)


class Login:
    """An open connection over SSH, and those that it goes through."""

    def __init__(self, connections, *, loop):
        self._connections = connections
        self._loop = loop

    def __repr__(self):
        return f'<Login {self.server}>'

    @property
    def connection(self):
        """The `asyncssh.SSHClientConnection`."""
        return self._connections[-1]

    @property
    def server(self):
        """What the server says that it is."""
        return str(self.connection.get_extra_info('server_version', ''))

    @property
    def cipher(self):
        """What it is encrypted by, from us to the server."""
        return str(self.connection.get_extra_info('send_cipher', ''))

    def begin_sftp(self, listener, *, seconds, deadline):
        """Return the `Channel` of SFTP; `listener` is told what comes over it.

        `seconds` is the time-out.  Raises `ConnectionLost` and `PermanentError`, and what
        `deadline` does.
        """
        failure = None
        try:
            channel, _ = self._loop.run(
                self.connection.create_session(
                    lambda: _Session(listener), subsystem='sftp', encoding=None
                ),
                seconds=seconds,
                deadline=deadline,
            )
            return Channel(channel)
        except (OSError, asyncssh.Error) as error:
            failure = _failure(error, activity='asking for SFTP', timeout=seconds)
        raise failure

    def close(self, *, seconds):
        """End it in an orderly way within `seconds`; never raises."""
        for each in reversed(self._connections):
            each.close()
            with contextlib.suppress(OSError, Error, asyncssh.Error):
                self._loop.run(each.wait_closed(), seconds=seconds, deadline=Deadline())

    def abort(self):
        """End it at once."""
        for each in reversed(self._connections):
            with contextlib.suppress(OSError, RuntimeError):
                each.abort()
        self._loop.turn()


class Channel:
    """What the requests of SFTP go over."""

    def __init__(self, channel):
        self._channel = channel

    def __repr__(self):
        return '<Channel of SFTP>'

    def write(self, data):
        """Send bytes, as soon as the server takes them; raises `ConnectionLost`."""
        failure = None
        try:
            self._channel.write(data)
            return
        except (OSError, asyncssh.Error) as error:
            failure = _failure(error, activity='sending a request', timeout=0)
        raise failure


def log_in(settings, *, sock, loop, deadline):
    """Return the `Login` on the server that `settings` name; raises what `ITarget.open` raises.

    `sock` is connected to it, or to the first host on the way, and is closed if that fails.
    """
    login = Login([], loop=loop)
    try:
        keys, agent = _client_keys(settings), _agent(settings)
        hosts = _hosts(settings)  # before anybody is asked for anything
        for host in hosts:
            if login._connections:
                way = {'tunnel': login.connection}
            else:
                way = {'sock': sock}
            made = _connected(
                settings, host, loop=loop, deadline=deadline, client_keys=keys, agent_path=agent,
                **way,
            )  # fmt: skip
            login._connections.append(made)
        return login
    except BaseException:
        login.abort()
        sock.close()
        raise


class _Host(NamedTuple):
    """A host to log in at: the server, or one on the way, which gets no password."""

    name: str
    port: int
    user: str
    keys: HostKeys
    password: object = None


def _hosts(settings):
    """Return each `_Host` on the way, the server last."""
    options = {'accept_new': settings.accept_new_host_key}
    found = [
        _Host(
            hop.host,
            hop.port,
            hop.user or settings.user,
            HostKeys(settings.known_hosts, hop.host, hop.port, way=True, **options),
        )
        for hop in settings.proxy_jump or ()
    ]
    options['fingerprints'] = settings.host_key or ()
    keys = HostKeys(settings.known_hosts, settings.host, settings.port, **options)
    server = _Host(settings.host, settings.port, settings.user, keys, settings.password)
    return [*found, server]


def _connected(settings, host, *, loop, deadline, **options):
    client = _Client(host.keys, password=host.password)
    error = None
    try:
        return loop.run(
            asyncssh.connect(
                host.name,
                host.port,
                client_factory=lambda: client,
                config=[],
                username=host.user,
                known_hosts=host.keys.trusted,
                server_host_key_algs=host.keys.algorithms(HOST_KEY_TYPES),
                gss_host=None,
                gss_kex=False,
                gss_auth=False,
                host_based_auth=False,
                preferred_auth='publickey,password,keyboard-interactive',
                disable_trivial_auth=True,
                x509_trusted_certs=None,
                x509_trusted_cert_paths=[],
                encryption_algs=CIPHERS,
                mac_algs=MACS,
                kex_algs=KEY_EXCHANGES,
                signature_algs=SIGNATURES,
                compression_algs=None,
                login_timeout=0,
                keepalive_interval=settings.keepalive,
                client_version='zeit.cds',
                **options,
            ),
            seconds=settings.reply_timeout,
            deadline=deadline,
        )
    except (OSError, ValueError, asyncssh.Error) as problem:
        error = _refused(problem, client, host=host, timeout=settings.reply_timeout)
    except Error as problem:  # the deadline
        error = problem
    # Not in the handler: what was raised there comes from frames that have the password.
    error.while_connecting = not isinstance(error, ConfigurationError)
    raise error


def _refused(problem, client, *, host, timeout):
    """Return the error of ours for what kept us from being logged in."""
    if client.failure is not None:
        return client.failure
    if (refusal := client.host_keys.refusal) is not None:
        return refusal
    if isinstance(problem, asyncssh.HostKeyNotVerifiable):
        return client.host_keys.refused(printable(problem.reason))
    if isinstance(problem, asyncssh.PermissionDenied):
        ways = printable(', '.join(client.methods)) or 'unknown'
        return PermanentError(
            0,
            f'The server refuses the login of {printable(host.user)}: {printable(problem.reason)}',
            hint=f'{_HINT_LOGIN} It takes: {ways}.',
            exit_code=LOGIN_REFUSED,
        )
    if isinstance(problem, asyncssh.ChannelOpenError):
        # It is the host before it on the way that says so: as if nobody had listened.
        return FTPOSError(
            errno.ECONNREFUSED,
            f'The host before it on the way (proxy_jump) does not connect to '
            f'{printable(host.name)}, port {host.port}: {printable(problem.reason)}',
            hint='Check whether the server runs, and whether that host may connect to it '
            '(AllowTcpForwarding); the next run tries again.',
        )
    return _failure(problem, activity=f'logging in at {printable(host.name)}', timeout=timeout)


def _failure(problem, *, activity, timeout):
    """Return the error of ours for one of AsyncSSH, or of the system."""
    if isinstance(problem, (asyncssh.ConnectionLost, asyncssh.DisconnectError)):
        reason = printable(problem.reason) or 'The server has ended the connection'
        kind = ConnectionLost
        if isinstance(problem, (asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported)):
            kind = HandshakeFailed
        return kind(
            errno.ECONNRESET,
            f'SSH: {reason}',
            hint=f'It happened while {activity}; the next run tries again.' if activity else '',
        )
    if isinstance(problem, asyncssh.ChannelOpenError):
        return PermanentError(
            0,
            f'The server does not offer SFTP: {printable(problem.reason)}',
            hint='Ask its operator for the subsystem sftp.',
            exit_code=69,
        )
    if isinstance(problem, OSError):
        return from_os(problem, activity=activity, cls=ConnectionLost, timeout=timeout)
    return ConnectionLost(errno.EPROTO, f'SSH: {printable(str(problem))}')


class _Client(asyncssh.SSHClient):
    """Answers what the server asks; `failure` is why something cannot be answered."""

    def __init__(self, host_keys, *, password):
        self.host_keys = host_keys
        self.failure = None
        self.methods = ()
        self._password = password
        self._connection = None
        self._asked = 0

    def __repr__(self):
        return '<Client>'

    def connection_made(self, conn):
        self._connection = conn
        conn.send_packet = _without_ignore(conn.send_packet)

    def connection_lost(self, exc):
        self._connection = None

    def validate_host_public_key(self, host, addr, port, key):
        return self.host_keys.accepts(key)

    def auth_banner_received(self, msg, lang):
        log.debug('The server says: %s', printable(msg))

    def public_key_auth_requested(self):
        self._note_methods()  # there is no further key

    def password_auth_requested(self):
        self._note_methods()
        return self._revealed()

    def kbdint_auth_requested(self):
        self._note_methods()
        return '' if self._password is not None and self._asked < 2 else None

    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        if not prompts:
            return []
        # One question that is not echoed is that for the password; nothing else can be answered.
        return [self._revealed() or ''] if len(prompts) == 1 and not prompts[0][1] else None

    def _note_methods(self):
        """Take note of what the server takes; what was tried is not among it any more."""
        if self._connection is not None and not self.methods:
            self.methods = self._connection.get_server_auth_methods()

    def _revealed(self):
        self._asked += 1
        if self._password is None or self._asked > 2:
            return None
        try:
            return self._password.reveal()
        except Error as error:
            self.failure = error
            return None


def _without_ignore(send_packet):
    """Return a `send_packet` for a connection of AsyncSSH, which sends no IGNORE packets.

    AsyncSSH has an empty one before each other packet.  That is against an attack on ciphers in CBC
    mode (RFC 4251, section 9.3.1), of which `CIPHERS` has none.
    """

    def send_others(kind, *payload, **options):
        if kind != MSG_IGNORE:
            send_packet(kind, *payload, **options)

    return send_others


class _Session(asyncssh.SSHClientSession):
    """Tells a `Connection` what comes over its channel."""

    def __init__(self, listener):
        self._listener = listener

    def data_received(self, data, datatype):
        if datatype is None:
            self._listener.received(data)
        else:  # what a shell says for people
            log.debug('The server says: %s', printable(data.decode('utf-8', 'replace')))

    def eof_received(self):
        self._listener.fail(_ended())

    def connection_lost(self, exc):
        self._listener.fail(_ended() if exc is None else _failure(exc, activity='', timeout=0))

    def pause_writing(self):
        self._listener.paused(True)

    def resume_writing(self):
        self._listener.paused(False)


def _ended():
    return ConnectionLost(
        errno.ECONNRESET,
        'The server has ended the connection',
        hint='The next run tries again.',
    )


def _agent(settings):
    if not settings.ssh_agent:
        return None
    path = os.environ.get('SSH_AUTH_SOCK')
    if not path:
        raise ConfigurationError(
            'There is no ssh-agent: SSH_AUTH_SOCK is not set', hint='Or name a key: ssh_key.'
        )
    if settings.ssh_key is None and settings.password is None:
        _require_agent(path)  # without it AsyncSSH would go on, and be refused
    return path


def _require_agent(path):
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(AGENT)
            sock.connect(path)
    except OSError as error:
        raise ConfigurationError(
            f'The ssh-agent at {printable(path)} cannot be used: {error.strerror or error}',
            hint='See whether it runs, and $SSH_AUTH_SOCK. Or name a key: ssh_key.',
        ) from None


def _client_keys(settings):
    """Return the key to log in with in a list, with its certificate."""
    if settings.ssh_key is None:
        return []
    problem = key = None
    try:
        key = _read_key(settings)
        if settings.ssh_certificate is None:
            return [key]
        certificate = asyncssh.read_certificate(settings.ssh_certificate)
        if certificate.key != key.convert_to_public():
            raise asyncssh.KeyImportError('it is of another key')
        return [(key, certificate)]
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        problem = printable(str(error))
    except OSError as error:
        problem = printable(error.strerror or str(error))
    what = 'key' if key is None else 'certificate'
    path = settings.ssh_key if key is None else settings.ssh_certificate
    raise ConfigurationError(
        f'The {what} {printable(path)} cannot be used: {problem}',
        hint='Set passphrase_file if it has a passphrase.' if key is None else '',
    )


def _read_key(settings):
    secret = settings.passphrase
    key = asyncssh.read_private_key(settings.ssh_key, None if secret is None else secret.reveal())
    _require_size(key, what=f'The key {printable(settings.ssh_key)}')
    return key


def _require_size(key, *, what):
    bits = rsa_bits(key)
    if bits is not None and bits < RSA_BITS:
        raise ConfigurationError(
            f'{what} has {bits} bits only', hint='Make a new one: ssh-keygen -t ed25519.'
        )
