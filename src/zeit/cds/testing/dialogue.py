"""The record of what was said between clients and the fault server."""

import threading
import typing


class Entry(typing.NamedTuple):
    """One line of the record.

    connection: number of the control connection, 0-based.
    kind: 'open', 'command', 'reply', 'close'; 'early' before the final reply to a transfer means
    that further commands had arrived by then, which several real servers do not stand; 'prompt'
    that they arrived when the data connection had ended.
    text: the command or reply without its line end; lines of a reply are joined by a newline.
    """

    connection: int
    kind: str
    text: str

    @property
    def verb(self):
        return self.text.partition(' ')[0].upper() if self.kind == 'command' else ''


class Dialogue:
    """An append-only list of entries; safe to use from several threads."""

    def __init__(self):
        self._entries = []
        self._changed = threading.Condition()

    def add(self, connection, kind, text=''):
        with self._changed:
            self._entries.append(Entry(connection, kind, text))
            self._changed.notify_all()

    def entries(self, *, connection=None):
        """Return a copy of the record, of one connection or of all."""
        with self._changed:
            return [e for e in self._entries if connection in (None, e.connection)]

    def commands(self, *verbs, connection=None):
        """Return the command entries, all or those with one of the `verbs`."""
        return [
            entry
            for entry in self.entries(connection=connection)
            if entry.kind == 'command' and (not verbs or entry.verb in verbs)
        ]

    def wait_for(self, verb, *, connection=None, count, timeout):
        """Wait until `verb` was received `count` times. Raises TimeoutError after seconds."""

        def has_come():
            return len(self.commands(verb, connection=connection)) >= count

        with self._changed:
            if not self._changed.wait_for(has_come, timeout):
                raise TimeoutError(f'{verb} did not come {count} times in {timeout} s:\n{self}')

    def __str__(self):
        sign = {'command': '>', 'reply': '<'}
        return '\n'.join(
            f'{e.connection} {sign.get(e.kind, "*")} {line}'
            for e in self.entries()
            for line in (e.text or e.kind).split('\n')
        )
