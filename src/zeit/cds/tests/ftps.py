"""What the tests over TLS have in common."""

from zeit.cds.settings import Secret
from zeit.cds.target import FTPTarget
from zeit.cds.testing import layers


def target(server, *, ca_file=None, **options):
    """Return an FTPTarget for a test server that speaks TLS; `options` as in `from_options`."""
    return FTPTarget.from_options(
        host=server.host,
        port=server.port,
        user=server.user,
        password=Secret(server.password),
        **{'tls': 'implicit' if server.tls.implicit else 'explicit'} | options,
        ca_file=ca_file and str(ca_file),
    )


class OverTLS(layers.ServerTests):
    """Mixin for a TestCase whose `layer` is a TLSServerLayer."""

    def tls_target(self, **options):
        return target(self.server, ca_file=self.layer.certificates.ca_file, **options)
