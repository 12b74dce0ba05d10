"""How files are stored on a server: what a person chooses, or ZCML."""

from zeit.cds.option_types import YES_NO, Values, described, one_of, whole
from zeit.cds.values.bandwidth import BANDWIDTH


class Delivery(Values):
    """How files get onto a server, or from there.

    Raises `ConfigurationError` for values that make no sense.
    """

    temporary: bool = described(
        True,
        YES_NO,
        'Send under a temporary name, then rename.  Switch this off for a server that cannot '
        'rename; then only the lock hides half a file from the partner.',
    )
    size_check: bool = described(
        True,
        YES_NO,
        'Check the size of each file on the server.  Switch this off for a server that tells none.',
    )
    exists: str = described(
        'replace',
        one_of('replace', 'park'),
        'If the server refuses to rename onto an existing file: replace that file, or park ours.',
    )
    connections: int = described(
        4, whole(1), 'Use up to N connections where that is faster; with 1, in strict order.'
    )
    bandwidth: str | None = described(
        None,
        BANDWIDTH,
        'Send and fetch files at this rate at most, all connections together, such as 500K or 2M '
        '(KiB or MiB a second); by the hours of the day: "2M 08:00-20:00, 10M".',
        unset='no limit',
    )
    digest_limit: int = described(
        256 * 1024 * 1024,
        whole(0, metavar='BYTES'),
        'Compute no SHA-256 for longer files: they are faster, but sent again if a delivery is '
        'uncertain.',
    )
