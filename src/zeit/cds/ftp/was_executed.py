"""Whether the server has executed a command, where its reply does not say so.

A final reply whose code is another command's own proves nothing.  It may be late; or the server
has left out an answer, and this one is that to a pipelined command.  So the effect is asked for, by
commands whose replies cannot be taken for one another: a reply that is left over moves them all,
and the last one, to NOOP, does not fit.
"""

from zeit.cds.errors import ServerError
from zeit.cds.ftp import parsing, reply_errors


def shows(connection, command):
    """Return whether the server shows that it has executed `command`, and no reply is left over.

    `connection` is a `ControlConnection` with no answer due.  Raises what its methods raise, but
    no refusal.
    """
    question = _QUESTIONS.get(command.verb)
    try:
        return bool(question and question(connection, command.argument) and in_step(connection))
    except ServerError:
        return False


def in_step(connection):
    """Return whether the next reply answers the next command.

    Where NOOP is not known, PWD tells: 257 is no answer to what may have been asked before.
    """
    answer = connection.ask('NOOP')
    if answer.reply.code in reply_errors.NOT_IMPLEMENTED:
        answer = connection.ask('PWD')
    return answer.verdict == reply_errors.DONE


def _renamed(connection, new):
    """The new name is there, with the size that the file had, and the old one is not."""
    old, told = connection.renamed, connection.known_size
    size = _size(connection, new)
    if size is not None and told is not None and told[0] == old and told[1] != size:
        return False
    listed = connection.list_names()
    # What has a size is there: a listing that shows it may be believed.
    believed = size is not None or connection.capabilities.is_shown(listed)
    return new in listed and old not in listed and believed


def _deleted(connection, name):
    """As `_removed`, or no file to SIZE either: nothing but another look depends on it."""
    listed = connection.list_names()
    if name in listed or connection.capabilities.is_shown(listed):
        return name not in listed
    refused = connection.ask('SIZE', name)
    return bool(connection.capabilities.sizes) and refused.reply.code == reply_errors.NO_FILE


def _removed(connection, path):
    """A listing does not show it, but does show what is known to be there."""
    inside, _, name = path.rpartition('/')
    if inside:
        try:
            return name not in connection.list_names(inside=inside)
        except ServerError:
            return connection.usable and _removed(connection, inside)  # then nothing is inside
    listed = connection.list_names()
    return name not in listed and connection.capabilities.is_shown(listed)


def _is_listed(connection, path):
    inside, _, name = path.rpartition('/')
    return name in connection.list_names(inside=inside)


def _size(connection, name):
    """Return the size of a file, or None if the server does not tell it."""
    try:
        return parsing.size(connection.ask('SIZE', name).check().reply)
    except ServerError:
        return None


def _transferred(connection, name):
    """The server has as many bytes as went over the data connection."""
    return _size(connection, name) == connection.transferred_bytes


def _is_inside(connection, directory):
    """The current directory is this one."""
    answer = connection.ask('PWD')
    if answer.verdict != reply_errors.DONE:
        return False
    current = f'/{parsing.directory(answer.reply).strip("/")}'
    expected = f'/{directory.strip("/")}'
    return current == expected or (directory[:1] != '/' and current.endswith(expected))


def _is_logged_in(connection, _):
    """There is a current directory."""
    return connection.ask('PWD').verdict == reply_errors.DONE


def _formality(connection, _):
    """It changes nothing that matters."""
    return True


_QUESTIONS = {
    'OPTS': _formality,
    'PBSZ': _formality,
    'USER': _is_logged_in,
    'PASS': _is_logged_in,
    'CWD': _is_inside,
    'RNTO': _renamed,
    'DELE': _deleted,
    'MKD': _is_listed,
    'RMD': _removed,
    'STOR': _transferred,
    'RETR': _transferred,
}
