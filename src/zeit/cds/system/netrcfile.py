"""Which password a netrc file has for a host and a user.

The module of the standard library knows the last user of each host only, and no byte order mark.
Source: ftp(1), and the netrc of Python 3.11 for what is quoted and what a comment is.
"""

import re


#: Text in quotes, or without blanks; in both a backslash makes the next character an ordinary one.
_TOKEN = r'(?s)\s*(?:"((?:\\.|[^"\\])*)"|((?:\\.|[^\s\\])+))'

_KEYS = ('machine', 'login', 'user', 'account', 'password')


def find(text, *, host, user):
    """Return the password of `user` on `host` (None if there is none), and 0.

    Of several entries of the host the first one with this user counts, then the first one without
    a user; that of `default` only if none is about the host.  If a line cannot be understood, its
    number takes the place of the 0: nothing is raised that could have the text in its frames.
    """
    entries, wrong = _entries(text)
    host = host.casefold()  # in a URL it has been that already (RFC 4343)
    about = [each for each in entries if each.get('machine', '').casefold() == host]
    about = about or [each for each in entries if 'machine' not in each]
    for name in (user, ''):
        for each in about:
            if each.get('login', '') == name:
                return each.get('password'), wrong
    return None, wrong


def _entries(text):
    """Return the entries, dictionaries, and the number of the first line that is wrong, or 0."""
    entries, key, macro, number = [], '', False, 0
    for number, line in enumerate(text.removeprefix('\ufeff').splitlines(), start=1):
        if macro:
            macro = bool(line.strip())
            continue
        for found in re.finditer(_TOKEN, line):
            token = re.sub(r'\\(.)', r'\1', found[2] if found[1] is None else found[1])
            if key == 'machine':
                entries.append({key: token})
            elif key:
                entries[-1]['login' if key == 'user' else key] = token
            elif token.startswith('#'):
                break
            elif token == 'default':
                entries.append({})
                continue
            elif token == 'macdef':
                macro = True
                break
            elif token not in _KEYS or (token != 'machine' and not entries):
                return [], number
            key = '' if key else token
    return entries, number if key else 0
