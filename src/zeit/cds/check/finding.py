"""What a check has found out: a line of its table."""

from typing import NamedTuple

from zeit.cds.errors import COME_BACK_LATER, DONE
from zeit.cds.text import printable


#: How it is.  Here: all is well, or something is, but may not stay so.  On the server: it can do
#: that, or not, and there is another way.  Both: no run could work; that was not found out.
OK, WARNING, CAN, CANNOT, FAILED, UNKNOWN = RESULTS = (
    'ok',
    'warning',
    'can',
    'cannot',
    'failed',
    'unknown',
)

#: Longest text of an error, in characters.
TEXT_CHARACTERS = 500


class Finding(NamedTuple):
    """What was asked about, one of `RESULTS`, and what was `found`.

    `instead`: what is done in place of what the server cannot; `setting`: what to set, or to do.
    `code` is the exit code of a run that ends by it.
    """

    name: str
    result: str
    found: str = ''
    instead: str = ''
    setting: str = ''
    code: int = DONE


def failed(name, error):
    """Return the `Finding` of an `Error` that would end a run.

    That somebody else is at work is no failure; then the rest is `UNKNOWN`.
    """
    busy = error.exit_code == COME_BACK_LATER
    said = '. '.join(filter(None, (error.message.rstrip('.'), getattr(error, 'holder', ''))))
    return Finding(
        name,
        UNKNOWN if busy else FAILED,
        printable(said, limit=TEXT_CHARACTERS),
        setting=printable(error.hint, limit=TEXT_CHARACTERS),
        code=error.exit_code,
    )
