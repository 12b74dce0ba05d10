"""What is searched for in lines of the history, without parsing what does not match."""

import fnmatch
import json
import logging
import re

from zeit.cds.journal import line_format
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: What is something else in a pattern than in a name.
_WILD = re.compile(r'[*?[]')


class Search:
    """What has the values `wanted`; all without any.

    `since` and `until` are times (ISO 8601, UTC).  `pattern` is one of a shell, for names; if the
    name is the same text, it fits, too.  `containing`: a text in the name, or in the id of the
    content.  `kinds`: one of these, () for all.  The first of `wanted` is what is searched for:
    only lines with that are parsed.
    """

    def __init__(self, *, since='', until='', pattern='', containing='', kinds=(), **wanted):
        self.since = since
        self.until = until
        self._pattern = pattern
        self._containing = containing
        self._kinds = kinds
        self._wanted = wanted
        self._needle = _needle(pattern, wanted, containing)

    def __repr__(self):
        return f'<Search for {self._needle!r}>'

    def entries(self, block, path=''):
        """Yield the entries that are found in a `block` of lines (bytes), the last one first.

        With the `path` of the file it warns of damaged lines.
        """
        for line in line_format.backwards(block, self._needle):
            entry = line_format.load(line)
            if entry is not None and self._finds(entry):
                yield entry
            elif entry is None and path:
                what = printable(repr(line))
                log.warning('A line of %s is damaged and left out: %s', printable(path), what)

    def _finds(self, entry):
        return (
            self.since <= str(entry.get('at')) <= (self.until or 'z')
            and self._wanted.items() <= entry.items()
            and (not self._kinds or entry.get('kind') in self._kinds)
            and (not self._pattern or _fits(entry.get('name'), self._pattern))
            and (not self._containing or _contains(entry, self._containing))
        )


def is_pattern(name):
    """Return whether `name` is a pattern of a shell, and not only a name."""
    return len(_WILD.split(name, maxsplit=1)) > 1


def _needle(pattern, wanted, containing):
    """Return what each line has that is looked for (bytes)."""
    if pattern:
        # It stands behind the name of its field, so the text before the first * is enough.
        begin = json.dumps(_WILD.split(pattern, maxsplit=1)[0])[:-1]
        return f'"name": {begin}'.encode('ascii')
    if containing:
        return json.dumps(containing)[1:-1].encode('ascii')
    for key, value in wanted.items():
        return f'{json.dumps(key)}: {json.dumps(value)}'.encode('ascii')
    return b'"kind": '


def _contains(entry, text):
    return any(text in str(entry.get(field, '')) for field in ('name', 'content'))


def _fits(name, pattern):
    return isinstance(name, str) and (name == pattern or fnmatch.fnmatchcase(name, pattern))
