"""The options of `zeit-cds` about a server: how it is reached, and how files get there."""

import click

from zeit.cds.options import LONGEST


class _Seconds(click.FloatRange):
    """A number of seconds; NaN is none, which slips through the bounds."""

    def convert(self, value, parameter, context):
        found = super().convert(value, parameter, context)
        if found != found:
            self.fail(f'{value!r} is not a number of seconds.', parameter, context)
        return found


_FILE = click.Path(readable=False)
_SECONDS = _Seconds(min=0, min_open=True, max=LONGEST)
_VERSION = click.Choice(['1.2', '1.3'])

#: `zeit.cds.ftp.tls.TLS`.  None: as configured, or the default there.
TLS = (
    click.option(
        '--tls',
        type=click.Choice(['no', 'explicit', 'implicit']),
        help='Encrypt by AUTH TLS, or from the first byte on.  '
        'Default: as the URL says; ftp: no, ftpes: explicit, ftps: implicit.',
    ),
    click.option(
        '--tls-verify/--no-tls-verify',
        default=None,
        help='Refuse a server whose certificate is not trusted.  Default: yes.',
    ),
    click.option(
        '--ca-file',
        type=_FILE,
        metavar='FILE',
        help="Authorities to trust, PEM.  Default: the system's.",
    ),
    click.option(
        '--certificate',
        type=_FILE,
        metavar='FILE',
        help='For a server that wants to see one of ours, PEM.  Default: none.',
    ),
    click.option(
        '--key',
        type=_FILE,
        metavar='FILE',
        help='Its key, PEM, without passphrase.  Default: in the same file.',
    ),
    click.option('--tls-minimum', type=_VERSION, help='Oldest version of TLS.  Default: 1.2.'),
    click.option('--tls-maximum', type=_VERSION, help='Newest version of TLS.  Default: 1.3.'),
    click.option(
        '--tls-curve',
        metavar='NAME',
        help='The curve for the key exchange; any: OpenSSL chooses.  Default: '
        'prime256v1, with others many servers need a round trip more.',
    ),
)

#: `zeit.cds.ftp.settings.Settings`.
NETWORK = (
    click.option(
        '--encoding',
        metavar='NAME',
        help='Encoding of names on the server.  Default: '
        'utf-8, which is asked for (OPTS UTF8) before the first name that needs it.',
    ),
    click.option(
        '--connect-timeout',
        type=_SECONDS,
        metavar='SECONDS',
        help='For making a connection.  Default: 30.',
    ),
    click.option(
        '--reply-timeout',
        type=_SECONDS,
        metavar='SECONDS',
        help='For a reply of the server.  Default: 60.',
    ),
    click.option(
        '--data-timeout',
        type=_SECONDS,
        metavar='SECONDS',
        help='For each 256 KiB of a transfer.  Default: 60.',
    ),
    click.option(
        '--keepalive',
        type=_Seconds(min=0, max=LONGEST),
        metavar='SECONDS',
        help='Probe an idle connection, so that no NAT forgets it; 0: never.  Default: 60.',
    ),
    click.option(
        '--passive/--no-passive',
        default=None,
        help='We connect to the server for data, it never to us.  Default: yes, as '
        'firewalls and NATs prevent the other.',
    ),
    click.option(
        '--epsv',
        type=click.Choice(['auto', 'yes', 'no']),
        help='Ask for data connections by EPSV rather than PASV.  Default: auto, PASV '
        'where EPSV does not work.',
    ),
    click.option(
        '--trust-pasv-address/--no-trust-pasv-address',
        default=None,
        help='Connect to the address that PASV announces.  Default: no, it is often '
        'wrong, and may lead elsewhere.',
    ),
    click.option(
        '--bind-address',
        metavar='ADDRESS',
        help="Connect from this address of the machine.  Default: the system's choice.",
    ),
)

_SIZE_CHECK = click.option(
    '--size-check/--no-size-check',
    default=None,
    help="Compare with the server's answer to SIZE.  Default: yes.",
)
_CONNECTIONS = click.option(
    '--connections',
    type=click.IntRange(min=1),
    metavar='N',
    help='At most so many at once, where that is faster (1: in order).  Default: 4.',
)

#: `zeit.cds.delivery.Delivery`.
DELIVERY = (
    click.option(
        '--temporary/--no-temporary',
        default=None,
        help='Send under a temporary name, then rename.  Default: yes.',
    ),
    _SIZE_CHECK,
    click.option(
        '--exists',
        type=click.Choice(['replace', 'park']),
        help='When the server has a file of that name and keeps it.  Default: replace.',
    ),
    _CONNECTIONS,
    click.option(
        '--digest-limit',
        type=click.IntRange(min=0),
        metavar='BYTES',
        help='No SHA-256 of longer files: they are faster, and sent again in doubt.  '
        'Default: 268435456.',
    ),
)

#: What every command needs that connects to a server, one that delivers, and one that fetches.
REACH = (*TLS, *NETWORK)
TARGET = (*DELIVERY, *REACH)
SOURCE = (_SIZE_CHECK, _CONNECTIONS, *REACH)


def _names(*options):
    return tuple(click.command()(option(lambda: None)).params[0].name for option in options)


TARGET_NAMES = (*_names(*TARGET), 'password_file')


def take(arguments):
    """Remove the options of a target from the dictionary `arguments`; return those that were given.

    The names are those of `zeit.cds.target.FTPTarget.from_options`, and `password_file`.
    """
    found = {name: arguments.pop(name) for name in TARGET_NAMES if name in arguments}
    return {name: value for name, value in found.items() if value is not None}
