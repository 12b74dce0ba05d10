"""What a server stands, as far as it has shown."""

import dataclasses
import logging

from zeit.cds.text import printable


log = logging.getLogger(__name__)


@dataclasses.dataclass
class Ways:
    """How a server may be talked to; shared by all connections of a session.

    `epsv`: EPSV, not PASV.  `mlsd`: MLSD, not NLST.  `early`: STOR, and what fits into a packet or
    two, before the server has answered.  `together`: two commands in one packet.  `prompt`:
    commands as soon as the server has ended the data connection, before its final reply.  Each is
    True until the server shows that it does not stand it.

    `breaks`: so many of these connections broke; what the server has ended in order does not count.
    `image`: files are transferred as they are.  None until the server has accepted TYPE I or not.
    """

    epsv: bool = True
    mlsd: bool = True
    early: bool = True
    together: bool = True
    prompt: bool = True
    image: bool | None = None
    breaks: int = 0

    def give_up(self, way, *, error):
        """Let it be, because of `error`."""
        if getattr(self, way):
            log.debug('Given up for this session: %s: %s', way, printable(error.message))
        setattr(self, way, False)
