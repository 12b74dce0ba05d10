"""What `check-mutations.py` breaks of imports."""

ARRIVALS = 'run/arrivals.py'
DOWNLOAD = 'target/download.py'

IMPORTS = (
    (
        'deleted on the server before it is in new/',
        DOWNLOAD,
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
        'target/fetcher.py',
        '        if after.size not in (None, incoming.size):\n',
        '        if after.size is None:\n',
    ),
    (
        'a growing file imported',
        'target/fetcher.py',
        '        if not after.agrees(before):\n',
        '        if not after.exists:\n',
    ),
    (
        'a file taken that is being written',
        'target/being_written.py',
        '        if age is not None and age >= SETTLED_AFTER:\n',
        '        if age is not None:\n',
    ),
    (
        'an earlier file mistaken for the one in its place',
        ARRIVALS,
        "        return not (look.modified and entry['modified']) or look",
        '        return True or look',
    ),
    (
        'what was imported is not compared by its content',
        ARRIVALS,
        "and known.get('moved') and known['sha256'] == incoming.sha256:\n",
        "and known.get('moved'):\n",
    ),
    (
        'the time of a file of this second believed',
        DOWNLOAD,
        "            modified=look.modified if look.modified < self._downloads.since else '',\n",
        '            modified=look.modified,\n',
    ),
    (
        'a dangerous name believed',
        'run/import_selection.py',
        'look, why = Look.at(*facts), self._refusal(name)\n',
        'look, why = Look.at(*facts), None\n',
    ),
    (
        'moved when it may not be on the disk',
        'spool/incoming.py',
        '            os.fsync(self._file.fileno())\n',
        '',
    ),
    (
        'a temporary of somebody else overwritten',
        'spool/incoming.py',
        "files.open_new(self._in('tmp', temporary))",
        "open(self._in('tmp', temporary), 'wb', buffering=0)",
    ),
    (
        'what a signal interrupted taken for done',
        'target/pool.py',
        'call.error = call.error or failed',
        'call.error = call.error',
    ),
    (
        'no alarm where no import succeeds',
        'monitoring/freshness.py',
        "    yield Unfinished('', _last_success(found), NO_IMPORT)\n",
        '',
    ),
    (
        'what a killed run left in tmp/ stays',
        ARRIVALS,
        '        self._spool.sweep()\n',
        '',
    ),
    (
        'a file in new/ overwritten',
        'spool/incoming.py',
        'files.rename_exclusively(os.path.join(tmp',
        'os.rename(os.path.join(tmp',
    ),
    (
        'a directory that cannot be listed taken for an empty one',
        'run/importer.py',
        '        if not found:\n            if has_vanished',
        '        if found is None:\n            if has_vanished',
    ),
    (
        'a directory fetched, which some servers begin and never end',
        'target/download.py',
        '        if self._session.sizes_directories():\n',
        '        if False:\n',
    ),
    (
        'what cannot be deleted fetched in each run',
        ARRIVALS,
        '        if rests:\n',
        '        rests = False\n        if rests:\n',
    ),
)
