"""What is made durable for several files at once: an fsync costs more than the rest of a file."""

#: The most files that wait for it, and the longest time, in seconds.
FILES, LAG = 32, 0.1


class Group:
    """Entries that wait until `write(entries)` is called with all of them; `clock` tells seconds.

    Only what comes quickly waits: the first one does not, and none that came `LAG` seconds or more
    after the one before.  So what waits does not wait for what may take long.
    """

    def __init__(self, write, *, clock):
        self._write = write
        self._clock = clock
        self._entries = []
        self._since = self._last = float('-inf')

    def __repr__(self):
        return f'<Group of {len(self._entries)}>'

    def add(self, entry, *, alone=False):
        """Let `entry` wait, but not if it is to be `alone`, or too much waits, or for too long."""
        now, before = self._clock(), self._last
        self._since = self._since if self._entries else now
        self._last = now
        self._entries.append(entry)
        full = len(self._entries) >= FILES or now - self._since >= LAG
        if alone or full or now - before >= LAG:
            self.flush()

    def flush(self):
        """Write what waits.  What could not be written is not tried again."""
        entries, self._entries = self._entries, []
        if entries:
            self._write(entries)
