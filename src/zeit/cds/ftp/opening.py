"""Getting to a server: the connection, its greeting, and TLS where that is wanted.

What it takes to log in then is in `zeit.cds.ftp.login`.
"""

import errno

from zeit.cds import errors
from zeit.cds.errors import ConnectionLost, Error, HandshakeFailed, RemoteProtocolError
from zeit.cds.ftp.connection_options import PORTS
from zeit.cds.ftp.stream import Stream
from zeit.cds.network.deadline import USED_UP, Until


#: A greeting that is not there after this many seconds may be one that never comes.
SOON = 5

#: How long it takes at most to find out whether a silent server waits for TLS, in seconds.
PROBE = 5

#: What to do when it is the other kind of TLS that is spoken at this port.
AT_ONCE = (
    'This port is one for TLS from the first byte. Use ftps:// instead of ftp:// or ftpes:// '
    '(in ZCML: tls="implicit").'
)
NOT_AT_ONCE = (
    'The server speaks in clear at first, as at the usual port 21. Use ftpes:// instead of '
    'ftps:// (in ZCML: tls="explicit").'
)

#: What to do when a server has no TLS.
NO_TLS = (
    'The server does not offer TLS, so neither password nor files were sent. Ask its operator; '
    'tls="no" (--tls no) would send both in clear.'
)


def connect(control, *, context=None):
    """Connect a `ControlConnection`, and speak TLS over it if its settings want that.

    `context` is what `settings.tls.context()` made.  Raises what `ITarget.open` raises.
    """
    settings = control.settings
    control.stream = Stream.connect(
        settings.host,
        settings.port,
        connect_timeout=settings.connect_timeout,
        timeout=settings.reply_timeout,
        deadline=control.deadline,
        activity=f'connecting to {settings.host}, port {settings.port}',
        keepalive=settings.keepalive,
        bind=settings.bind_address,
    )
    if settings.tls.mode == 'implicit':
        _secure(control, context)
    _await_greeting(control)
    if settings.tls.mode == 'explicit':
        _switch_to_tls(control, context)


def explained(error, control):
    """Return the error; a deadline that has passed says what was waited for."""
    if type(error) is not errors.DeadlinePassed or error.message != USED_UP[0]:
        return error
    waiting, activity = control.channel.waiting, 'connecting'
    if control.stream is not None and waiting:
        activity = waiting[0]
    return errors.DeadlinePassed(f'{error.message}, {activity}', hint=error.hint)


def _await_greeting(control):
    """Wait for the greeting; say so if the server waits for TLS instead."""
    settings = control.settings
    until = Until(settings.reply_timeout)
    try:
        _await_first_word(control, until)
    except ConnectionLost as error:
        in_clear = settings.tls.mode != 'implicit' and not control.channel.pending
        if in_clear and settings.port == PORTS['implicit']:
            error.advise(AT_ONCE)
        raise
    control.final(until=until)


def _await_first_word(control, until):
    """Have an answer at that moment; soon, look whether TLS is waited for.

    That goes over another connection: a server that is only slow may still greet over this one.
    """
    if control.settings.tls.mode == 'implicit':
        return control.await_answer(until)
    try:
        return control.await_answer(within=SOON)
    except ConnectionLost as error:
        if error.errno != errno.ETIMEDOUT:
            raise
        if not control.channel.pending and _speaks_tls(control):
            error.advise(AT_ONCE)
            raise
    control.await_answer(until)


def _speaks_tls(control):
    from zeit.cds.ftp.tls_probe import speaks_tls

    settings = control.settings
    return speaks_tls(
        control.stream,
        host=settings.host,
        port=settings.port,
        timeout=min(PROBE, settings.connect_timeout),
        bind=settings.bind_address,
    )


def _switch_to_tls(control, context):
    """AUTH TLS (RFC 4217 section 4), before anything that nobody else may know."""
    control.command('AUTH', 'TLS', hint=NO_TLS, refused=errors.UNAVAILABLE)
    if control.channel.broken or control.channel.pending or control.answers:
        # It would be taken for the answer to a command that is sent in TLS.
        raise RemoteProtocolError(
            'Unencrypted replies came behind the one to AUTH TLS: somebody in between may '
            'have put them there',
            hint='Neither password nor files were sent.',
        )
    _secure(control, context)


def _secure(control, context):
    """Speak TLS; some servers take a handshake for commands that comes at once."""
    from zeit.cds.ftp.secure import Protection, SecureStream

    settings, capabilities = control.settings, control.capabilities
    explicit, options = settings.tls.mode == 'explicit', {'context': context, 'host': settings.host}
    if explicit and not capabilities.eager:
        control.stream.comes_soon()
    timeout = settings.connect_timeout
    try:
        control.stream = SecureStream.over(control.stream, timeout=timeout, **options)
    except HandshakeFailed as error:
        if error.in_clear and not explicit:
            error.advise(NOT_AT_ONCE)
        elif error.in_clear and capabilities.eager:
            capabilities.do_without('eager', error=Error(error.message))
        raise
    # A server may begin with that of a data connection only when it has answered.
    timeout = max(timeout, settings.reply_timeout)
    control.data.protection = Protection(control.stream, timeout=timeout, **options)
