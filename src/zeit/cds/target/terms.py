"""What a protocol calls what a session does, for texts that people read."""

from typing import NamedTuple


class Terms(NamedTuple):
    """Names of requests: for the size of a file, its time, and listings.

    `long_listing` is the one that is asked for times where the others tell none, '' for none.
    `beside` says how several files are sent at once.
    """

    size: str
    time: str
    listings: str
    long_listing: str
    beside: str


FTP = Terms('SIZE', 'MDTM', 'MLSD, NLST', 'LIST', 'over several connections, where that is faster')
SFTP = Terms('FSTAT', 'LSTAT', 'READDIR', '', 'over one connection')
