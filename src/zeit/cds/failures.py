"""What has failed comes behind the others in the next run, whichever way the files go."""

import dataclasses

from zeit.cds.errors import TakenAway


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
        """Yield `jobs`, read as the work proceeds; those that failed before come behind the others.

        All but the last of these, which tells whose fault it is if they fail again, and what has
        kept others from being tried: that comes last of all.  What has waited longest for another
        attempt is the first.  A newer version of a file has not failed.
        """
        known, blocking = self._journal.misses(self._url), self._journal.blocking(self._url)
        failed, witness = {}, []
        for job in jobs:
            if job.name in known and known[job.name] == job.version:
                failed[job.name] = dataclasses.replace(job, has_failed=True)
            else:
                yield from witness
                witness = [job]
        again = [failed[name] for name in known if name in failed]
        yield from (job for job in again if job.name not in blocking)
        yield from witness
        yield from (job for job in again if job.name in blocking)

    def add(self, job, error):
        """`job` has failed because of `error`.

        That no other connection was to be had says nothing about it, unless it broke the first.
        """
        if error.while_connecting and job.attempt == 1:
            return
        known, file = self._journal.misses(self._url), {'name': job.name, 'version': job.version}
        taken = self._journal.taken(target=self._url, **file) + isinstance(error, TakenAway)
        if isinstance(error, TakenAway) or [*known.items()][-1:] != [(job.name, job.version)]:
            self._journal.missed(target=self._url, taken=taken, **file)

    def block(self, jobs):
        """These `jobs`, as far as they have failed, have kept others from being tried."""
        for job in jobs:
            if job.name in self.known():
                file = {'target': self._url, 'name': job.name, 'version': job.version}
                self._journal.missed(**file, taken=self._journal.taken(**file), blocks=True)

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
