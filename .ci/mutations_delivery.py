"""What `check-mutations.py` breaks of deliveries, and of when to stop."""

EXCHANGE = 'run/run.py'
EXPORTER = 'run/exporter.py'
RENAMING = 'target/renaming.py'
UPLOAD = 'target/upload.py'

DELIVERIES = (
    (
        'the temporary name left out',
        UPLOAD,
        '        if not self._delivery.temporary:\n            return self._upload_in_place',
        '        if self._delivery.temporary:\n            return self._upload_in_place',
    ),
    (
        'a file that is refused stops the others',
        'values/plan.py',
        '        if self.strict:\n            self.stop(error)\n',
        '        if True:\n            self.stop(error)\n',
    ),
    (
        'a full disk at the partner parks the queue',
        'values/plan.py',
        'if failure.is_final and failure.is_proven',
        'if failure.is_final and (failure.is_proven or self.stored)',
    ),
    (
        'what was under way when a file failed proves that it is to blame',
        'values/plan.py',
        'failure.is_proven or number > failure.since',
        'True',
    ),
    (
        'a file that is unknown to a server is taken for a wrong configuration',
        RENAMING,
        'if error.is_unsupported and not self._session.renames:',
        'if error.is_unsupported:',
    ),
    (
        'what takes all the time of a run keeps the last file away',
        'run/engine.py',
        '        self.failures.block(self.plan.blocking())\n',
        '',
    ),
    (
        'no room for one of the last and one that has failed: that one has it',
        'values/plan.py',
        'if probe is not None and (in_doubt or not self._has_room(job, probe)):',
        'if probe is not None and in_doubt:',
    ),
    (
        'four that have failed end the run before the last one was tried',
        'values/plan.py',
        ' or (job.has_failed and self._has_others()):',
        ':',
    ),
    (
        'what has failed is the first one of the next run',
        'run/failures.py',
        "if row and (row.get('version') == job.version or row.get('busy')):",
        'if False:',
    ),
    (
        'a newer version is behind the others for the failures of the one before',
        'run/failures.py',
        "if row and (row.get('version') == job.version or row.get('busy')):",
        'if row:',
    ),
    (
        'a file that is replaced again and again keeps the run to itself',
        EXPORTER,
        'if self.sent[newer.name] < VERSIONS:',
        'if True:',
    ),
    (
        'a file that changed while it was sent',
        UPLOAD,
        '            source.verify()\n            noted = True\n',
        '            noted = True\n',
    ),
    (
        'what stands on the server replaced in spite of exists="park"',
        RENAMING,
        "if self._session.delivery.exists == 'park':",
        "if self._session.delivery.exists == 'never':",
    ),
    (
        'a dry run that delivers',
        EXCHANGE,
        '            if self.options.dry_run:\n',
        '            if self.options is None:\n',
    ),
    (
        'renamed on the server before the journal knows',
        UPLOAD,
        '            self._note_sent(name, temporary, source, reply)\n'
        '            source.require_wanted()\n'
        '            renaming = True\n'
        '            self._renaming.give_name(temporary, name, source)\n',
        '            renaming = True\n'
        '            self._renaming.give_name(temporary, name, source)\n'
        '            self._note_sent(name, temporary, source, reply)\n',
    ),
    (
        'renamed on the server although it was withdrawn',
        UPLOAD,
        '            source.require_wanted()\n            renaming = True\n',
        '            renaming = True\n',
    ),
    (
        'sent as itself although it was withdrawn',
        UPLOAD,
        '            source.require_wanted()\n            reply = self._send(',
        '            reply = self._send(',
    ),
    (
        'an upload that failed not given up in the journal',
        UPLOAD,
        "                self._ledger.note('abandoned', name)\n",
        '                pass\n',
    ),
    (
        'put aside before the journal knows',
        RENAMING,
        "        self._ledger.note('aside', name, aside=old)\n        try:\n"
        '            self._move_aside(name, old, old_size)\n',
        '        try:\n            self._move_aside(name, old, old_size)\n'
        "            self._ledger.note('aside', name, aside=old)\n",
    ),
    (
        'the deadline does not bound the waits',
        EXCHANGE,
        'within=self._remaining()',
        'within=None',
    ),
    (
        'the deadline does not end the run',
        EXCHANGE,
        'return self._end is not None and self.clock() >= self._end',
        'return self._end is None and self.clock() >= self._end',
    ),
    (
        'nothing parked that is refused again and again',
        'run/refusals.py',
        '        if number < self._park_after or not parks:\n',
        '        if number < 99 or not parks:\n',
    ),
    (
        'a lost answer to a rename not looked after',
        RENAMING,
        '            if not self._session.exists(old):\n                if not arrived',
        '            if old is None:\n                if not arrived',
    ),
    (
        'a renaming without a reply believed: an older version may have the name',
        RENAMING,
        '        if inferred and not arrived():\n',
        '        if inferred is None:\n',
    ),
    (
        'an upload without a reply believed: an older version may have its size',
        UPLOAD,
        '            told = before[0] not in (None, source.size)\n',
        '            told = True\n',
    ),
    (
        'an older file not told from half a new one',
        'target/upload_in_place.py',
        '        elif all(old in (None, new)',
        '        elif not all(old in (None, new)',
    ),
    (
        'what stands there not written down before it is overwritten',
        UPLOAD,
        "        self._note('exposed', name, size=size, before=before, "
        'sequence=source.number)\n',
        '',
    ),
    (
        'the part of a killed run left under the real name',
        'lock/leftovers.py',
        '        self._remove_parts(waits)\n',
        '',
    ),
    (
        'all of a file removed that nobody will send again',
        'target/upload_in_place.py',
        '(length == size and waits)',
        'length == size',
    ),
    (
        'an older file deleted that the server had not begun to overwrite',
        UPLOAD,
        '            part = isinstance(error, _AFTER_THE_START) or',
        '            part = error is not None or',
    ),
    (
        'sent again although its deletion may come late',
        'values/plan.py',
        'error.in_doubt or ',
        '',
    ),
    (
        'what may come late is forgotten at the end of the run',
        RENAMING,
        '        if name not in self._session.unconfirmed and name not in self._session.garbage:\n',
        '        if name not in self._session.garbage:\n',
    ),
    (
        'an old file put aside twice, the second one being the new one',
        RENAMING,
        '            if old in self._session.unconfirmed and not names.token_of(old):\n',
        '            if False:\n',
    ),
    (
        'a run after which nothing waits does not look at what may come late',
        EXCHANGE,
        "if not (unfinished or view.rows('exposed') or view.rows('asides')):",
        'if not unfinished:',
    ),
    (
        'nor for a temporary that may come late',
        EXCHANGE,
        'lock.touched or session.garbage or session.unconfirmed\n',
        'lock.touched or session.garbage\n',
    ),
)
