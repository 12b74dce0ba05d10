"""Commands: functions that are called with the application around them."""

import functools

import transaction


class runner:  # noqa: N801 as in zeit.cms
    """A decorator; the function that it returns is a command."""

    def __init__(self, ticks=1, principal=None, once=True):
        self.ticks, self.principal, self.once = ticks, principal, once

    def __call__(self, worker):
        """Return a function that calls `worker` in a transaction; nothing is a way to end with."""

        @functools.wraps(worker)
        def run():
            transaction.begin()
            try:
                worker()
            except (KeyboardInterrupt, SystemExit):
                transaction.abort()
            except Exception:
                transaction.abort()
                raise
            else:
                transaction.commit()

        return run
