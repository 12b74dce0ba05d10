"""Which of the files on a server are taken away from there, and why others are not.

A remote name is foreign text.  What is not somebody else's business, and not a name that a file can
have in a spool, is refused with the reason.
"""

import fnmatch
import logging

from zeit.cds import names
from zeit.cds.errors import NameRefused
from zeit.cds.target.being_written import Look
from zeit.cds.target.download import OCCUPIED
from zeit.cds.text import printable


log = logging.getLogger(__name__)


class Selection:
    """What an import with these `options` takes from `target` into `spool`.

    `arrivals` knows what is done already, and `age(look)` tells seconds, or None.  `require_time()`
    is called for each name, of which there may be many: it raises what ends the run.
    """

    def __init__(self, options, *, spool, target, arrivals, age, require_time=lambda: None):
        self._options = options
        self._patterns = options.ignore.casefold().split()
        self._spool = spool
        self._target = target
        self._arrivals = arrivals
        self._age = age
        self._require_time = require_time

    def __repr__(self):
        return f'<Selection but {" ".join(self._patterns)}>'

    def why_ignored(self, name):
        """Return why `name` is passed over in silence, '' if it is not."""
        if '/' in name:
            return ''
        if name.startswith('.'):
            return 'it is hidden'
        if names.is_ours(name):
            return 'it has the name of a lock, or of something temporary of ours'
        folded = name.casefold()
        matching = (p for p in self._patterns if fnmatch.fnmatchcase(folded, p))
        pattern = next(matching, None)
        return f'it matches the pattern {printable(pattern)} (ignore)' if pattern else ''

    def is_wanted(self, name):
        """Return whether the file is taken, as far as its name tells."""
        self._require_time()
        passed_over = self.why_ignored(name) or name in self._arrivals.settled
        return not passed_over and self._refusal(name) is None

    def judged(self, found):
        """Return a list of (name, `Look` or None, why it is not taken), in the order of names.

        `found` is what `ISession.files` returns.  Why is a `NameRefused`, or what the file waits
        for, '' for nothing.  What is passed over in silence is not in the list.
        """
        judged = []
        for name, facts in sorted(found.items()):
            self._require_time()
            if reason := self.why_ignored(name):
                log.debug('Passed over: %s: %s', printable(name), reason)
            elif name not in self._arrivals.settled:
                look, why = Look.at(*facts), self._refusal(name)
                if why is None:
                    why = self.reason_to_wait(name, look) if look else ''
                judged.append((name, look, why))
        return judged

    def _refusal(self, name):
        """Return why no file of this name can be taken, a `NameRefused`, or None."""
        try:
            self._target.check(name)
            names.check(name)
        except NameRefused as error:
            hint = 'Let the file be renamed on the server; it stays there.'
            if any('\udc80' <= c <= '\udcff' for c in name):
                hint = f'Its names are in another encoding: encoding="latin-1" (--encoding). {hint}'
            return NameRefused(error.message, hint=hint)
        return None

    def reason_to_wait(self, name, look):
        """Return why the file, of which this is the `Look`, is not taken now, '' if it is."""
        options = self._options
        if options.empty == 'skip' and look.size == 0:
            return 'it is empty'
        if options.min_age:
            age = self._age(look)
            if age is None or age < options.min_age:
                return f'it is not known to be {options.min_age:g} s old'
        occupied = options.occupied == 'wait' and self._spool.has(name)
        # What was imported, and is perhaps there still, is compared.
        return OCCUPIED if occupied and not self._arrivals.is_pending(name) else ''
