"""What a server stands, and what its answers are worth, as far as it has shown."""

import dataclasses
import logging
from typing import NamedTuple

from zeit.cds.errors import LOST
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


def _fact(name, default):
    """Return a property: the fact `name`, which is not written down as long as it is `default`."""

    def told(ways):
        return ways.facts.get(name, default)

    def tell(ways, value):
        ways.facts.pop(name, None)
        if value != default:
            ways.facts[name] = value

    return property(told, tell)


#: In place of a digest, of a server that is not to be asked again what it is: it did not answer.
SILENT = 'silent'


@dataclasses.dataclass
class Ways:
    """How a server may be talked to; shared by all connections of a session.

    `facts`: what was found out about the server and outlasts the session, JSON values by name.
    `earlier` is what an earlier session has `learned`.  A fact saves time, and nothing else: who
    uses one must get along if it is wrong, and `doubt` it then.  `once`: what was given up because
    a connection was lost, which may have been the network: a fact if it happens in two sessions.

    `epsv`: EPSV, not PASV.  `early`: STOR, and what fits into a packet or two, before the server
    has answered.  `together`: two commands in one packet.  `prompt`: commands as soon as the
    server has ended the data connection, before its final reply.  Each is True until the server
    shows that it does not stand it.  `listing`: the way to list that worked last, as a list, if it
    is not the best one.  `sizes_directories`: SIZE answers of a directory as of a file; None as
    long as that was not asked.  `spelled`: what the server has kept in names, a list of the kinds
    in `zeit.cds.spelling`.  These are facts.

    `server`: a digest of what the server has said about itself, '' as long as it was not asked;
    `SILENT`.

    `listings`: the ways to list, the one that worked first.  `known`: files that are in the
    directory for sure; a listing that shows none of them is not believed.  `sizes`: True since SIZE
    has told the length of a file, so that a refusal says something; False if it does not tell that
    of a known file; None as long as neither is known.

    `renames`: True since a renaming worked.  `refuses_data`: True since there was no data
    connection for a transfer.

    `breaks`: so many of these connections broke; what the server has ended in order does not count.
    `held`: so often in a row an answer came only when the data connection was made.
    `image`: files are transferred as they are.  None until the server has accepted TYPE I or not.
    """

    earlier: dict = dataclasses.field(default_factory=dict)
    facts: dict = dataclasses.field(default_factory=dict)
    once: set = dataclasses.field(default_factory=set)
    server: str = ''
    listings: tuple = LISTINGS
    known: set = dataclasses.field(default_factory=set)
    sizes: bool | None = None
    image: bool | None = None
    renames: bool = False
    refuses_data: bool = False
    breaks: int = 0
    held: int = 0

    epsv = _fact('epsv', True)
    early = _fact('early', True)
    together = _fact('together', True)
    prompt = _fact('prompt', True)
    listing = _fact('listing', [*LISTINGS[0]])
    sizes_directories = _fact('sizes_directories', None)
    spelled = _fact('spelled', [])

    def __post_init__(self):
        self.facts.update(self.earlier.get('facts', {}))
        if self.earlier.get('server') == SILENT:
            self.server = SILENT
        for listing in LISTINGS:
            if self.listing == [*listing]:
                self.prefer(listing)

    @property
    def learned(self):
        """What the next session may begin with, a dictionary of JSON values; empty: nothing."""
        if not self.server:
            return self.earlier
        facts = {name: value for name, value in self.facts.items() if name not in self.once}
        known = {'server': self.server, 'facts': facts, 'once': sorted(self.once)}
        return known if self.facts else {}

    def described(self, server):
        """Take note of the digest `server`; what was learned from one with another is forgotten."""
        self.server = server
        if self.earlier and server != self.earlier['server']:
            log.debug('The server was changed, or is another one')
            for name in self.earlier['facts']:
                self.doubt(name)

    def doubt(self, name):
        """Forget a fact if an earlier session has found it out; return whether that is so."""
        earlier = self.earlier.get('facts', {})
        if name not in self.facts or self.facts[name] != earlier.get(name):
            return False
        log.debug('Perhaps not so any more: %s is %s', name, self.facts.pop(name))
        if name == 'listing':
            self.listings = LISTINGS
        return True

    def give_up(self, way, *, error):
        """Let it be, because of `error`; what an earlier session gave up does not help, then."""
        if self.doubt(way):
            return
        if getattr(self, way):
            log.debug('Given up for this session: %s: %s', way, printable(error.message))
            if isinstance(error, LOST) and way not in self.earlier.get('once', ()):
                self.once.add(way)
        setattr(self, way, False)

    def prefer(self, listing):
        """List in this way first, a `Listing`, from now on."""
        self.listing = [*listing]
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
