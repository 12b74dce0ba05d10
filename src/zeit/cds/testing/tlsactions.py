"""What the fault server can do wrong with TLS; see `zeit.cds.testing.actions` for the others.

A refused AUTH or PROT is a `Reply`, an unencrypted reply behind the one to AUTH an `Extra`.
"""

import dataclasses
import threading

from zeit.cds.testing.actions import Action, one_of


ENDS = ('no goodbye', 'reset', 'never')


@dataclasses.dataclass(frozen=True)
class StallHandshake(Action):
    """On AUTH, a transfer or (implicit TLS) GREETING: no handshake, for good or until an event."""

    until: threading.Event | None = None


@dataclasses.dataclass(frozen=True)
class Unready(Action):
    """On AUTH: what comes within so many seconds of the reply is refused as a command, in clear."""

    seconds: float = 0


@dataclasses.dataclass(frozen=True)
class RequireResumption(Action):
    """On a transfer: reply 522 unless the TLS session of the control connection is resumed."""


@dataclasses.dataclass(frozen=True)
class ShakeFirst(Action):
    """On a transfer: say that it begins (150) only when hands were shaken."""


@dataclasses.dataclass(frozen=True)
class EndData(Action):
    """On a transfer: how the server ends the data connection when all was transferred.

    kind: 'no goodbye' (FIN, but no close_notify), 'reset' (RST), 'never' (nothing, until the
    session ends; the final reply comes all the same).
    """

    kind: str

    def __post_init__(self):
        one_of(self.kind, ENDS)
