"""The attributes of `cds:target` that say how its server is reached: TLS, and the network."""

import zope.interface

from zeit.cds import fields
from zeit.cds.ftp.settings import EPSV, Settings
from zeit.cds.ftp.tls import ANY, MODES, TLS, VERSIONS


class INetwork(zope.interface.Interface):
    """How a server is reached."""

    tls = fields.OneOf(
        title='Encryption: by AUTH TLS (explicit), or from the first byte on (implicit)',
        values=MODES,
        required=False,
        default=TLS.mode,
    )
    tls_verify = fields.YesNo(
        title='Refuse a server whose certificate is not trusted, or is for another host',
        description='no: whoever answers in its place gets password and files; warns each time.',
        required=False,
        default=TLS.verify,
    )
    ca_file = fields.Path(
        title="The authorities to trust, PEM, in place of the system's",
        required=False,
    )
    certificate = fields.Path(
        title='Our certificate, PEM, for a server that wants to see one',
        required=False,
    )
    key = fields.Path(
        title='Its key, PEM, without passphrase; it may be in the same file',
        required=False,
    )
    tls_minimum = fields.OneOf(
        title='The oldest version of TLS',
        values=tuple(VERSIONS),
        required=False,
        default=TLS.minimum,
    )
    tls_maximum = fields.OneOf(
        title='The newest version of TLS',
        values=tuple(VERSIONS),
        required=False,
        default=TLS.maximum,
    )
    tls_curve = fields.Line(
        title=f'The curve for the key exchange; {ANY} leaves it to OpenSSL',
        description='With another than the default many servers need a round trip more per file.',
        wanted='the name of a curve',
        required=False,
        default=TLS.curve,
    )
    encoding = fields.Encoding(
        title='The encoding of file names on the server',
        description='utf-8 is asked for (OPTS UTF8) before the first name that needs it.',
        required=False,
        default=Settings.encoding,
    )
    connect_timeout = fields.Seconds(
        title='Time for a connection to be made, in seconds',
        required=False,
        default=Settings.connect_timeout,
    )
    reply_timeout = fields.Seconds(
        title='Time for a reply to be complete, in seconds',
        required=False,
        default=Settings.reply_timeout,
    )
    data_timeout = fields.Seconds(
        title='Time for a piece of 256 KiB to be transferred, in seconds',
        required=False,
        default=Settings.data_timeout,
    )
    keepalive = fields.Deadline(
        title='Probe a connection that was idle for so many seconds, 0 for never',
        description='A NAT forgets the control connection during a long transfer.',
        required=False,
        default=Settings.keepalive,
    )
    passive = fields.YesNo(
        title='We connect to the server for data',
        description='no: it connects to us (active mode); firewalls and NATs often prevent that.',
        required=False,
        default=Settings.passive,
    )
    epsv = fields.OneOf(
        title='EPSV (EPRT) rather than PASV (PORT); auto: unless it does not work',
        values=EPSV,
        required=False,
        default=Settings.epsv,
    )
    trust_pasv_address = fields.YesNo(
        title='Connect to the address that PASV announces',
        description='no: to the one of the control connection, as that is often wrong behind a '
        'NAT, and could lead to another server.  yes: behind a load balancer.',
        required=False,
        default=Settings.trust_pasv_address,
    )
    bind_address = fields.Line(
        title='The address of this machine to connect from',
        wanted='an address',
        required=False,
    )
