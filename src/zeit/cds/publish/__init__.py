"""From an event of the application into a spool: publish, retract, try again, transactions.

It never talks to a server: what it puts into a spool or withdraws is the business of the next run.
Open `publisher` first; `outbox` is `ISpool.put()` in a transaction.
"""
