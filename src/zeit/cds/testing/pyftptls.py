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
        'ssl_context': context(tls),
        'tls_control_required': True,
        'tls_data_required': True,
    }


def context(tls):
    """Return an `OpenSSL.SSL.Context` for a `zeit.cds.testing.tls.TLS`."""
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_min_proto_version(_CONSTANTS[tls.minimum])
    made.set_max_proto_version(_CONSTANTS[tls.maximum])
    made.use_certificate_chain_file(str(tls.certificate.certificate))
    made.use_privatekey_file(str(tls.certificate.key))
    if tls.client_ca_file:
        made.load_verify_locations(str(tls.client_ca_file))
        made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        # Without it OpenSSL resumes no session of a client with a certificate.
        made.set_session_id(b'zeit.cds')
    return made
