"""What a server stands, and what its answers are worth, as far as it has shown."""

import dataclasses
import logging
from typing import NamedTuple

from zeit.cds.text import printable


log = logging.getLogger(__name__)


class Listing(NamedTuple):
    """A way to list a directory: the command, its argument, the representation type (TYPE)."""

    verb: str
    argument: str = ''
    type: str = 'I'

    def __str__(self):
        command = f'{self.verb} {self.argument}'.rstrip()
        return command if self.type == 'I' else f'{command} (TYPE {self.type})'


#: How a directory can be listed, the best way first.  Names alone are transferred in ASCII by RFC
#: 959 (section 4.1.3), which some servers insist on; Twisted wants the argument.
LISTINGS = (
    Listing('MLSD'),
    Listing('NLST'),
    Listing('NLST', '.'),
    Listing('NLST', '', 'A'),
    Listing('NLST', '.', 'A'),
)


@dataclasses.dataclass
class Ways:
    """How a server may be talked to; shared by all connections of a session.

    `epsv`: EPSV, not PASV.  `early`: STOR, and what fits into a packet or two, before the server
    has answered.  `together`: two commands in one packet.  `prompt`: commands as soon as the
    server has ended the data connection, before its final reply.  Each is True until the server
    shows that it does not stand it.

    `listings`: the ways to list, the one that worked first.  `known`: files that are in the
    directory for sure; a listing that shows none of them is not believed.  `sizes`: True since SIZE
    has told the length of a file, so that a refusal says something; False if it does not tell that
    of a known file; None as long as neither is known.

    `renames`: True since a renaming worked.  `refuses_data`: True since there was no data
    connection for a transfer.

    `breaks`: so many of these connections broke; what the server has ended in order does not count.
    `image`: files are transferred as they are.  None until the server has accepted TYPE I or not.
    """

    epsv: bool = True
    early: bool = True
    together: bool = True
    prompt: bool = True
    listings: tuple = LISTINGS
    known: set = dataclasses.field(default_factory=set)
    sizes: bool | None = None
    image: bool | None = None
    renames: bool = False
    refuses_data: bool = False
    breaks: int = 0

    def give_up(self, way, *, error):
        """Let it be, because of `error`."""
        if getattr(self, way):
            log.debug('Given up for this session: %s: %s', way, printable(error.message))
        setattr(self, way, False)

    def prefer(self, listing):
        """List in this way first, a `Listing`, from now on."""
        if self.listings[:1] != (listing,):
            log.debug('Directories are listed by %s', listing)
            others = tuple(way for way in self.listings if way != listing)
            self.listings = (listing, *others)

    def abandon(self, listing):
        """Do not list in this way any more, unless it is the only one."""
        others = tuple(way for way in self.listings if way != listing)
        self.listings = others or self.listings

    def is_shown(self, names):
        """Return whether a listing with these `names` shows what is there: one of the `known`."""
        return not self.known.isdisjoint(names)
