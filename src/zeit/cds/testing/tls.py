"""What a test server that speaks TLS is told about it, and in which words it is told.

Explicit TLS is RFC 4217: AUTH TLS, then a handshake.  Implicit TLS has the handshake first.  All
servers demand TLS for the login, and all but Pure-FTPd (`--tls 2`) for the data:

=========  =================================  ========  ========================================
server     a data connection must resume the  implicit  what it tells about resumption
           session of its control connection
=========  =================================  ========  ========================================
pyftpdlib  no                                 yes       nothing
vsftpd     yes (`require_ssl_reuse`)          yes       every handshake, in its log
ProFTPD    yes (the default of mod_tls)       yes       every resumption, in its log
Pure-FTPd  no; with TLS 1.3 it cannot         no        nothing
=========  =================================  ========  ========================================
"""

import dataclasses
import pathlib
import ssl

from zeit.cds.testing.certificates import Certificate


VERSIONS = ('1.2', '1.3')
_CONSTANTS = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TLS:
    """How a test server speaks TLS.

    - certificate: what the server shows, see `zeit.cds.testing.certificates`;
    - implicit: the handshake comes first, there is no AUTH;
    - minimum, maximum: the versions of the protocol, '1.2' or '1.3';
    - client_ca_file: the authority that must have signed the client's certificate; None asks the
      client for none.
    """

    certificate: Certificate
    implicit: bool = False
    minimum: str = '1.2'
    maximum: str = '1.3'
    client_ca_file: pathlib.Path | None = None

    def context(self):
        """Return an `ssl.SSLContext` for servers that are made of Python."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _CONSTANTS[self.minimum]
        context.maximum_version = _CONSTANTS[self.maximum]
        context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        # Debian 12's Python 3.11.2 takes an end without close_notify for an orderly one.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        if self.client_ca_file:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.client_ca_file)
        return context

    def openssl(self):
        """Return the lines of a file for `$OPENSSL_CONF`: the versions, for every program."""
        return (
            'openssl_conf = start',
            '[start]',
            'ssl_conf = configurations',
            '[configurations]',
            'system_default = default',
            '[default]',
            f'MinProtocol = TLSv{self.minimum}',
            f'MaxProtocol = TLSv{self.maximum}',
        )

    def vsftpd(self, log):
        """Return the lines for vsftpd.conf(5).  log: the path of its log file."""
        lines = [
            'ssl_enable=YES',
            'force_local_logins_ssl=YES',
            'force_local_data_ssl=YES',
            f'rsa_cert_file={self.certificate.certificate}',
            f'rsa_private_key_file={self.certificate.key}',
            f'implicit_ssl={"YES" if self.implicit else "NO"}',
            'require_ssl_reuse=YES',
            'strict_ssl_read_eof=YES',
            # The default is a cipher that OpenSSL does not have any more.
            'ssl_ciphers=HIGH',
            'xferlog_enable=YES',
            f'vsftpd_log_file={log}',
            'debug_ssl=YES',
        ]
        if self.client_ca_file:
            lines += [
                'require_cert=YES',
                'validate_cert=YES',
                f'ca_certs_file={self.client_ca_file}',
            ]
        return lines

    def proftpd(self, log):
        """Return the directives of ProFTPD's mod_tls.  log: the path of its TLSLog."""
        versions = [v for v in VERSIONS if self.minimum <= v <= self.maximum]
        lines = [
            'LoadModule mod_tls.c',
            'TLSEngine on',
            'TLSRequired on',
            f'TLSProtocol {" ".join(f"TLSv{version}" for version in versions)}',
            f'TLSECCertificateFile {self.certificate.certificate}',
            f'TLSECCertificateKeyFile {self.certificate.key}',
            f'TLSLog {log}',
        ]
        if self.implicit:
            lines.append('TLSOptions UseImplicitSSL')
        if self.client_ca_file:
            lines += ['TLSVerifyClient on', f'TLSCACertificateFile {self.client_ca_file}']
        return lines

    def pureftpd(self):
        """Return the words for Pure-FTPd's command line.  Raises ValueError for what it lacks."""
        if self.implicit or self.client_ca_file:
            raise ValueError("Debian's Pure-FTPd has neither implicit TLS nor client certificates")
        return ['--tls', '2', '--certfile', str(self.certificate.both)]
