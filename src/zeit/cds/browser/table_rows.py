"""A row of the page: a file or content, what is said of it, and the buttons for it."""

from zeit.cds.browser import messages
from zeit.cds.browser.actions import Task
from zeit.cds.browser.messages import _, encoded
from zeit.cds.browser.page_values import Button, Row
from zeit.cds.text import printable


#: How many characters of a name are shown; all of it where the name is the only one.
NAME_CHARACTERS = 120


def link(name):
    """Return the link to what is known of a file, '' without a name."""
    return f'?file={encoded(name)}' if name else ''


def schedule(each, now):
    """Return when what waits goes, as far as the application has told: texts."""
    begin = messages.moment(each.get('not_before'), now)
    end = messages.moment(each.get('not_after'), now)
    texts = []
    if begin and begin.seconds < 0:
        texts.append(_('Embargo until ${time}.', mapping={'time': begin.full}))
    if end:
        text = _('Is not sent after ${time}.', mapping={'time': end.full})
        texts.append(text)
    return tuple(texts)


class Rows:
    """Makes rows for files of the spool with this `key`; `allowed` is what a person may do there.

    `now` is in seconds since the epoch.
    """

    def __init__(self, key, *, now, allowed):
        self.now = now
        self._key = key
        self._allowed = allowed

    def moment(self, text):
        """Return the `Moment` of a time in ISO format, or None."""
        return messages.moment(text, self.now)

    def buttons(self, name, *actions):
        """Return the `Button`s for a file, as far as this person may press them."""
        tasks = [Task(action, self._key, name) for action in actions]
        return tuple(
            Button(task.about.label, task)
            for task in tasks
            if task.about.permission in self._allowed
        )

    def row(self, each, *actions, texts=(), since=None):
        """Return the `Row` of a file that `each` tells of; `since` is a field of it, a time."""
        name = each['name'] or ''
        return Row(
            name=printable(name, limit=NAME_CHARACTERS),
            link=link(name),
            content=printable(each.get('content') or '', limit=NAME_CHARACTERS),
            since=self.moment(each.get(since)) if since else None,
            texts=(*schedule(each, self.now), *filter(None, texts)),
            buttons=self.buttons(name, *actions),
            size=messages.size(each.get('size')),
        )
