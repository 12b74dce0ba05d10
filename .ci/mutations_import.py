"""What `check-mutations.py` breaks of imports."""

ARRIVALS = 'arrivals.py'
GATHERING = 'gathering.py'

IMPORTS = (
    (
        'deleted on the server before it is in new/',
        GATHERING,
        '        self._call(lambda: arrivals.hand_over(handover))\n',
        '        self._session.delete(job.name)\n'
        '        self._call(lambda: arrivals.hand_over(handover))\n',
    ),
    (
        'moved before the journal knows',
        ARRIVALS,
        '        incoming = handover.incoming\n        handover.filed_as = filed_as\n',
        '        incoming = handover.incoming\n        handover.filed_as = filed_as\n'
        '        incoming.move(filed_as)\n',
    ),
    (
        'a file of another size imported',
        'fetching.py',
        '        if after.size not in (None, incoming.size):\n',
        '        if after.size is None:\n',
    ),
    (
        'a growing file imported',
        'fetching.py',
        '        if not after.agrees(before):\n',
        '        if not after.exists:\n',
    ),
    (
        'an earlier file mistaken for the one in its place',
        ARRIVALS,
        "        return SAME if look.modified == entry['modified'] else OTHER\n",
        '        return SAME\n',
    ),
    (
        'the time of a file of this second believed',
        GATHERING,
        "            modified=look.modified if look.modified < self._gathering.since else '',\n",
        '            modified=look.modified,\n',
    ),
    (
        'a dangerous name believed',
        'importer.py',
        '                self._check(name)\n',
        '                pass\n',
    ),
    (
        'what a killed run left in tmp/ stays',
        ARRIVALS,
        '        self._spool.sweep()\n',
        '',
    ),
    (
        'a file in new/ overwritten',
        'incoming.py',
        'files.rename_exclusively(os.path.join(tmp',
        'os.rename(os.path.join(tmp',
    ),
    (
        'a directory that cannot be listed taken for an empty one',
        'importer.py',
        '        if not found:\n',
        '        if found is None:\n',
    ),
)
