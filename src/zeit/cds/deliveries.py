"""All files of one run: one after the other, or several at once."""

import itertools

from zeit.cds.crew import Crew, Hand, Handed, size
from zeit.cds.delivery import Courier
from zeit.cds.errors import Error
from zeit.cds.exposed import Standing
from zeit.cds.plan import Outcome


def deliveries(session, delivery, plan, *, token, ledger):
    """Yield the outcomes of the jobs of `plan`: see `ISession.run`.

    `session` is an `FTPSession`; as many connections as the `Delivery` allows join it, if there is
    work for them.
    """
    number = size(plan, connections=delivery.connections)
    if number > 1:
        return _shared(session, delivery, plan, token=token, ledger=ledger, number=number)
    return _alone(plan, Courier(session, delivery, token=token, ledger=ledger))


def _alone(plan, courier):
    while (job := plan.next()) is not None:
        try:
            source = job.open()
        except Error as error:
            yield Outcome(job=job, error=error)
            continue
        with source:
            yield courier.attempt(job, source, more=plan.waiting(1) > 0)


def _shared(session, delivery, plan, *, token, ledger, number):
    handed = Handed(ledger)
    standing = Standing(session)
    hands = []
    for n in range(number):
        own = session.sibling() if n else session
        courier = Courier(
            own,
            delivery,
            token=token,
            ledger=handed,
            numbers=itertools.count(n + 1, number),
            standing=None if delivery.temporary else standing.beside(own),
        )
        hands.append(Hand(own, courier, number=n + 1, temporary=n > 0))
    yield from Crew(hands, plan, ledger=ledger).run(handed)
