"""The rules of a fault server: when is what done wrong?

A rule says when (verb, path, which occurrence, which connection), its actions say what. Of several
rules the one added first applies that is neither waiting for its turn nor used up; one rule
applies to a command. Its actions take effect in the order given. See `docs/testing.txt`.
"""

import collections
import dataclasses
import fnmatch
import threading

from zeit.cds.testing import actions


GREETING = 'GREETING'  # in place of a verb: the server's first words on a new connection


@dataclasses.dataclass(frozen=True)
class Event:
    """A command, as hooks, rules and `Call` see it.

    connection, number: 0-based number of the connection, and of the command on it.
    path: the argument as an absolute path; passwords are masked in `argument`.
    moment: 'before' or 'executed'; then `reply` has the bytes that will be sent.
    """

    server: object
    connection: int
    number: int
    verb: str
    argument: str
    path: str
    moment: str = 'before'
    reply: bytes = b''


@dataclasses.dataclass(frozen=True, eq=False)
class Rule:
    """When to apply actions. Made by `ScriptedServer.fault`, which documents the attributes."""

    verb: str
    actions: tuple[actions.Action, ...]
    _: dataclasses.KW_ONLY
    path: str = '*'
    nth: int = 0
    times: int | None = None
    connection: int | None = None
    each_connection: bool = False

    def matches(self, event):
        verbs = self.verb.upper().split()
        return (
            (event.verb.upper() in verbs or '*' in verbs and event.verb != GREETING)
            and self.connection in (None, event.connection)
            and any(fnmatch.fnmatchcase(p, self.path) for p in (event.path, event.argument))
        )

    def is_due(self, occurrence):
        return occurrence >= self.nth and (self.times is None or occurrence < self.nth + self.times)


class Script:
    """The rules of a server and how often each one matched; safe to use from several threads."""

    def __init__(self, rules=()):
        self._lock = threading.Lock()
        self._rules = list(rules)
        self._matches = collections.Counter()

    def add(self, rule):
        with self._lock:
            self._rules.append(rule)

    def remove(self, rule):
        """Remove a rule. Raises ValueError if it is not (any more) there."""
        with self._lock:
            self._rules.remove(rule)

    def clear(self):
        with self._lock:
            self._rules.clear()

    def decide(self, event):
        """Return the actions for a command: those of the first rule that is due, or none."""
        with self._lock:
            due = [rule for rule in self._rules if rule.matches(event) and self._count(rule, event)]
            return due[0].actions if due else ()

    def _count(self, rule, event):
        key = rule, event.connection if rule.each_connection else None
        self._matches[key] += 1
        return rule.is_due(self._matches[key] - 1)
