"""Standard output and standard error: lines that fit, and what to do where nobody reads."""

import errno
import os
import sys


#: The standard streams by number: what /dev/null is opened for in place of a closed one, and how it
#: is used.  Writing to what is open for reading fails: nobody takes silence for an answer.
_STREAMS = (
    ('stdin', os.O_RDONLY, 'r'),
    ('stdout', os.O_RDONLY, 'w'),
    ('stderr', os.O_WRONLY, 'w'),
)


def open_closed():
    """Open the standard streams that were closed when this process was started.

    There is nothing to be read then, nothing can be written to standard output (OSError), and
    standard error is silent.  To be called first: what is opened next would get their numbers, and
    what somebody writes to standard error would go into a journal, or to a server.
    """
    for name, flags, mode in _STREAMS:
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)
            setattr(sys, name, open(descriptor, mode, encoding='utf-8', closefd=False))


def folded(text):
    """Return `text` with its lines broken between words, if standard error is a terminal."""
    if not sys.stderr.isatty():
        return text
    import shutil
    import textwrap

    width = max(40, shutil.get_terminal_size().columns)
    return '\n'.join(
        textwrap.fill(
            line,
            width,
            subsequent_indent='  ',
            replace_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def unwritten(error):
    """Give standard output up after the OSError `error`; return what to say about it, or ''.

    Somebody who does not read on, as head(1), is no error.
    """
    # What is still in its buffer must not fail again when the interpreter ends.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
    if error.errno == errno.EPIPE:
        return ''
    return f'Cannot write to standard output: {error.strerror}'
