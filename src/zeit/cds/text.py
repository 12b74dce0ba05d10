"""Texts for people: what comes from a server or a spool, made safe to be read."""

import datetime
import math
import os
import re


#: Longest piece of foreign text that goes into a log line or onto a terminal, in characters.
LIMIT = 200

#: The first second of the first year, and the last one of the last, since the epoch.
_FIRST, _LAST = -62_135_596_800, 253_402_300_799

#: What stands before the password of a URL.  Foreign text is searched: no part of it may be looked
#: at again and again.
_USER = re.compile(r':/[^:\s]*:')


def printable(text, *, limit=LIMIT):
    """Return `text` (str or bytes) as one line of at most `limit` harmless characters.

    Control characters, line ends, lone surrogates and other characters that a terminal would
    obey, not show (also those that reverse the direction of writing), are written as escapes.  The
    password of a URL, which somebody gave where none belongs, is left out.
    """
    if isinstance(text, bytes):
        text = text.decode('utf-8', 'backslashreplace')
    if ':/' in text:  # not in the name of a file
        text = _without_password(text)
    if len(text) <= limit and text.isprintable():
        return text  # nearly all of them, and there are several for each file
    cut = text[:limit]
    shown = ''.join(c if c.isprintable() else _escape(c) for c in cut)
    if len(shown) > limit or len(text) > limit:
        shown = shown[: limit - 3] + '...'
    return shown


def strict_json(value):
    """Return `value` as JSON that each parser takes (RFC 8259, RFC 7493).

    Bytes of a name that are no text, and lone surrogates, are written as `printable` does; what is
    no finite number is null.
    """
    import json  # few commands need it

    return json.dumps(_strict(value), indent=2, allow_nan=False)


def _strict(value):
    if isinstance(value, str):
        return ''.join(_escape(c) if '\ud800' <= c <= '\udfff' else c for c in value)
    if isinstance(value, dict):
        return {_strict(str(key)): _strict(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _without_password(text):
    """Return `text` without what stands between the user of a URL and the last @."""
    end = text.rfind('@')
    user = _USER.search(text, 0, end + 1)
    return f'{text[: user.end()]}***{text[end:]}' if user else text


def _escape(character):
    if '\udc80' <= character <= '\udcff':  # a byte that is no text, see PEP 383
        return f'\\x{ord(character) - 0xDC00:02x}'
    return ascii(character)[1:-1]


def retry(spool, name=None, *, older=False):
    """Return the command that brings the parked file `name` of a spool back, as it can be typed.

    `spool` is the path.  Without a name the command has the word NAME.  `older`: it does so over a
    newer version.
    """
    # Imported here as it is needed by few runs.
    import shlex

    words = ['zeit-cds', 'retry', *['--older'] * older, '--spool', os.fspath(spool)]
    if name is None:
        words.append('NAME')
    else:
        words += ['--', name] if name.startswith('-') else [name]
    return printable(shlex.join(words), limit=2 * LIMIT)


def file_size(number):
    """Return `number` of bytes in the unit that suits it: `512 B`, `4.0 KiB`, `1.5 GiB`."""
    unit = 'B'
    for larger in ('KiB', 'MiB', 'GiB'):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f'{number} B' if unit == 'B' else f'{number:.1f} {unit}'


def age(seconds):
    """Return a duration in `seconds` as a person would say it: `40 s`, `5 min`, `3 h`, `2 d`.

    A negative duration (a clock was set back) counts as none.
    """
    seconds = max(0, int(seconds))
    for unit, length in (('d', 86400), ('h', 3600), ('min', 60)):
        if seconds >= 2 * length:
            return f'{seconds // length} {unit}'
    return f'{seconds} s'


def plural(number, noun):
    """Return `number` and `noun`, with an s where there is not exactly one: `2 files`."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def local(moment):
    """Return `moment`, an aware datetime, in the time zone of this place.

    It stays as it is where that is before the first year, or after the last one: "never" is written
    as the end of the year 9999.
    """
    try:
        return moment.astimezone()
    except (ValueError, OverflowError):
        return moment


def local_time(moment):
    """Return `moment`, an aware datetime, in local time to the second: `2026-01-31 17:05:09`."""
    return local(moment).strftime('%Y-%m-%d %H:%M:%S')


def from_timestamp(seconds):
    """Return `seconds` since the epoch as an aware datetime in UTC.

    What is before the first year, or after the last one, is its first or last second.
    """
    return datetime.datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), datetime.UTC)
