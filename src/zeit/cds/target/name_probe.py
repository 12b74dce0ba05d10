"""Which names a server keeps as they are: found out by names of our own, before a file gets one.

Servers drop blanks at the ends of a name, quotation marks, or all that is not ASCII, write `_` for
a blank, take a name for one in another encoding, or list `?`.  So a file would get another name,
which may be that of another file.

What may be changed in a name is of some *kind*: a character that is no ASCII letter or digit, with
what combines with it; or one that the name begins with (`c...`), or ends with (`...c`).  What has
once been listed as it was stored is not tried again: see `Capabilities.spelled`; nor what could not
be deleted then: see `Capabilities.stuck`.

There are servers that take a name to store, and no command to delete it: SIZE is asked first, and
what stands at the ends is tried only if it is kept elsewhere.
"""

import logging
import re
import unicodedata

from zeit.cds import names
from zeit.cds.errors import LOST, FileError, NameRefused, ServerError
from zeit.cds.text import printable


log = logging.getLogger(__name__)

#: What every server keeps, at each place of a name but the ends.
_KEPT = re.compile(r'[0-9A-Za-z._{}-]')

#: A name that has nothing else, and none of it at the ends but what is kept there.
_ALL_KEPT = re.compile(r'(?!\.)[0-9A-Za-z._{}-]+(?<!\.)')

#: What servers may drop, or take for something else, at the ends of a name.
_AT_THE_ENDS = re.compile(r'(?![0-9A-Za-z_{}-])[\x00-\x7f]')

_MORE = '...'

_TOO_MANY = 'Whether the server keeps the name was not found out: there are too many of them'

#: What tells the names that are tried apart.
_MARK = re.compile(r'\.cds[0-9a-f]{16}-\d+\.part')

_STUCK = 'The server changes such a name, and did not delete what got it when that was tried'

#: RFC 959 section 4.2: a syntax error in the argument.
_NO_ARGUMENT = 501

#: How many names are tried in a run, at most.
TRIALS = 100


def kinds(name):
    """Return the kinds of what a server may change in `name`, a set of str."""
    if _ALL_KEPT.fullmatch(name):
        return set()
    clusters = _clusters(name)
    found = {cluster for cluster in clusters if not _KEPT.fullmatch(cluster)}
    if _AT_THE_ENDS.fullmatch(clusters[0]):
        found.add(clusters[0] + _MORE)
    if _AT_THE_ENDS.fullmatch(clusters[-1]):
        found.add(_MORE + clusters[-1])
    return found


def _clusters(name):
    found = []
    for character in name:
        if found and unicodedata.combining(character):
            found[-1] += character
        else:
            found.append(character)
    return found


class NameProbe:
    """The names in the directory of `session`; `capabilities` is what is known of the server.

    What is made there carries `token`.
    """

    def __init__(self, session, *, capabilities, token):
        self._session = session
        self._capabilities = capabilities
        self._token = token
        self._number = 0

    def __repr__(self):
        return f'<NameProbe {self._token}>'

    def refused(self, candidates):
        """Return why files must not get some of the names `candidates`: a `NameRefused` by name."""
        proven = set(self._capabilities.spelled)
        # Of a hundred thousand names most have nothing that is unknown.
        found = {name: missing for name in candidates if (missing := kinds(name) - proven)}
        unknown = set().union(*found.values())
        if not unknown:
            return {}
        wrong = {kind: _STUCK for kind in unknown.intersection(self._capabilities.stuck)}
        ends = {kind for kind in unknown if _MORE in kind}
        wrong |= self._wrong(unknown - ends - {*wrong})
        wrong |= {end: wrong[inner] for end in ends if (inner := end.replace(_MORE, '')) in wrong}
        wrong |= self._wrong(ends - {*wrong})
        self._capabilities.spelled = sorted(proven | unknown.difference(wrong))
        return {
            name: _refusal(name, wrong[min(changed)])
            for name, missing in found.items()
            if (changed := missing.intersection(wrong))
        }

    def _wrong(self, unknown):
        """Return what the server makes of the kinds that it does not keep, by kind."""
        wrong, groups, trials_left = {}, _groups(unknown, room=self._room()), TRIALS
        while groups:
            groups, untried = groups[:trials_left], groups[trials_left:]
            wrong.update((kind, _TOO_MANY) for kind in set().union(*untried))
            trials_left -= len(groups)
            found, groups = self._tried(groups), []
            for group, became in found:
                if became and len(group) > 1:
                    half = len(group) // 2
                    groups += group[:half], group[half:]
                elif became:
                    wrong[group[0]] = became
        return wrong

    def _room(self):
        return names.SHORT - len(self._name((), TRIALS * 2))

    def _name(self, group, number):
        first = ''.join(kind[0] for kind in group if _is_first(kind))
        last = ''.join(kind[-1] for kind in group if _is_last(kind))
        others = (kind for kind in group if _MORE not in kind)
        middle = 'x'.join(['', *others, ''])
        return first + names.temporary(middle or 'x', token=self._token, number=number) + last

    def _tried(self, groups):
        """Return a list of (group, what became of it); that is '' where all of it was kept."""
        tried, refused, stored = {}, {}, set()
        for group in groups:
            self._number += 1
            name = self._name(group, self._number)
            tried[name] = group
            try:
                self._require_argument(name)
                stored.add(name)
                self._session.store(name, b'x')
            except (FileError, ServerError, *LOST) as error:
                if error.while_connecting:
                    raise
                refused[name] = printable(error.message)
        present, found = self._session.names(), []
        for name, group in tried.items():
            mark = _MARK.search(name)[0]
            shown = sorted(each for each in present if mark in each)
            became = _became(name, shown, mark=mark, refusal=refused.get(name, ''))
            found.append((group, became))
            stays = name in stored and not self._is_deleted(name, *shown)
            if became and stays and shown and len(group) == 1:
                self._capabilities.stuck = sorted({*self._capabilities.stuck, *group})
        return found

    def _require_argument(self, name):
        """Raise `ServerError` if the server takes this argument for none where it takes others."""
        refusal, usual = self._session.sizes(name, names.WRITE)
        if _is_no_argument(refusal) and not _is_no_argument(usual):
            raise refusal

    def _is_deleted(self, *candidates):
        """Delete what one of these names is that of: a server may know the listed one only."""
        for name in candidates:
            try:
                self._session.delete(name)
                return True
            except (ServerError, *LOST) as error:
                log.debug('Not deleted: %s: %s', printable(name), printable(error.message))
        self._session.garbage.append(candidates[0])
        return False


def _became(name, shown, *, mark, refusal):
    """Return what became of `name`, of which these are `shown`; '' if it was kept."""
    if name in shown or (refusal and not shown):
        return refusal and f'The server takes no such name: {refusal}'
    made = printable(repr(shown[0].replace(mark, ''))) if shown else 'nothing'
    what = printable(repr(name.replace(mark, '')))
    return f'The server would give it another name: of {what} it makes {made}'


def _is_no_argument(said):
    return isinstance(said, ServerError) and said.code == _NO_ARGUMENT


def _is_first(kind):
    return kind.endswith(_MORE) and not _is_last(kind)


def _is_last(kind):
    return kind.startswith(_MORE)


def _groups(unknown, *, room):
    """Return lists of kinds that fit into one name, as few as possible."""
    groups, sizes = [], []
    for kind in sorted(unknown):
        is_end = _is_first(kind), _is_last(kind)
        needed = len(kind.encode('utf-8', 'surrogateescape')) + 1
        for number, group in enumerate(groups):
            taken = any((_is_first(k), _is_last(k)) == is_end for k in group) and any(is_end)
            if not taken and sizes[number] + needed <= room:
                group.append(kind)
                sizes[number] += needed
                break
        else:
            groups.append([kind])
            sizes.append(needed)
    return groups


def _refusal(name, became):
    hint = 'Rename the file; it stays in the spool.'
    if not name.isascii():
        hint += ' Or set the encoding that the server has its names in: encoding (--encoding).'
    return NameRefused(became, hint=hint)
