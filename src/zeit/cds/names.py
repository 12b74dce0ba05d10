"""Which names go over the wire, and the names that this package gives itself on a server.

A token is `cds` and 16 hexadecimal digits; it is new for each run, so that what carries it can be
told from everything else on the server:

    NAME.TOKEN-3.part   a file that is being sent, under a name that nobody takes it by (the third
                        one of this run: each attempt has a name of its own, so that a late
                        clean-up of one never hits another)
    HASH.TOKEN-3.part   the same for a NAME so long that there is no room for the suffix
    NAME.TOKEN.aside    what stood under NAME while the new file takes its place
    write.TOKEN         a lock file before it gets its real name
    write.TOKEN.next    the same where its maker has no guard: nobody else makes a lock meanwhile
    write.TOKEN.d       a directory, with the directory TOKEN in it, before it becomes the guard
    write.TOKEN.broken  a lock file on its way to be deleted by `zeit-cds unlock`
    write.guard         the guard: who owns it may make a lock; the directory inside says who

And in a spool:

    .TOKEN.probe        a file that shows whether what is delivered could be filed
"""

import os
import re
import sys
import unicodedata

from zeit.cds import digests
from zeit.cds.errors import NameRefused
from zeit.cds.text import printable


WRITE, READ = LOCKS = ('write', 'read')

#: One for both locks, so that exporters and importers exclude each other, too.
GUARD = 'write.guard'

#: Longest name that the common file systems take, in bytes (NAME_MAX of limits.h).
NAME_MAX = 255

#: Longest name in bytes that every file system takes: eCryptfs, which many NAS use, has room for
#: 143.  Nobody reads a temporary name, so this one limit does for all servers, and none has to
#: refuse a longer name first.
SHORT = 143

_TOKEN = r'cds[0-9a-f]{16}'
_OURS = re.compile(
    rf'.*\.{_TOKEN}(-[0-9]+)?\.(part[\W_]?|aside)|(?:write|read)\.({_TOKEN}(\..*)?|guard(\..*)?)',
    re.IGNORECASE | re.DOTALL,
)
#: What servers leave out at the end of a name.
_DROPPED = ' .\\'
#: What they do not see in a name.
_UNSEEN = re.compile('[^ -~]+|"+')
_VERSION = re.compile(r';[-0-9]*$')
# These are compiled by the first look at a server: many runs find nothing to do.
_STAGED_GUARD = rf'{WRITE}\.{_TOKEN}\.d(\.|$)'
_TEMPORARY = rf'(?s).*\.{_TOKEN}-[0-9]+\.part[\W_]?'
_PROBE = rf'\.{_TOKEN}\.probe'
_BROKEN = rf'(?:write|read)\.{_TOKEN}\.broken'
_ANNOUNCED = rf'(?:write|read)\.{_TOKEN}\.next'
_CARRIES = (
    rf'(?s).*\.({_TOKEN})(?:-[0-9]+)?\.(?:part[\W_]?|aside)|(?:write|read)\.({_TOKEN})(?:\..*)?'
    rf'|({_TOKEN})(?:\s.*)?'
)


def new_token():
    """Return a token that no other run has."""
    return 'cds' + os.urandom(8).hex()


def temporary(name, *, token, number):
    """Return the name under which `name` is sent in this run's attempt `number`."""
    return with_suffix(name, f'.{token}-{number}.part')


def is_temporary(name):
    """Return whether `name` is such a name; `zeit.cds.target.name_probe` may put a character behind
    it.
    """
    return bool(re.fullmatch(_TEMPORARY, name))


def aside(name, *, token):
    """Return the name that an older file `name` gets while it is replaced."""
    return with_suffix(name, f'.{token}.aside')


def staged(name, *, token):
    """Return the name under which the lock file `name` is made."""
    return f'{name}.{token}'


def announced(name, *, token):
    """Return the name by which the lock file `name` is announced where there can be no guard."""
    return f'{staged(name, token=token)}.next'


def is_announced(name):
    """Return whether `name` is such a name."""
    return bool(re.fullmatch(_ANNOUNCED, name))


def staged_guard(*, token):
    """Return the name under which the guard is made."""
    return f'{WRITE}.{token}.d'


def is_guard(name):
    """Return whether `name` is one of the directories that become the guard, or the guard."""
    return name == GUARD or bool(re.match(_STAGED_GUARD, name))


def broken(name, *, token):
    """Return the name that the lock file `name` gets before a person's `unlock` deletes it.

    The token is new: the lock's own is in the file.
    """
    return f'{staged(name, token=token)}.broken'


def is_broken(name):
    """Return whether `name` is such a name."""
    return bool(re.fullmatch(_BROKEN, name))


def probe(*, token):
    """Return the name of the file that tries the way of what is delivered."""
    return f'.{token}.probe'


def is_probe(name):
    """Return whether `name` is such a name."""
    return bool(re.fullmatch(_PROBE, name))


def token_of(text):
    """Return the token of `text`, a name or the content of a lock, or '' if it carries none.

    Only where this package puts it: an article may be named after a token, and a partner's lock may
    mention one.
    """
    match = re.fullmatch(_CARRIES, text)
    return next(filter(None, match.groups())) if match else ''


def is_ours(name):
    """Return whether `name` is one that this package gives itself, or a lock's, on a server."""
    return name.casefold() in LOCKS or _OURS.fullmatch(name) is not None


def readings(name):
    """Return the plainest names that servers may take `name` for, a set of str.

    Windows, and what imitates it, folds case, drops blanks and dots at the end, takes what follows
    a colon for a stream of the file and `\\` for `/`, and has ASCII characters for others that
    look like them; VMS has versions (`;1`).  Of the servers in use some drop blanks at the
    beginning, quotation marks (ftp-srv) or all that is not ASCII (Globus).
    """
    folded = name.casefold()
    if folded.isascii():
        return {_plain(folded)}
    # Turkish has another i, without a dot; what is folded may have another form again.
    alike = unicodedata.normalize('NFKD', folded.replace('ı', 'i')).casefold()
    return {_plain(folded), _plain(unicodedata.normalize('NFKD', alike))}


def _plain(folded):
    plain = _UNSEEN.sub('', folded).partition(':')[0].rstrip(_DROPPED).rpartition('\\')[2]
    return _VERSION.sub('', plain).strip(' ').rstrip(_DROPPED)


def with_suffix(name, suffix, *, limit=SHORT):
    """Return `name` and `suffix`; a hash in place of a name that leaves no room for it.

    There is room for `limit` bytes.
    """
    if len(name.encode('utf-8', 'surrogateescape')) + len(suffix) > limit:
        # Cutting the name off would let two long names collide.
        name = digests.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:32]
    return name + suffix


def check_new(name):
    """Raise `NameRefused` if a file must not get the name `name` here, see `check`.

    Nor one that begins with a dot: by custom that is somebody's temporary, and never sent.
    """
    reason = 'is not a text' if not isinstance(name, str) else _reason(name, 'utf-8')
    if not reason and is_hidden(name):
        reason = 'begins with a dot, and such files are never sent'
    if reason:
        raise NameRefused(
            f'The name {reason}: {printable(repr(name))}',
            hint='Give it another name; nothing was put.',
        )


def is_hidden(name):
    """Return whether `name` is one that programs look past: it begins with a dot."""
    return name.startswith('.')


def check(name, *, encoding='utf-8'):
    """Raise `NameRefused` with the reason if `name` must not be sent to a server.

    `encoding` is the one that the server's names are in.  The reasons: command injection
    by line ends (RFC 959 section 5.3.1 ends a command with CRLF; RFC 2640 section 3.1 wants NUL
    after a CR in a name, which servers do not do).
    """
    reason = _reason(name, encoding)
    if reason:
        raise NameRefused(f'The name {reason}', hint=_advice(name))


def _advice(name):
    here = sys.getfilesystemencoding()
    if here != 'utf-8' and any('\udc80' <= c <= '\udcff' for c in name):
        # Nothing is wrong with the name: LC_ALL=C, for instance, in a cron job.
        return f'Python takes names for {here} here: set LC_ALL=C.UTF-8, or PYTHONUTF8=1.'
    return 'Rename the file; it stays in the spool.'


def _reason(name, encoding):
    if name in ('', '.', '..') or '/' in name:
        return 'is not the name of a file'
    if not name.isprintable():  # then it is worth looking at each of its characters
        controls = sorted({c for c in name if ord(c) < 32 or ord(c) == 127})
        if controls:
            return f'contains the control character {ascii(controls[0])}'
    try:
        encoded = name.encode(encoding)
    except UnicodeEncodeError:
        return f'cannot be written in {encoding}'
    if b'\xff' in encoded:
        return 'contains the byte 255, which is a command to Telnet'
    if len(encoded) > NAME_MAX:
        return f'has {len(encoded)} bytes, more than {NAME_MAX}'
    if name.casefold() in LOCKS:
        return 'is the one of a lock file'
    plain = readings(name)
    if not plain.isdisjoint(LOCKS):
        return 'is the one of a lock file to some servers'
    if is_ours(name) or any(map(is_ours, plain)):
        return 'looks like a temporary or a lock of this package'
    return ''
