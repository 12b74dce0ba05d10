"""Standard error where it is the journal of systemd: one line for each event, with a priority.

Time and program are the journal's business, see systemd.exec(5), $JOURNAL_STREAM, and sd-daemon(3)
for the priorities.
"""

import contextlib
import os

import zope.event

from zeit.cds.interfaces import IFileExported, IFileImported
from zeit.cds.text import file_size, printable


#: What sd-daemon(3) calls ERR, WARNING, INFO and DEBUG.
ERROR, WARNING, INFO, DEBUG = 3, 4, 6, 7

#: Steps on the way, of no interest as long as all goes well: a file has a line of its own.
_STEPS = (
    'Accessed filestore ',
    'Connecting to ',
    'Creating lock file',
    'Disconnected from ',
    'Downloading: ',
    'Exiting with success.',
    'File removed on server: ',
    'Lock file successfully ',
    'Moved from ',
    'No new files ',
    'Removing lock file',
    'Uploading: ',
)


def is_journal(stream, environ):
    """Return whether `stream` goes to the journal; `environ` as os.environ."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environ.get('JOURNAL_STREAM') == f'{status.st_dev}:{status.st_ino}'


def priority(level, text):
    """Return the priority of a log record of this level that says `text`."""
    if level >= 50:  # a bug
        return 2
    if level >= 40:
        return ERROR
    if level >= 30:
        return WARNING
    return DEBUG if level < 20 or text.startswith(_STEPS) else INFO


def marked(number, text):
    """Return `text` with this priority before each of its lines."""
    return '\n'.join(f'<{number}>{line}' for line in text.splitlines())


@contextlib.contextmanager
def told_of_files(say):
    """Call `say(line)` for each file delivered or imported, as long as the context lasts."""

    def tell(event):
        for interface, done in (IFileExported, 'Delivered'), (IFileImported, 'Imported'):
            if interface.providedBy(event):
                result = event.result
                seconds = f' in {result.seconds:.2f} s' if getattr(result, 'seconds', None) else ''
                say(f'{done}: {printable(result.name)}, {file_size(result.size)}{seconds}')

    zope.event.subscribers.append(tell)
    try:
        yield
    finally:
        zope.event.subscribers.remove(tell)
