"""How soon the next run comes: a value, for all who call `run_once` again and again."""

import dataclasses

from zeit.cds.errors import DONE, FILES_FAILED, LOGIN_REFUSED, SpoolBusy


#: Seconds between two runs if nobody asks for one earlier.
INTERVAL_SECONDS = 60

#: Seconds after a first failure, and at most.  Each further failure doubles the pause.  The longest
#: is what cron does by habit: a server that is back after a night waits no longer than that.
FIRST_SECONDS = 1
LONGEST_SECONDS = 300

#: Seconds until the spool is asked again while another run is active: that costs no server
#: anything, and what was put in behind that run's back shall be out within a second.
BUSY_SECONDS = 0.5


#: Seconds after the end of an embargo: clocks are read at two places.
AFTER_EMBARGO_SECONDS = 0.1


def pause(failures, *, first=FIRST_SECONDS, longest=LONGEST_SECONDS):
    """Return how many seconds to wait after so many failures in a row, from 1 on."""
    # The bound of the exponent keeps a year of failures from making a number of its own size.
    return min(longest, first * 2 ** min(failures - 1, 30))


def is_busy(report):
    """Return whether the run of this `IReport` was none, as another one is active on the spool."""
    return isinstance(report.error, SpoolBusy)


def goes_on(report):
    """Return whether the next run follows at once on the one of this `IReport`.

    It was ended by a bound, after it had brought something, and more waits.
    """
    brought = report.exit_code in (DONE, FILES_FAILED) and report.delivered
    return bool(brought and getattr(report, 'limited', False))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """The pace of one exporter: `after` returns the next one.

    `interval`: seconds between runs that succeed.  `failures`: so many runs in a row have failed.
    `exit_code`: that of the last one.  `busy`: another one was active since.  `more`: see
    `goes_on`; `due`: see `IReport`.
    """

    interval: float = INTERVAL_SECONDS
    failures: int = 0
    exit_code: int = DONE
    busy: bool = False
    more: bool = False
    due: float | None = None

    def after(self, exit_code, report=None):
        """Return the pace after a run with this exit code, and this `IReport` if it left one.

        One that found another run active is no failure: about the server it says nothing.
        """
        if report is not None and is_busy(report):
            return dataclasses.replace(self, busy=True, more=False, due=None)
        failures = 0 if exit_code == DONE else self.failures + 1
        more = report is not None and goes_on(report)
        return Pace(
            interval=self.interval,
            failures=failures,
            exit_code=exit_code,
            more=more,
            due=getattr(report, 'due', None),
        )

    def pause_at(self, now):
        """Return the seconds from `now`, since the epoch, until the next run: see `pause`.

        It comes earlier where an embargo ends, unless the server is in trouble.
        """
        if self.due is None or not self.hurries:
            return self.pause
        return min(self.pause, max(0, self.due - now) + AFTER_EMBARGO_SECONDS)

    @property
    def pause(self):
        """Seconds until the next run, if no embargo ends."""
        if self.more:
            return 0
        if self.busy and self.hurries:
            return min(self.interval, BUSY_SECONDS)
        if self.exit_code == LOGIN_REFUSED:
            # Each attempt counts where an account is locked after some.
            return max(self.interval, LONGEST_SECONDS)
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
