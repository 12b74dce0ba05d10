"""What has failed comes behind all others in the next run, whichever way the files go."""

import dataclasses

from zeit.cds.errors import CONFIGURATION, SpoolError, TakenAway


class Failures:
    """What the `journal` knows of files that could not be brought to, or from, the target `url`."""

    def __init__(self, journal, *, url):
        self._journal = journal
        self._url = url

    def __repr__(self):
        return f'<Failures of {self._url}>'

    def known(self):
        """Return the names of the files that have failed when they were tried last, a set."""
        return {*self._journal.misses(self._url)}

    def sorted(self, jobs):
        """Yield `jobs`, read as the work proceeds; those that failed before come last.

        Of these the one that has waited longest for another attempt is the first.  A newer version
        of a file has not failed.
        """
        known = self._journal.misses(self._url)
        last = {}
        for job in jobs:
            if job.name in known and known[job.name] == job.version:
                last[job.name] = dataclasses.replace(job, has_failed=True)
            else:
                yield job
        yield from (last[name] for name in known if name in last)

    def add(self, job, error):
        """`job` has failed because of `error`.

        That no other connection was to be had says nothing about it, unless it broke the first; nor
        does what the server would say to any other file.
        """
        if error.while_connecting and job.attempt == 1:
            return
        if error.exit_code == CONFIGURATION and not isinstance(error, SpoolError):
            return
        known, file = self._journal.misses(self._url), {'name': job.name, 'version': job.version}
        taken = self._journal.taken(target=self._url, **file) + isinstance(error, TakenAway)
        if isinstance(error, TakenAway) or [*known.items()][-1:] != [(job.name, job.version)]:
            self._journal.missed(target=self._url, taken=taken, **file)

    def rests(self, name, version):
        """Return for how many seconds more this `version` (list) is not sent again.

        Each time that the server has confirmed it, and had no such file a moment later, somebody
        may have got a copy.
        """
        if not self._journal.taken(target=self._url, name=name, version=version):
            return 0
        return self._journal.rests(target=self._url, name=name)

    def forget(self, *names):
        """These files came through, or are not there any more."""
        for name in sorted(self.known().intersection(names)):
            self._journal.found(target=self._url, name=name)
