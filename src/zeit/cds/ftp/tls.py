"""TLS for FTP (RFC 4217): what is wanted of it, and what can go wrong with it."""

import dataclasses
import errno
import logging
import ssl

from zeit.cds.errors import (
    CertificateRefused,
    ConfigurationError,
    ConnectionLost,
    HandshakeFailed,
)
from zeit.cds.files import require_regular
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: `explicit`: the connection begins in clear, AUTH TLS comes before the login (RFC 4217).
#: `implicit`: TLS from the first byte; never standardised, but offered on port 990.
MODES = ('no', 'explicit', 'implicit')

VERSIONS = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}

#: The value of `curve` that leaves the choice to OpenSSL.
ANY = 'any'

#: The fields that are called the same among all options of a target.
_FILES = ('ca_file', 'certificate', 'key')

#: X509_V_ERR_...: what to do about a certificate, by the reason why it was refused.  Source:
#: x509_vfy.h of OpenSSL.
_CERTIFICATE_HINTS = {
    9: 'It is not valid yet: check the clock of this machine.',
    10: 'Its operator has to renew it.',
    62: 'Use the name that stands in the certificate as the host.',
    64: 'Use the name that stands in the certificate as the host.',
}
_UNKNOWN_HINT = (
    'Nothing was sent. If it is the right one, get it, or that of its authority, from the '
    "server's operator, and name it with ca_file (--ca-file)."
)

#: Why OpenSSL cannot read what came as a TLS record.  Since 3.2 it says RECORD_LAYER_FAILURE for
#: all of these, once the connection is made.
_NO_RECORD = (
    'BAD_RECORD_TYPE',
    'DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
    'HTTP_REQUEST',
    'PACKET_LENGTH_TOO_LONG',
    'RECORD_LAYER_FAILURE',
    'WRONG_VERSION_NUMBER',
)
_NO_TLS_HINT = (
    'What answers there does not speak TLS: are port and kind of TLS (explicit or implicit) the '
    'right ones?'
)

#: What to do about a handshake that failed, by words in the reason that OpenSSL gives.
_HANDSHAKE_HINTS = {
    **dict.fromkeys(_NO_RECORD, _NO_TLS_HINT),
    'PROTOCOL': 'The server speaks other versions of TLS: see tls_minimum, tls_maximum.',
    'CERTIFICATE_REQUIRED': 'The server wants a certificate of ours: see certificate, key.',
    'ALERT': 'The server refuses; it may want another curve (tls_curve) or a certificate of ours.',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TLS:
    """How a connection is encrypted, if at all.

    `mode` is one of `MODES`.  Certificate and host name of the server are verified against the
    authorities that the system trusts, or those in `ca_file` (PEM) alone; unless `verify` is
    False.  `certificate` and `key` (PEM, the key without passphrase, or in the same file) are what
    we show to a server that asks.

    `minimum` and `maximum` are among `VERSIONS`.  `curve` is the only one that is offered for the
    key exchange: vsftpd and Pure-FTPd accept P-256 alone without another round trip for each data
    connection, and every server that speaks TLS 1.3 must know it (RFC 8446 section 9.1).

    Raises `ConfigurationError` for values that make no sense.
    """

    mode: str = 'no'
    verify: bool = True
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    minimum: str = '1.2'
    maximum: str = '1.3'
    curve: str = 'prime256v1'

    def __post_init__(self):
        if self.mode not in MODES:
            raise ConfigurationError(f'TLS is one of {", ".join(MODES)}, not {self.mode!r}')
        for version in (self.minimum, self.maximum):
            if version not in VERSIONS:
                raise ConfigurationError(f'{version!r} is no version of TLS that can be used here')
        if self.minimum > self.maximum:
            raise ConfigurationError('The maximum version of TLS is below the minimum')
        if self.key and not self.certificate:
            raise ConfigurationError('A key was given without its certificate')
        if not self:
            self._refuse_what_is_useless()

    def _refuse_what_is_useless(self):
        """Whoever names authorities believes that the server is verified."""
        for field in dataclasses.fields(self):
            if getattr(self, field.name) != field.default:
                name = field.name if field.name in _FILES else f'tls_{field.name}'
                raise ConfigurationError(
                    f'{name} is for TLS, which is not wanted: say tls="explicit" (--tls explicit)'
                )

    def __bool__(self):
        return self.mode != 'no'

    def require_usable(self):
        """Raise `ConfigurationError` for what `context` could not be made of.

        Warns if the server is not going to be verified.
        """
        if not self.verify:
            log.warning(
                'THE SERVER IS NOT VERIFIED (tls_verify="no", --no-tls-verify): whoever answers '
                'in its place gets the password and all files'
            )
        self.context(system=False)

    def context(self, *, system=True):
        """Return an `ssl.SSLContext`.  Raises `ConfigurationError`, also for unusable files.

        To be made once for each run: it reads all of the system's certificates, unless `system`
        is False, and nothing is trusted then but a file of authorities.
        """
        try:
            if self.ca_file is not None:
                require_regular(self.ca_file)  # OpenSSL would wait for whoever writes into a FIFO
            if system or self.ca_file is not None:
                context = ssl.create_default_context(cafile=self.ca_file)
            else:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        except (OSError, ValueError) as error:
            raise _unusable('The file of authorities', self.ca_file, error) from error
        # The same for all versions of Python: 3.13 refuses certificates of older authorities, and
        # trusts a certificate by itself, if it is in the file.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.minimum_version = VERSIONS[self.minimum]
        context.maximum_version = VERSIONS[self.maximum]
        # The end of a connection without close_notify must be noticed: it may be a part only.
        context.options &= ~getattr(ssl, 'OP_IGNORE_UNEXPECTED_EOF', 0)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.curve != ANY:
            try:
                context.set_ecdh_curve(self.curve)
            except (ValueError, ssl.SSLError):
                raise ConfigurationError(
                    f'The curve {printable(repr(self.curve))} is not known, or not usable here',
                    hint=f'prime256v1, secp384r1 and secp521r1 are; {ANY} leaves it to OpenSSL.',
                ) from None
        if self.certificate:
            self._load(context)
        return context

    def _load(self, context):
        path = self.certificate
        try:
            for path in filter(None, (self.key, self.certificate)):
                require_regular(path)
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.certificate, self.key, password='')
        except (OSError, ValueError) as error:
            what = 'The certificate' if self.key is None else 'The certificate with its key'
            raise _unusable(what, path, error) from error


def unverified():
    """Return an `ssl.SSLContext` to find out whether there is TLS: nobody is trusted with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_in_clear(error):
    """Tell whether a `HandshakeFailed` means that what came was not encrypted."""
    return getattr(error.__cause__, 'reason', None) in _NO_RECORD


def _unusable(what, path, error):
    if isinstance(error, ssl.SSLError):
        hint = 'It must be PEM; a key belongs to its certificate, and has no passphrase.'
        return ConfigurationError(f'{what} {printable(str(path))} cannot be used', hint=hint)
    reason = getattr(error, 'strerror', None) or error
    return ConfigurationError(f'{what} {printable(str(path))} cannot be read: {reason}')


def handshake_failed(error, *, host):
    """Return what to raise for an `ssl.SSLError` of a handshake with `host`."""
    shown = printable(host)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateRefused(
            errno.EPROTO,
            f'The certificate of {shown} is refused: {error.verify_message.rstrip(".")}',
            hint=_CERTIFICATE_HINTS.get(error.verify_code, _UNKNOWN_HINT),
        )
    return HandshakeFailed(
        errno.EPROTO, f'No TLS with {shown}: {reason(error)}', hint=_handshake_hint(error)
    )


def _handshake_hint(error):
    for word, hint in _HANDSHAKE_HINTS.items():
        if word in (getattr(error, 'reason', None) or ''):
            return hint
    return ''


def lost(error, *, doing):
    """Return what to raise for an `ssl.SSLError` of a connection that was made."""
    hint = _handshake_hint(error) or 'The next run tries again.'
    return ConnectionLost(errno.EPROTO, f'TLS broke while {doing}: {reason(error)}', hint=hint)


def is_cut(error):
    """Tell whether an `ssl.SSLError` means that the connection ended without close_notify.

    The class alone does not tell: Python 3.11.2, Debian 12's, raises the general one.
    """
    return isinstance(error, ssl.SSLEOFError) or error.reason == 'UNEXPECTED_EOF_WHILE_READING'


def reason(error):
    """Return what an `ssl.SSLError` says, in words and without places in OpenSSL's source."""
    if isinstance(error, ssl.SSLZeroReturnError) or is_cut(error):
        return 'the server closed the connection'
    if error.reason in _NO_RECORD:
        # vsftpd says its last words in clear: 500 OOPS.
        return 'what came is not encrypted, or damaged'
    return (error.reason or 'unknown error').replace('_', ' ').lower()
