"""Certificates for tests: an authority of our own, and what it and others have signed.

Everything is made when it is first asked for, in some milliseconds, with the extra `test`
(trustme); nothing of the machine's trust is touched.
"""

import dataclasses
import datetime
import functools
import pathlib
import ssl
import tempfile


#: What the good certificate of a server is for.
HOSTS = ('127.0.0.1', '::1', 'localhost')
#: What the one for a wrong name is for.
OTHER_HOST = 'other.example'


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as paths of PEM files.

    certificate: the certificate, and what signed it below the authority; key: the private key;
    both: the key and the certificates in one file, as some servers want it.
    """

    certificate: pathlib.Path
    key: pathlib.Path
    both: pathlib.Path


class Certificates:
    """An authority and certificates of all kinds, in a directory.  A context manager.

    directory: where the files go; it must exist.  Without it there is a directory for temporary
    files, which `close` removes; so it must be closed.  hosts: the names and addresses in the good
    certificate of a server.
    """

    def __init__(self, *, directory=None, hosts=HOSTS):
        self.hosts = hosts
        self._temporary = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix='zeit.cds-certificates-')
            directory = self._temporary.name
        self.directory = pathlib.Path(directory)

    def __repr__(self):
        return f'<{type(self).__name__} in {self.directory}>'

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Remove the directory if it was made here; may be called again."""
        if self._temporary is not None:
            self._temporary.cleanup()

    @functools.cached_property
    def ca_file(self):
        """The path of the authority's own certificate: what a client is to trust."""
        path = self.directory / 'ca.pem'
        self._authority.cert_pem.write_to_path(path)
        return path

    @functools.cached_property
    def other_ca_file(self):
        """The path of the certificate of an authority that has signed nothing here."""
        import trustme

        path = self.directory / 'other-ca.pem'
        trustme.CA(organization_name='zeit.cds tests, another authority').cert_pem.write_to_path(
            path
        )
        return path

    @functools.cached_property
    def server(self):
        """A good one for 127.0.0.1, ::1 and localhost."""
        return self._issue('server', *self.hosts)

    @functools.cached_property
    def expired(self):
        """One for the right hosts that was good until yesterday."""
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        return self._issue(
            'expired',
            *HOSTS,
            not_before=yesterday - datetime.timedelta(days=30),
            not_after=yesterday,
        )

    @functools.cached_property
    def wrong_name(self):
        """A good one, but for `OTHER_HOST`."""
        return self._issue('wrong-name', OTHER_HOST)

    @functools.cached_property
    def self_signed(self):
        """One for the right hosts that no authority has signed; it is its own `ca_file`."""
        return self._write('self-signed', *_sign_itself())

    @functools.cached_property
    def client(self):
        """One that shows a server who the client is: `test@cds.example`."""
        return self._issue('client', 'test@cds.example', common_name='test')

    def issue(self, host):
        """Return a good one for another host."""
        return self._issue(host, host)

    def client_context(self):
        """Return an `ssl.SSLContext` of a client that trusts the authority, and it alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca_file)
        # Debian 12's Python 3.11.2 takes an end without close_notify for an orderly one.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        return context

    @functools.cached_property
    def _authority(self):
        import trustme

        return trustme.CA(organization_name='zeit.cds tests')

    def _issue(self, name, *identities, **arguments):
        leaf = self._authority.issue_cert(*identities, **arguments)
        chain = b''.join(blob.bytes() for blob in leaf.cert_chain_pems)
        return self._write(name, leaf.private_key_pem.bytes(), chain)

    def _write(self, name, key, chain):
        paths = [self.directory / f'{name}{end}.pem' for end in ('', '-key', '-both')]
        for path, content in zip(paths, (chain, key, key + chain), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        return Certificate(*paths)


def _sign_itself():
    """Return a private key and the certificate that it has signed itself, both PEM.

    trustme does not make such.
    """
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [
        x509.DNSName(host) if host.isalpha() else x509.IPAddress(ipaddress.ip_address(host))
        for host in HOSTS
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return (
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        made.public_bytes(pem),
    )
