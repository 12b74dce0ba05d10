"""Getting in: data connections in TLS if that is wanted, user and password, the directory."""

import hashlib
import logging
import re

from zeit.cds import errors
from zeit.cds.errors import (
    ConfigurationError,
    NotProven,
    PermanentError,
    ServerError,
    ServiceClosing,
    TemporaryError,
)
from zeit.cds.ftp import reply_errors
from zeit.cds.ftp.capabilities import LISTINGS, SILENT
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: What to do when a server has no TLS for data connections.
NO_PRIVACY = 'The server does not encrypt data connections, so no file was sent. Ask its operator.'

#: What servers that demand TLS say to a login without it: vsftpd 530, ProFTPD 550, Pure-FTPd 421.
_TLS_DEMANDED = re.compile(r'\b(TLS|SSL|encrypt\w*)\b', re.IGNORECASE)

#: Bad sequence of commands; not logged in.  Some servers want to know the user before PROT.
_LOG_IN_FIRST = (503, 530)

#: What becomes of a login that is refused.
_REFUSED = {
    'hint': 'Check user and password; too many attempts may lock the account.',
    'refused': errors.LOGIN_REFUSED,
}

#: What asks a server what it is: RFC 959 section 4.1.3, RFC 2389.
#: FEAT is the first: some servers send lines behind it that are no reply, and nobody is asked then.
_ABOUT = ('FEAT', ''), ('SYST', '')


def log_in(pipeline):
    """Log in by a `Pipeline`, whose control connection is as `settings.tls` wants it.

    A server that refuses to encrypt data does not get the password either.  Raises
    `PermanentError`, exit code 77 for a refused login, 69 for refused encryption.
    """
    control = pipeline.control
    settings = control.settings
    try:
        if settings.tls and control.capabilities.orderly:
            _, told, answer = pipeline.packet(
                ('PBSZ', '0'), ('PROT', 'P'), ('USER', settings.user)
            )
            protected = _is_protected(told, unless=_LOG_IN_FIRST)
            answer = control.shown(answer).check(**_REFUSED)
        else:
            protected = not settings.tls or _protect_data(control, unless=_LOG_IN_FIRST)
            answer = control.command('USER', settings.user, **_REFUSED)
        _authenticate(control, answer)
    except (ServerError, ServiceClosing) as error:
        if not settings.tls and _TLS_DEMANDED.search(str(error)):
            error.advise('The server demands TLS: ftpes://, or tls="explicit" (--tls explicit).')
        raise
    if not protected:
        _protect_data(control)


def enter_directory(pipeline):
    """Go to the directory, in binary mode (RFC 959 sections 3.1.1.3, 4.1.1).

    A server that refuses TYPE may transfer files as they are all the same: `Capabilities.image`.
    It is also asked what it is, if that is not known yet.
    Raises `PermanentError`, exit code 78, if there is no way into the directory.
    """
    control = pipeline.control
    settings, capabilities = control.settings, control.capabilities
    asked = () if capabilities.server else _ABOUT
    enter = ('TYPE', 'I'), ('CWD', settings.directory)
    try:
        *about, binary, inside = pipeline.together(*asked, *enter)
    except errors.LOST:
        if asked:  # perhaps because of that: it is not asked again
            capabilities.earlier, capabilities.server = {}, SILENT
        raise
    if about:
        capabilities.identify(_digest(about, settings))
        if _has_no_mlsd(about[0]):
            capabilities.postpone(LISTINGS[0])
    inside = control.shown(inside)
    if error := binary.error():
        known = capabilities.image or not isinstance(error, (ServerError, NotProven))
        if inside.error() or known:
            before_any_file(error)
            control.drop()
            raise error
        log.debug('Perhaps not binary: %s', printable(error.message))
    capabilities.image = binary.error() is None
    hint = (
        f'Check that the directory {printable(settings.directory)} exists on the server, and that '
        'the user may enter it.'
    )
    inside.check(hint=hint, refused=errors.CONFIGURATION)


def _digest(answers_, settings):
    """Return a digest of what the server has said, and of what it may hang on beside."""
    said = [settings.tls.mode, *((answer.reply.code, *answer.reply.lines) for answer in answers_)]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _has_no_mlsd(features):
    """Return whether an answer to FEAT says that MLSD is not known (RFC 3659 section 7.8)."""
    told = features.verdict == reply_errors.DONE and len(features.reply.lines) > 1
    return told and not any(line.lstrip().startswith('MLST') for line in features.reply.lines)


def before_any_file(error):
    """Let `error` be one of the server, not of a file: there was none yet."""
    if isinstance(error, ConfigurationError):
        return  # it is ours
    error.while_connecting = True
    if error.exit_code == errors.FILES_FAILED:
        error.exit_code = errors.UNAVAILABLE


def _authenticate(control, answer):
    """Send PASS (RFC 959 section 4.1.1), if the `answer` to USER wants that.

    It goes alone: pyftpdlib 2.2.0 answers what comes behind a wrong password first, and who reads
    that cannot tell what was wrong.
    """
    if answer.verdict == reply_errors.MORE:
        secret = control.settings.password
        password = reply_errors.Hidden(secret.reveal() if secret else '')
        answer = control.command('PASS', password, **_REFUSED)
    if answer.verdict == reply_errors.MORE:
        code, text = answer.reply.code, answer.reply.text
        hint = 'It wants an account.'
        raise PermanentError(code, text, exit_code=errors.LOGIN_REFUSED, hint=hint)


def _protect_data(control, *, unless=()):
    """PBSZ and PROT (RFC 4217 section 9): data connections in TLS, too; return True.

    Or False, if the server says one of the codes `unless`.
    """
    try:
        control.command('PBSZ', '0')
    except (PermanentError, TemporaryError) as error:
        # A formality for TLS; what counts is the answer to PROT.
        log.debug('No PBSZ on this server: %s', printable(error.message))
    return _is_protected(control.ask('PROT', 'P'), unless=unless)


def _is_protected(answer, *, unless):
    try:
        answer.check(hint=NO_PRIVACY, refused=errors.UNAVAILABLE)
        return True
    except PermanentError as error:
        if error.code not in unless:
            raise
        return False
