"""What TLS takes of OpenSSL, and what its errors mean; imported only where TLS is used."""

import errno
import ssl

from zeit.cds.errors import (
    CertificateRefused,
    ConfigurationError,
    ConnectionLost,
    HandshakeFailed,
)
from zeit.cds.system.files import open_regular, require_regular
from zeit.cds.text import printable


#: The value of `curve` that leaves the choice to OpenSSL.
ANY = 'any'

#: X509_V_ERR_...: what to do about a certificate, by the reason why it was refused.  Source:
#: x509_vfy.h of OpenSSL.
_CERTIFICATE_HINTS = {
    9: 'It is not valid yet: check the clock of this machine.',
    10: 'Its operator has to renew it.',
    62: 'Connect by a name that is in the certificate.',
    64: 'Connect by a name that is in the certificate.',
}
_UNKNOWN_HINT = (
    "Nothing was sent. If it is the right one, get it or its authority's from the server's "
    'operator, and give that file as ca_file (--ca-file).'
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
    'Whatever answers there does not speak TLS: check the port, and the kind of TLS (explicit '
    'or implicit).'
)

#: What to do about a handshake that failed, by words in the reason that OpenSSL gives.
_HANDSHAKE_HINTS = {
    **dict.fromkeys(_NO_RECORD, _NO_TLS_HINT),
    'PROTOCOL': 'The server speaks other versions of TLS: see tls_minimum, tls_maximum.',
    'CERTIFICATE_REQUIRED': 'The server wants a client certificate: see certificate, key.',
    'ALERT': 'The server refuses; it may want another curve (tls_curve) or a client certificate.',
}


def context(tls, *, system):
    """Return an `ssl.SSLContext` for a `zeit.cds.ftp.tls.TLS`; see its `context`."""
    try:
        if tls.ca_file is not None:
            require_regular(tls.ca_file)  # OpenSSL would wait for whoever writes into a FIFO
        if system or tls.ca_file is not None:
            context = ssl.create_default_context(cafile=tls.ca_file)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except (OSError, ValueError) as error:
        raise _unusable('The file of authorities', tls.ca_file, error) from error
    # The same for all versions of Python: 3.13 refuses certificates of older authorities, and
    # trusts a certificate by itself, if it is in the file.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = _version(tls.minimum)
    context.maximum_version = _version(tls.maximum)
    # The end of a connection without close_notify must be noticed: it may be a part only.
    context.options &= ~getattr(ssl, 'OP_IGNORE_UNEXPECTED_EOF', 0)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.curve != ANY:
        try:
            context.set_ecdh_curve(tls.curve)
        except (ValueError, ssl.SSLError):
            raise ConfigurationError(
                f'The curve {printable(repr(tls.curve))} is not known, or not usable here',
                hint=f'prime256v1, secp384r1 and secp521r1 are; {ANY} leaves it to OpenSSL.',
            ) from None
    if tls.certificate:
        _load(context, tls)
    return context


def _version(number):
    return ssl.TLSVersion[f'TLSv{number.replace(".", "_")}']


def _load(context, tls):
    path = tls.certificate
    try:
        # OpenSSL does not say which of the two it cannot open.
        for path in filter(None, (tls.key, tls.certificate)):
            open_regular(path).close()
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password='')
    except (OSError, ValueError) as error:
        what = 'The certificate' if tls.key is None else 'The certificate with its key'
        raise _unusable(what, path, error) from error


def unverified():
    """Return an `ssl.SSLContext` to find out whether there is TLS: nobody is trusted with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


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
    failed = HandshakeFailed(
        errno.EPROTO, f'No TLS with {shown}: {reason(error)}', hint=_handshake_hint(error)
    )
    failed.in_clear = error.reason in _NO_RECORD
    return failed


def _handshake_hint(error):
    for word, hint in _HANDSHAKE_HINTS.items():
        if word in (getattr(error, 'reason', None) or ''):
            return hint
    return ''


def lost(error, *, activity):
    """Return what to raise for an `ssl.SSLError` of a connection that was made."""
    hint = _handshake_hint(error) or 'The next run tries again.'
    return ConnectionLost(errno.EPROTO, f'TLS broke while {activity}: {reason(error)}', hint=hint)


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
