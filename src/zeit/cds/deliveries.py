"""All files of one run: one after the other, or several at once."""

import functools
import itertools

from zeit.cds.crew import Crew, Hand, Handed, outcomes, size
from zeit.cds.delivery import Courier
from zeit.cds.exposed import Standing


def deliveries(session, delivery, plan, *, token, ledger):
    """Yield the outcomes of the jobs of `plan`: see `ISession.run`.

    `session` is an `FTPSession`; as many connections as the `Delivery` allows join it, as soon as
    there is work for them.
    """
    number = functools.partial(size, plan, connections=delivery.connections, effort=session.effort)
    numbers = itertools.count(1)
    standing = Standing(session)
    courier = Courier(
        session, delivery, token=token, ledger=ledger, numbers=numbers, standing=standing
    )
    several = functools.partial(
        _shared, session, delivery, plan, token=token, ledger=ledger, numbers=numbers,
        standing=standing,
    )  # fmt: skip
    yield from outcomes(plan, courier, number=number, several=several)


def _shared(session, delivery, plan, *, token, ledger, numbers, standing, number):
    first = next(numbers)
    handed = Handed(ledger)
    hands = []
    for n in range(number):
        own = session.sibling() if n else session
        courier = Courier(
            own,
            delivery,
            token=token,
            ledger=handed,
            numbers=itertools.count(first + n, number),
            standing=None if delivery.temporary else standing.beside(own),
        )
        hands.append(Hand(own, courier, number=n + 1, temporary=n > 0))
    yield from Crew(hands, plan, ledger=ledger).run(handed)
