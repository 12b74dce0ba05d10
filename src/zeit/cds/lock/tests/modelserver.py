"""A server's directory as a value, and what each FTP command makes of it.

The directory is a frozenset of (path, content); a directory in it has None for content.  Every
command is atomic, as rename(2), mkdir(2), rmdir(2), unlink(2) and open(2) are.
"""

#: The commands that change something.
CHANGING = ('STOR', 'RNTO', 'DELE', 'MKD', 'RMD')

_REFUSED = ('refused', None)
_DONE = ('done', None)


def execute(server, command, *, replaces=True, merges=False):
    """Return (the server afterwards, (verdict, value)).

    `replaces` says whether RNTO replaces a file, as rename(2) does, or is refused, as ProFTPD has
    it by default; `merges` whether a directory is renamed onto one that is not empty, as rclone
    has it.  SIZE and RETR of what is not there are not refused: their value is None.
    """
    verb, *arguments = command
    if verb == 'RNTO':
        return _rename_to(dict(server), server, replaces, merges, *arguments)
    return _COMMANDS[verb](dict(server), server, replaces, *arguments)


def _list(entries, server, replaces, inside):
    if inside and entries.get(inside, '') is not None:
        return server, _REFUSED
    start = f'{inside}/' if inside else ''
    found = {path.removeprefix(start) for path in entries if path.startswith(start)}
    return server, ('done', frozenset(name for name in found if '/' not in name))


def _size(entries, server, replaces, name):
    content = entries.get(name)
    return server, ('done', None if content is None else len(content))


def _retrieve(entries, server, replaces, name):
    return server, ('done', entries.get(name))


def _store(entries, server, replaces, name, content):
    if entries.get(name, '') is None:
        return server, _REFUSED
    return frozenset((entries | {name: content}).items()), _DONE


def _rename_from(entries, server, replaces, old):
    return server, _DONE if old in entries else _REFUSED


def _rename_to(entries, server, replaces, merges, old, new):
    if old not in entries:
        return server, _REFUSED
    is_directory = entries[old] is None
    if new == old and replaces:
        return server, _DONE  # rename(2) does nothing then
    if new in entries:
        if is_directory != (entries[new] is None) or not (is_directory or replaces):
            return server, _REFUSED
        if is_directory and _inside(entries, new) and not merges:
            return server, _REFUSED
        del entries[new]
    moved = {
        new + path.removeprefix(old) if path == old or path.startswith(f'{old}/') else path: content
        for path, content in entries.items()
    }
    return frozenset(moved.items()), _DONE


def _delete(entries, server, replaces, name):
    if entries.get(name) is None:
        return server, _REFUSED
    del entries[name]
    return frozenset(entries.items()), _DONE


def _make_directory(entries, server, replaces, name):
    parent = name.rpartition('/')[0]
    if name in entries or (parent and entries.get(parent, '') is not None):
        return server, _REFUSED
    return frozenset((entries | {name: None}).items()), _DONE


def _remove_directory(entries, server, replaces, name):
    if entries.get(name, '') is not None or _inside(entries, name):
        return server, _REFUSED
    del entries[name]
    return frozenset(entries.items()), _DONE


def _inside(entries, name):
    return any(path.startswith(f'{name}/') for path in entries)


_COMMANDS = {
    'MLSD': _list,
    'SIZE': _size,
    'RETR': _retrieve,
    'STOR': _store,
    'RNFR': _rename_from,
    'DELE': _delete,
    'MKD': _make_directory,
    'RMD': _remove_directory,
}
