"""pyftpdlib with TLS; needs PyOpenSSL.  Imported by `zeit.cds.testing.pyftpd` when a server starts.

pyftpdlib takes any end of the connection for the end of an upload, also one without close_notify.
"""

from OpenSSL import SSL
from pyftpdlib.handlers import TLS_FTPHandler


_CONSTANTS = {'1.2': SSL.TLS1_2_VERSION, '1.3': SSL.TLS1_3_VERSION}


class ImplicitHandler(TLS_FTPHandler):
    """The handshake comes before the greeting."""

    def handle(self):
        """Called by pyftpdlib when a client has connected."""
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self):
        """Called by pyftpdlib after the handshake."""
        super().handle()


def handler(tls):
    """Return pyftpdlib's handler for a `zeit.cds.testing.tls.TLS`, and its attributes."""
    return ImplicitHandler if tls.implicit else TLS_FTPHandler, {
        'ssl_context': _context(tls),
        'tls_control_required': True,
        'tls_data_required': True,
    }


def _context(tls):
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_CONSTANTS[tls.minimum])
    context.set_max_proto_version(_CONSTANTS[tls.maximum])
    context.use_certificate_chain_file(str(tls.certificate.certificate))
    context.use_privatekey_file(str(tls.certificate.key))
    if tls.client_ca_file:
        context.load_verify_locations(str(tls.client_ca_file))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        # Without it OpenSSL resumes no session of a client with a certificate.
        context.set_session_id(b'zeit.cds')
    return context
