"""What a server is capable of, and what its answers are worth, as far as it has shown."""

import dataclasses
import errno
import logging
from typing import NamedTuple

from zeit.cds.errors import LOST, ConnectionLost, Error
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

    def told(capabilities):
        return capabilities.facts.get(name, default)

    def tell(capabilities, value):
        capabilities.facts.pop(name, None)
        if value != default:
            capabilities.facts[name] = value

    return property(told, tell)


#: In place of a digest, of a server that is not to be asked again what it is: it did not answer.
SILENT = 'silent'


@dataclasses.dataclass
class Capabilities:
    """How a server may be talked to; shared by all connections of a session.

    `facts`: what was found out about the server and outlasts the session, JSON values by name.
    `earlier` is what an earlier session has `learned`.  A fact saves time, and nothing else: who
    uses one must get along if it is wrong, and `doubt` it then.  `once`: what was given up because
    a connection was lost, which may have been the network: a fact if it happens in two sessions.

    `eager`: the handshake of TLS as soon as AUTH is answered.  `epsv`: EPSV, not PASV.  `early`:
    STOR, and what fits into a packet or two, before the server has answered.  `together`: two
    commands in one packet.  `prompt`: commands as soon as the server has ended the data connection,
    before its final reply.  Each is True until the server shows that it cannot cope with it.
    `orderly`: True since a session in which it coped with all that has come to its end: it executes
    each packet in order, also one of commands that change something.  False if it did not, None as
    long as neither is known.  `ordered` is that of this session: True since it has done so, False
    since it did not, or the connection broke meanwhile.
    `listing`: the way to list that worked last, as a list, if it is not the best one.
    `sizes_directories`: SIZE answers of a directory as of a file; None as long as that was not
    asked.  `spelled`: what the server has kept in names, a list of the kinds in
    `zeit.cds.target.name_probe`; `stuck`: those that it has changed, and did not delete then.
    These are facts.

    `server`: a digest of what the server has said about itself, '' as long as it was not asked;
    `SILENT`.

    `listings`: the ways to list, the one that worked first.  `known`: files that are in the
    directory for sure; a listing that shows none of them is not believed.  `sizes`: True since SIZE
    has told the length of a file, so that a refusal says something; False if it does not tell that
    of a known file; None as long as neither is known.

    `renames`: True since a renaming worked.  `refuses_data`: True since there was no data
    connection for a transfer.

    `breaks`: how many of these connections broke; what the server has ended in order is not one.
    `held`: how many times in a row an answer came only when the data connection was made.
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
    ordered: bool | None = None

    eager = _fact('eager', True)
    epsv = _fact('epsv', True)
    early = _fact('early', True)
    together = _fact('together', True)
    prompt = _fact('prompt', True)
    orderly = _fact('orderly', None)
    listing = _fact('listing', [*LISTINGS[0]])
    sizes_directories = _fact('sizes_directories', None)
    spelled = _fact('spelled', [])
    stuck = _fact('stuck', [])

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

    def identify(self, server):
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

    def do_without(self, name, *, error):
        """Do not use what has this `name`, because of `error`.

        If an earlier session has found out that it does not work, that is forgotten in its place.
        """
        if self.doubt(name):
            return
        if getattr(self, name):
            log.debug('Given up for this session: %s: %s', name, printable(error.message))
            if isinstance(error, LOST) and name not in self.earlier.get('once', ()):
                self.once.add(name)
        setattr(self, name, False)

    @property
    def in_order(self):
        """Whether it is known that packets of commands are executed in order."""
        return bool(self.orderly or self.ordered)

    @property
    def may_be_in_order(self):
        """Whether that can be found out by commands that do no harm, whatever becomes of them."""
        return self.orderly is None and self.ordered is None and self.together and not self.breaks

    def ended(self):
        """Take note that a session has come to its end: what it has shown holds for the next."""
        stands = self.together and self.early and self.prompt and not self.breaks
        if stands and self.renames and self.sizes and self.orderly is None:
            self.orderly = True

    def out_of_order(self, error):
        """A packet was not answered as it should be; a connection that ended proves nothing."""
        ended = isinstance(error, ConnectionLost) and error.errno != errno.ETIMEDOUT
        self.orderly, self.ordered = None if ended else False, False
        if not ended:
            # Now, not if it happens again: what changes something is not sent twice.
            self.do_without('together', error=Error(error.message))

    def prefer(self, listing):
        """List in this way first, a `Listing`, from now on."""
        self.listing = [*listing]
        if self.listings[:1] != (listing,):
            log.debug('Directories are listed by %s', listing)
            others = tuple(other for other in self.listings if other != listing)
            self.listings = (listing, *others)

    def postpone(self, listing):
        """List in this way only if none of the others shows what is there."""
        self.listings = (*(other for other in self.listings if other != listing), listing)

    def abandon(self, listing):
        """Do not list in this way any more, unless it is the only one."""
        others = tuple(other for other in self.listings if other != listing)
        self.listings = others or self.listings

    def is_shown(self, names):
        """Return whether a listing with these `names` shows what is there: one of the `known`."""
        return not self.known.isdisjoint(names)
