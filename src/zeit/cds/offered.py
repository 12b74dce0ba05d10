"""Which of the names on a server belong to files that are taken away from there.

A remote name is foreign text.  What is not somebody else's business, and not a name that a file can
have in a spool, is refused with the reason.
"""

import fnmatch

from zeit.cds import names


class Offered:
    """The names that are left on the server, and those that are looked at.

    `ignore` are patterns as in a shell, separated by spaces; upper and lower case are the same.
    """

    def __init__(self, *, ignore):
        self._patterns = ignore.casefold().split()

    def __repr__(self):
        return f'<Offered but {" ".join(self._patterns)}>'

    def is_ignored(self, name):
        """Return whether `name` is hidden, a lock, or something that is not complete."""
        if '/' in name:
            return False
        folded = name.casefold()
        return (
            name.startswith('.')
            or names.is_ours(name)
            or any(fnmatch.fnmatchcase(folded, pattern) for pattern in self._patterns)
        )
