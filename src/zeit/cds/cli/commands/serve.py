"""The sub-command `serve`."""

import click

from zeit.cds import errors
from zeit.cds.cli import options
from zeit.cds.cli.commands import command
from zeit.cds.option_types import PATH, Kind, Option, line


def _address(text):
    """Return host and port of a text such as 127.0.0.1:8079, [::1]:8079."""
    host, _, port = text.rpartition(':')
    if not (host and port.isdecimal() and int(port) < 65536):
        raise ValueError(text)
    return host.removeprefix('[').removesuffix(']'), int(port)


_ADDRESS = Kind('a host and a port, such as 127.0.0.1:8079 or [::1]:8079', 'HOST:PORT', _address)


@click.command(cls=options.Command, short_help='Show the status page in a browser.')
@options.several(
    options.option(
        Option('listen', _ADDRESS, 'Where browsers find it.', unset='127.0.0.1:8079'),
        default='127.0.0.1:8079',
    ),
    options.flag('--actions', help='With buttons: retry, park, hold, resend, withdraw, unlock.'),
    options.option(
        Option('password_file', PATH, 'File with the password for the page in its first line.')
    ),
    options.option(
        Option('certificate', PATH, 'Encrypt by TLS: certificate, and what it is signed by (PEM).')
    ),
    options.option(
        Option('key', PATH, 'Private key of the certificate (PEM).', unset='in --certificate')
    ),
    options.option(
        Option('host', line('the name of a host', 'NAME'), 'A name that browsers call it by.'),
        multiple=True,
    ),
    options.MAX_AGE,
)
@command
def serve(console, zcml, **arguments):
    """Show a page that tells what `status` tells, until it is ended.

    \b
      zeit-cds --zcml cds.zcml serve
      zeit-cds --zcml cds.zcml serve --actions --password-file /etc/zeit.cds/page

    It listens on this machine only, unless it has a certificate and a password.
    Behind a proxy that encrypts, --host tells the name that people know.  Who has
    the password may be called by any name; the log and the receipts have that.

    \b
    /              the page; it refreshes itself, and needs no JavaScript
    /@@cds.json    the same for programs
    /metrics       what "status --prometheus" prints
    /healthz       200 if all is well, 503 if a spool cannot be read, or has
                   something older than --max-age; for everybody

    SIGTERM ends it when it has answered what was asked (143).  A new password or
    certificate counts at once.  It notifies systemd (Type=notify, with a
    watchdog).
    """
    try:
        from zeit.cds.web import serving
    except ModuleNotFoundError as error:
        if error.name.startswith('zeit.'):
            raise
        missing = error.name.partition('.')[0]
        hint = "pip install 'zeit.cds[web]' brings it."
        raise errors.UsageError(f'This needs {missing}', hint=hint) from None
    return serving.run(console, zcml, **arguments)
