"""How soon the next run comes: a value, for all who call `run_once` again and again."""

import dataclasses

from zeit.cds.errors import DONE, FILES_FAILED, LOGIN_REFUSED


#: Seconds between two runs if nobody asks for one earlier.
INTERVAL = 60

#: Seconds after a first failure, and at most.  Each further failure doubles the pause.  The longest
#: is what cron does by habit: a server that is back after a night waits no longer than that.
FIRST = 1
LONGEST = 300


def pause(failures, *, first=FIRST, longest=LONGEST):
    """Return how many seconds to wait after so many failures in a row, from 1 on."""
    # The bound of the exponent keeps a year of failures from making a number of its own size.
    return min(longest, first * 2 ** min(failures - 1, 30))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """The pace of one exporter: `after` returns the next one.

    `interval`: seconds between runs that succeed.  `failures`: so many runs in a row have failed.
    `exit_code`: that of the last one.
    """

    interval: float = INTERVAL
    failures: int = 0
    exit_code: int = DONE

    def after(self, exit_code):
        """Return the pace after a run with this exit code."""
        failures = 0 if exit_code == DONE else self.failures + 1
        return dataclasses.replace(self, failures=failures, exit_code=exit_code)

    @property
    def pause(self):
        """Seconds until the next run."""
        if self.exit_code == LOGIN_REFUSED:
            # Each attempt counts where an account is locked after some.
            return max(self.interval, LONGEST)
        if self.exit_code == FILES_FAILED:
            return self.interval  # the server works; what it refuses, it would refuse again
        return min(self.interval, pause(self.failures)) if self.failures else self.interval

    @property
    def hurries(self):
        """True if a new file is a reason to run before the pause is over.

        Not where the server is locked, away, or refuses us: asked for each new file, it would be
        asked the more often the less it can do, and too many logins lock an account.
        """
        return self.exit_code in (DONE, FILES_FAILED)
