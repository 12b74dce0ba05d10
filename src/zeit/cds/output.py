"""Standard output and standard error: lines that fit, and what to do where nobody reads."""

import errno
import os
import shutil
import sys
import textwrap


def folded(text):
    """Return `text` with its lines broken between words, if standard error is a terminal."""
    if not sys.stderr.isatty():
        return text
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
