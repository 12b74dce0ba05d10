"""TLS for FTP (RFC 4217): what is wanted of it."""

from zeit.cds.errors import ConfigurationError
from zeit.cds.option_types import PATH, YES_NO, Values, described, line, one_of, options


#: `explicit`: the connection begins in clear, AUTH TLS comes before the login (RFC 4217).
#: `implicit`: TLS from the first byte; never standardised, but offered on port 990.
MODES = ('no', 'explicit', 'implicit')

VERSIONS = ('1.2', '1.3')


class TLS(Values):
    """How a connection is encrypted, if at all.

    `curve` is the only one that is offered for the key exchange: vsftpd and Pure-FTPd accept P-256
    alone without another round trip for each data connection, and every server that speaks TLS 1.3
    must know it (RFC 8446 section 9.1).

    Raises `ConfigurationError` for values that make no sense.
    """

    mode: str = described(
        'no',
        one_of(*MODES),
        'Encrypt by AUTH TLS (explicit, or a URL ftpes://), or from the first byte (implicit, or '
        'ftps://).',
        name='tls',
    )
    verify: bool = described(
        True,
        YES_NO,
        'Refuse a server whose certificate is not trusted or is for another host.  If this is '
        'switched off, whoever answers gets the password and all files, with a warning each time.',
        name='tls_verify',
    )
    ca_file: str | None = described(
        None, PATH, 'Trust the authorities in this file (PEM), and no others.', unset="the system's"
    )
    certificate: str | None = described(
        None, PATH, 'Our certificate (PEM), for a server that asks for one.'
    )
    key: str | None = described(
        None, PATH, 'Its key (PEM, without passphrase).', unset='in the same file'
    )
    minimum: str = described('1.2', one_of(*VERSIONS), 'Oldest version of TLS.', name='tls_minimum')
    maximum: str = described('1.3', one_of(*VERSIONS), 'Newest version of TLS.', name='tls_maximum')
    curve: str = described(
        'prime256v1',
        line('the name of a curve', 'NAME'),
        'Curve for the key exchange; any: OpenSSL chooses.  With other curves than the default, '
        'many servers need another round trip for each file.',
        name='tls_curve',
    )

    def __post_init__(self):
        super().__post_init__()
        if self.minimum > self.maximum:
            raise ConfigurationError('The maximum version of TLS is below the minimum')
        if self.key and not self.certificate:
            raise ConfigurationError('A key was given without its certificate')
        if not self:
            self._refuse_what_is_useless()

    def _refuse_what_is_useless(self):
        """Whoever names authorities believes that the server is verified."""
        for field, option in options(TLS).items():
            if getattr(self, field) != option.default:
                raise ConfigurationError(
                    f'{option.name} needs TLS: set tls="explicit" (--tls explicit)'
                )

    def __bool__(self):
        return self.mode != 'no'

    def require_usable(self):
        """Raise `ConfigurationError` for what `context` could not be made of.

        Warns if the server is not going to be verified.
        """
        import logging  # not for --help

        if not self.verify:
            logging.getLogger(__name__).warning(
                'THE SERVER IS NOT VERIFIED (tls_verify="no", --no-tls-verify): whoever answers '
                'in its place gets the password and all files'
            )
        self.context(system=False)

    def context(self, *, system=True):
        """Return an `ssl.SSLContext`.  Raises `ConfigurationError`, also for unusable files.

        To be made once for each run: it reads all of the system's certificates, unless `system`
        is False, and nothing is trusted then but a file of authorities.
        """
        from zeit.cds.ftp import openssl

        return openssl.context(self, system=system)
