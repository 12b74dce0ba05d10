"""What a spool remembers, as the bytes say it: for tests, without the code that is tested."""

import json
import pathlib


#: The journal in a spool.
JOURNAL = '.cds/journal/state.jsonl'


def journal(spool):
    """Return the lines of the journal of the spool at this path, but how runs have ended."""
    lines = (pathlib.Path(spool) / JOURNAL).read_bytes().splitlines()
    return [line for line in lines if b'"kind": "ended"' not in line]


def history(private):
    """Return the entries of the history in `private`, oldest first, without half lines.

    Those are what a killed run leaves; what was written after it is a line of its own.
    """
    paths = sorted((pathlib.Path(private) / 'history').glob('*.jsonl'))
    lines = [line for path in paths for line in path.read_bytes().splitlines()]
    return [json.loads(line) for line in lines if line.endswith(b'}')]


def receipts(private, name=None):
    """Return the receipts of files that were sent or came in, of `name` or of all, oldest first."""
    kinds = ('delivered', 'imported')
    found = [entry for entry in history(private) if entry['kind'] in kinds]
    return [entry for entry in found if name in (None, entry['name'])]
