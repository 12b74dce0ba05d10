"""What the tests over TLS have in common."""

from zeit.cds.credentials import Secret
from zeit.cds.target.target import FTPTarget
from zeit.cds.testing import layers


def target(server, *, ca_file=None, **options):
    """Return an FTPTarget for a test server that speaks TLS; `options` as in `from_options`."""
    where = {'host': server.host, 'port': server.port}
    login = {'user': server.user, 'password': Secret(server.password)}
    tls = {
        'tls': 'implicit' if server.tls.implicit else 'explicit',
        'ca_file': ca_file and str(ca_file),
    }
    return FTPTarget.from_options(**{**where, **login, **tls, **options})


class OverTLS(layers.ServerTests):
    """Mixin for a TestCase whose `layer` is a TLSServerLayer."""

    def tls_target(self, **options):
        return target(self.server, ca_file=self.layer.certificates.ca_file, **options)
