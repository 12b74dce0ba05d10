"""What `zeit-cds serve` does: the site and its server, from a configuration."""

import functools
import logging
import os

from zeit.cds.browser import rendering
from zeit.cds.browser.responses import Site
from zeit.cds.browser.source import Local
from zeit.cds.cli import configuration, selection
from zeit.cds.credentials import SecretFile
from zeit.cds.drivers.sdnotify import Heartbeat, Notifier
from zeit.cds.errors import UsageError
from zeit.cds.web.access import Gate
from zeit.cds.web.metrics_and_health import MetricsAndHealth
from zeit.cds.web.pages import EVERYTHING, Pages
from zeit.cds.web.routes import Application
from zeit.cds.web.server import Certificate, Server, is_loopback, resolve


log = logging.getLogger(__name__)

#: What browsers may call this machine by, beside its addresses.
LOCAL = 'localhost'

#: If the server does nothing for this many seconds, it hangs.
HANGS_SECONDS = 60


def run(console, zcml, *, listen, actions, password_file, certificate, key, host, max_age):
    """Serve until a signal ends it.  Raises `UsageError`, `ConfigurationError`.

    `listen` is (address, port), `host` has the names that browsers may call it by, beside that.
    """
    if zcml is None:
        raise UsageError('No spools given: give --zcml FILE', hint=configuration.NONE)
    address, port = listen
    addresses = resolve(address, port)
    _require_safe(address, addresses, password_file, certificate, key, actions)
    encryption = None if certificate is None else Certificate(certificate, key)
    # What is wrong with the configuration is said now.
    selection.named(zcml, (), None)
    site = application(
        password_file=password_file, actions=actions, hosts={address, *host}, max_age=max_age
    )
    notifier = Notifier(os.environ)
    with (
        Heartbeat(notifier) as heartbeat,
        Server(site, addresses, certificate=encryption) as server,
    ):
        about = f'Serving {" ".join(server.urls)}'
        log.info('%s', about)
        if not console.quiet:
            console.say(about)
        notifier.tell(READY=1, STATUS=about)
        try:
            server.serve(tick=functools.partial(heartbeat.allow, HANGS_SECONDS))
        finally:
            notifier.tell(STOPPING=1)


def application(*, password_file=None, actions=False, hosts=(), max_age=None):
    """Return the WSGI application for the spools that are registered.

    `password_file`: whoever knows what is in it is let in, and may press buttons with `actions`.
    Without a password it answers only those who call this machine `localhost`, or by one of the
    `hosts`.  `max_age`: seconds.  Raises `ConfigurationError` if the password cannot be read.
    """
    gate = None
    if password_file is not None:
        secret = SecretFile(password_file)
        secret.require_usable()
        gate = Gate(secret)
    rendering.register_translations()
    rendering.prepare()
    source = Local()
    shown = {} if max_age is None else {'max_age': max_age}
    numbers = MetricsAndHealth(source.select, max_age=max_age)
    site = Site(source, also=(numbers,), **shown)
    pages = Pages(site, allowed=EVERYTHING if actions else frozenset())
    # A page that lets its own name point to this machine knows no password.
    known = {LOCAL, *(name.lower() for name in hosts)} if gate is None else None
    routes = {**pages.routes, **numbers.routes}
    return Application(routes, hosts=known, gate=gate, open=('/healthz',))


def _require_safe(host, addresses, password_file, certificate, key, actions):
    if key is not None and certificate is None:
        raise UsageError('--key goes with --certificate', hint='Give both, or none.')
    if actions and password_file is None:
        raise UsageError('--actions needs --password-file', hint='Who may press a button?')
    if not is_loopback(addresses) and (certificate is None or password_file is None):
        raise UsageError(
            f'Listening on {host} needs --certificate and --password-file, as others reach it',
            hint='Or listen on 127.0.0.1, behind a proxy that encrypts and asks for a password.',
        )
