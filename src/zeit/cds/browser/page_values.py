"""What the page shows, as the template takes it: texts are harmless there, but not escaped yet."""

import dataclasses
from typing import NamedTuple

from zeit.cds.browser.actions import Task
from zeit.cds.browser.messages import Moment


class Button(NamedTuple):
    """A `label`, and what it does: a `Task`."""

    label: str
    task: Task


class Row(NamedTuple):
    """A file or content: `name` as shown, `link` to what is known of it, what `about` it is said.

    `texts` are further lines, `since` is a `Moment` or None, `where` is said if spools are several.
    """

    name: str
    link: str
    content: str = ''
    since: Moment | None = None
    texts: tuple = ()
    buttons: tuple = ()
    size: str = ''
    state: str = ''
    where: str = ''


class Section(NamedTuple):
    """Files of a spool that are in one state, for the same reason: `total`, of which `rows`."""

    kind: str
    title: str
    rows: list
    total: int
    bad: bool
    note: str = ''

    @property
    def more(self):
        """How many are not shown."""
        return self.total - len(self.rows)


class Partner(NamedTuple):
    """Whom a spool exchanges files with: how the last run in this direction went.

    `direction` is 'out' or 'in'; `bad` if the last run has failed, `partly` for some files only,
    which may be `settled` since, by somebody; `buttons` are for the lock.
    """

    name: str
    server: str
    direction: str
    last: Moment | None = None
    took: str = ''
    outcome: str = ''
    reason: str = ''
    bad: bool = False
    partly: bool = False
    settled: bool = False
    success: Moment | None = None
    newest: Moment | None = None
    lock: str = ''
    holder: str = ''
    locked: Moment | None = None
    buttons: tuple = ()


class Trouble(NamedTuple):
    """A sentence, what somebody has `said` about it, and where to read on: an `anchor`."""

    text: str
    said: str = ''
    hint: str = ''
    anchor: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spool:
    """A spool, or what one of several partners has `of` it; `group` is the same for all of these.

    `trouble` is a list of `Trouble`, empty if all is well.
    """

    anchor: str
    title: str
    path: str
    group: str
    of: str | None = None
    error: Trouble | None = None
    elsewhere: bool = False
    waiting: int = 0
    size: str = ''
    oldest: Moment | None = None
    late: bool = False
    partners: list = ()
    sections: list = ()
    trouble: list = ()
    active: str = ''
    held: bool = False

    @property
    def bad(self):
        return bool(self.trouble)


class Event(NamedTuple):
    """What has happened to a file: see the template."""

    at: Moment | None
    what: str
    spool: str
    name: str
    link: str
    content: str
    size: str
    texts: tuple = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The answer to a search for `text`: `rows` of what is there now, and `events`.

    `cut`: older events may be missing.
    """

    text: str
    rows: list
    events: list
    buttons: tuple = ()
    cut: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """All of it: `spools`, those in trouble first; the last `deliveries`; `found`, or None.

    `nowhere`: no spool is on this machine, and no other one is configured.  `error`: why there is
    nothing to show.  `elsewhere` is the URL of the page where something can be done.
    """

    at: Moment
    spools: list = ()
    deliveries: list = ()
    found: Found | None = None
    error: Trouble | None = None
    nowhere: bool = False
    elsewhere: str = ''
    text: str = ''

    @property
    def trouble(self):
        """The spools that somebody has to look after."""
        return [spool for spool in self.spools if spool.trouble]

    @property
    def quiet(self):
        """The others."""
        return [spool for spool in self.spools if not spool.trouble]

    @property
    def locked(self):
        """Whose servers the last runs have found locked, a text: perhaps no trouble yet."""
        partners = [each for spool in self.spools for each in spool.partners if each.lock]
        return ', '.join(dict.fromkeys(each.name or each.server for each in partners))

    @property
    def bad(self):
        return bool(self.error or self.nowhere or self.trouble)
