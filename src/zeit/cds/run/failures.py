"""What has failed comes behind the others in the next run, whichever way the files go."""

import datetime

from zeit.cds.errors import SourceChanged, TakenAway
from zeit.cds.journal import append_log


#: Seconds within which refusals of a file count once: each publication may start a run.
APART = 60

#: How many characters of a reason are kept.
REASON = 500

_WHY = 'attempts', 'reason'

#: How often the pause doubles: up to a day and a half.
LONGEST = 11


class Failures:
    """What the `journal` knows of files that could not be brought to, or from, the target `url`."""

    def __init__(self, journal, *, url):
        self._journal = journal
        self._view = journal.at(url)

    def __repr__(self):
        return f'<Failures of {self._view.url}>'

    def names(self):
        """Return the names of files that failed last, a set: only of these the version matters."""
        return {*self._view.rows('missed')}

    def sorted(self, jobs):
        """Yield `jobs`, read as the work proceeds; those that failed before come behind the others.

        All but the last of the others: it is the `Plan`'s probe, and tells whose fault it is if
        they fail again.  Behind that comes what has kept others from being tried, or is busy.  What
        has waited longest for another attempt is the first.  A newer version has not failed, unless
        the file is busy.
        """
        known = self._view.rows('missed')
        failed, probe = {}, []
        for job in jobs:
            row = known.get(job.name, {})
            if row and (row.get('version') == job.version or row.get('busy')):
                failed[job.name] = job._replace(has_failed=True)
            else:
                yield from probe
                probe = [job]
        before, behind = [], []
        for name in known:
            if name in failed:
                is_last = known[name].get('blocks') or known[name].get('busy')
                (behind if is_last else before).append(failed[name])
        yield from (*before, *probe, *behind)

    def add(self, job, error):
        """`job` has failed because of `error`.

        That no connection could be made says nothing about the file, unless an earlier attempt with
        it has broken the one before.
        """
        if error.while_connecting and job.attempt == 1:
            return
        if isinstance(error, SourceChanged):
            self.busy(job, error)
        else:
            taken = self._taken(job.name, job.version) + isinstance(error, TakenAway)
            self._note(job, taken=taken, **self._why(job, error))

    def busy(self, job, error=None):
        """The file of `job` changed while it was sent; so may its next version."""
        self._note(job, busy=True, **({} if error is None else self._why(job, error)))

    def _note(self, job, **about):
        self._view.note('missed', job.name, version=job.version, **about)

    def _why(self, job, error):
        """Return what is known of the attempts with a `job` after one that ended by `error`."""
        row = self._view.row('missed', job.name) or {}
        before = row.get('attempts', 0) if row.get('version') == job.version else 0
        return {'attempts': before + 1, 'reason': error.advice[:REASON]}

    def block(self, jobs):
        """These `jobs`, as far as they have failed, have kept others from being tried."""
        for job in jobs:
            if row := self._view.row('missed', job.name):
                kept = {field: row[field] for field in ('busy', *_WHY) if field in row}
                taken = self._taken(job.name, job.version)
                self._note(job, blocks=True, taken=taken, **kept)

    def _taken(self, name, version):
        """Return how often this `version` (list) of `name` was confirmed, and gone."""
        row = self._view.row('missed', name) or {}
        return row.get('taken', 0) if row.get('version') == version else 0

    def rests(self, name, version):
        """Return for how many seconds more this `version` (list) is not sent again.

        Each time that the server has confirmed it, and had no such file a moment later, somebody
        may have got a copy.  It is sent once more at once; then each time after twice as long.
        """
        taken = self._taken(name, version)
        pause = APART * 2 ** min(taken - 2, LONGEST)
        if pause < APART or not taken:
            return 0
        passed = _passed(self._view.row('missed', name)['at'], append_log.now())
        # A clock that was set back says nothing.
        return max(0, pause - passed) if passed >= 0 else 0

    def forget_all_but(self, names):
        """Only the files of these `names` are there still."""
        self.forget(*self._view.rows('missed').keys() - names)

    def forget(self, *names):
        """These files came through, or are not there any more."""
        for name in sorted(names):
            if self._view.row('missed', name):
                self._view.note('found', name)

    def number(self, entry):
        """Return how many refusals of the version of the `IEntry` were counted."""
        row = self._journal.row('failed', entry.name) or {}
        return row.get('number', 0) if row.get('version') == [*entry.version] else 0

    def count(self, entry, reason):
        """Count a refusal of an `IEntry`; return how many there are.

        What comes within `APART` seconds counts once.
        """
        number, now = self.number(entry), append_log.now()
        since = self._journal.row('failed', entry.name)['since'] if number else ''
        # Or a clock was set back.
        if not number or not 0 <= _passed(since, now) < APART:
            number, since = number + 1, now.isoformat(timespec='milliseconds')
        about = {'name': entry.name, 'version': [*entry.version], 'reason': reason}
        self._journal.note('failed', number=number, since=since, **about)
        return number


def _passed(before, now):
    """Return how many seconds are between two moments; the first is in ISO 8601.

    What is damaged is as good as from a clock that was set back.
    """
    try:
        return (now - datetime.datetime.fromisoformat(before)).total_seconds()
    except (TypeError, ValueError):
        return -1
