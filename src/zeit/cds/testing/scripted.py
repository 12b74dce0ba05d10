"""What the fault servers have in common: rules, files, a record of what came, and an end."""

import threading

from zeit.cds.testing import dialogue, ftpstore, script


TICK = 0.02  # seconds between two looks whether the server stops, while waiting for a test's event


class ScriptedServer:
    """A server that does by rules what is wrong; a subclass has `start` and `stop`, and a protocol.

    `tree`, `script` and `record` are its files, rules and dialogue; `login` is (user, password).
    `stopping` is set when it is being stopped, `connected` counts connections.
    """

    port = 0  # a free one, and the same again when it is started again

    def __init__(self, files, *, directories, merges, user, password, hook):
        self.tree = ftpstore.FileTree(files, directories=directories, merges=merges)
        self.script = script.Script()
        self.record = dialogue.Dialogue()
        self.user, self.password = self.login = (user, password)
        self.connected = 0
        self.stopping = threading.Event()
        self._hook = hook
        self._changed = threading.Condition()
        self._errors = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self.stop()
        except ExceptionGroup as group:
            if error is None:
                raise
            error.add_note(f'And in the fault server: {group.exceptions!r}')

    def restart(self):
        """Stop and start again on the same port; files, rules and record stay."""
        self.stop()
        self.start()

    def wait_closed(self, *, timeout=10):
        """Wait until no connection is open, and all is executed. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, timeout):
                raise TimeoutError(f'{self._open} connections are open:\n{self.record}')

    def _raise_errors(self):
        errors, self._errors = self._errors, []
        if errors:
            raise ExceptionGroup('In the fault server', errors)

    # Faults

    def fault(self, verb, *actions, **when):
        """Add a rule: what to do wrong when a command comes. Returns it, for `remove_fault`.

        verb: one or several ('STOR APPE'), '*' for every command, GREETING for the connection.
        actions: what to do, in this order; none is a rule that shields a command from others.
        path: glob on the absolute path, or on the argument as it was sent.
        nth: the 0-based occurrence, among commands that match, from which on the rule applies.
        times: how many occurrences it applies to; None is for ever.
        connection: only on this connection (0-based).
        each_connection: count occurrences on every connection anew.
        """
        rule = script.Rule(verb, actions, **when)
        self.script.add(rule)
        return rule

    def remove_fault(self, rule):
        """Remove a rule. Raises ValueError if it is not there."""
        self.script.remove(rule)

    def clear_faults(self):
        """Remove all rules."""
        self.script.clear()

    # Files

    @property
    def files(self):
        """A copy of all files: a dictionary of absolute path and bytes."""
        return self.tree.files()

    @property
    def directories(self):
        """The sorted absolute paths of all directories but the root."""
        return self.tree.directories()

    def put(self, path, content, *, modified=None):
        """Create or replace a file; `modified` in seconds since the epoch."""
        self.tree.put(path, content, modified=modified)

    def make_directory(self, path):
        """Create a directory and those above it, as far as they are missing."""
        self.tree.make_directories(path)

    def delete(self, path):
        """Remove a file. Raises OSError."""
        self.tree.delete(path)

    def remove_directory(self, path):
        """Remove an empty directory. Raises OSError."""
        self.tree.remove_directory(path)

    # The record

    @property
    def dialogue(self):
        """All entries (connection, kind, text) so far; kind: open, command, reply, close."""
        return self.record.entries()

    @property
    def transcript(self):
        """The dialogue as text, for people."""
        return str(self.record)

    def conversation(self, connection):
        """Return the entries of one connection."""
        return self.record.entries(connection=connection)

    def commands(self, *verbs, connection=None):
        """Return the commands received, as text: all, or those with one of the verbs."""
        verbs = [verb.upper() for verb in verbs]
        return [entry.text for entry in self.record.commands(*verbs, connection=connection)]

    def connections(self, *verbs):
        """Return the number of the connection of every such command, in order."""
        return [entry.connection for entry in self.record.commands(*verbs)]

    def wait_for(self, verb, *, connection=None, count=1, timeout=10):
        """Wait until a verb was received `count` times. Raises TimeoutError after seconds."""
        self.record.wait_for(verb, connection=connection, count=count, timeout=timeout)

    # For the sessions

    def call_hook(self, event):
        if self._hook:
            self._hook(event)

    def pause(self, until=None, *, seconds=0):
        """Wait for a threading.Event, or for seconds; return whether the server goes on."""
        if until is None:
            return not self.stopping.wait(seconds)
        while not until.wait(TICK):
            if self.stopping.is_set():
                return False
        return True
