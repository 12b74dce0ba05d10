"""What `check-mutations.py` breaks of spool and journal."""

EXPORTER = 'run/exporter.py'
SPOOL = 'spool/spool.py'
FILING = 'spool/filing.py'
JOURNAL = 'journal/journal.py'
JSONLOG = 'journal/append_log.py'
JSONLINES = 'journal/line_format.py'
DELIVERED = 'target/interrupted_upload.py'
SEQUENCE = 'spool/sequence.py'
SCHEDULE = 'spool/schedule.py'

LOCAL = (
    (
        'a correction filed unsent: not compared',
        FILING,
        '        if source.is_file(private):\n',
        '        if source:\n',
    ),
    (
        'a correction filed unsent: compared before the rename',
        FILING,
        '            private = self.take(name)\n'
        '        except FileNotFoundError:\n'
        '            return self._copy(source, name), None\n'
        '        try:\n'
        '            if source.is_file(private):\n',
        '            same = source.is_file(os.path.join(self._new, name))\n'
        '            private = self.take(name)\n'
        '        except FileNotFoundError:\n'
        '            return self._copy(source, name), None\n'
        '        try:\n'
        '            if same:\n',
    ),
    (
        'what was changed by a mapping filed as sent',
        FILING,
        '                source.require_same(touched=touched)\n',
        '',
    ),
    (
        'what others have written filed before it is durable',
        SPOOL,
        '            if not self._is_durable(source):\n',
        '            if False:\n',
    ),
    (
        'filing tried after sending',
        'run/exporter.py',
        '                self.spool.require_filing()\n',
        '                pass\n',
    ),
    (
        'a signal that breaks off filing',
        'run/exporter.py',
        '        with self.uninterrupted:\n            return self._file_delivered',
        '        if True:\n            return self._file_delivered',
    ),
    (
        'nothing is confirmed at the end',
        'run/exporter.py',
        '                with self.uninterrupted:\n                    self.receipts.flush()\n',
        '                pass\n',
    ),
    (
        'a receipt before what it says is durable',
        'run/exporter.py',
        '        self.spool.sync()\n',
        '',
    ),
    (
        'two versions of a file are confirmed together',
        'run/exporter.py',
        '            alone = newer is not None or not',
        '            alone = not',
    ),
    (
        'what cannot be found again waits for others',
        'run/exporter.py',
        "newer is not None or not receipt['sha256']\n",
        'newer is not None\n',
    ),
    ('overwriting in cur/', 'system/files.py', '_RENAME_NOREPLACE = 1 ', '_RENAME_NOREPLACE = 0 '),
    (
        'symbolic links sent',
        'spool/entries.py',
        'status = item.stat(follow_symlinks=False)',
        'status = item.stat()',
    ),
    (
        'two runs on one spool',
        'system/files.py',
        'fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)',
        'fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)',
    ),
    (
        'the order of deliveries',
        SPOOL,
        'found.sort(key=entries.by_name if order ==',
        'found.sort(reverse=True, key=entries.by_name if order ==',
    ),
    (
        'the journal not synchronised',
        JSONLINES,
        '        if durable:\n            os.fsync(descriptor)\n',
        '',
    ),
    (
        'a new journal whose directory is not synchronised',
        JSONLOG,
        '            files.sync_directories(self._directory)\n            undo.pop_all()\n',
        '            undo.pop_all()\n',
    ),
    (
        'what a killed run was filing left',
        SPOOL,
        '                self.set_aside = self._filing.put_back(\n'
        '                    digests=self._digests, park=self._park, alone=self._alone\n'
        '                )\n',
        '',
    ),
    (
        'what the system does not let go sent all the same',
        FILING,
        '            pass  # that may have been about the directory\n',
        '            return\n',
    ),
    (
        'what cannot be put back overwritten by what comes after it',
        FILING,
        '        private = self._free(name)\n',
        '        private = os.path.join(self._private, name)\n',
    ),
    (
        'one that cannot be put back ends the run',
        FILING,
        "                failed.append((name, error, ''))\n",
        '                raise\n',
    ),
    (
        'what was delivered before a kill parked',
        FILING,
        '            if source.digest() not in digests:\n',
        '            if digests:\n',
    ),
    (
        'directories not synchronised',
        'system/files.py',
        '            os.fsync(descriptor)\n',
        '            pass\n',
    ),
    (
        'new files not synchronised',
        'system/files.py',
        '            os.fsync(file.fileno())\n',
        '            pass\n',
    ),
    (
        'half a last line of the journal not cut off',
        JSONLOG,
        '            os.ftruncate(descriptor, self._end)\n',
        '            pass\n',
    ),
    (
        'half a line left in the journal by a full disk',
        JSONLINES,
        '                os.ftruncate(descriptor, size)\n',
        '                pass\n',
    ),
    (
        'a copied spool adopts what is of the original',
        JSONLOG,
        'self.is_own = creation_time.is_own(first, self._descriptor.fileno(), self._directory)\n',
        'self.is_own = True\n',
    ),
    (
        'a parked version goes over a newer one',
        SPOOL,
        '                if newer and not older:\n',
        '                if False:\n',
    ),
    (
        'a parked version goes under another name',
        'spool/parking.py',
        "self._in('new', parked.name)",
        "self._in('new', parked.stored)",
    ),
    (
        'a file that is put has no number before it is seen',
        SEQUENCE,
        '                    number = numbers.note(name, version, told=told)\n',
        '                    pass\n',
    ),
    (
        'a number used twice after a backup was restored',
        SEQUENCE,
        '        if told and history.sequence(latest=True) <= told:\n',
        '        if told:\n',
    ),
    (
        'a number that somebody else has had meanwhile',
        JSONLOG,
        '                if self.is_current():\n                    return\n',
        '                return\n',
    ),
    (
        'what was written while another journal was made is lost',
        JSONLOG,
        'line_format.append(self._descriptor.fileno(), os.pread(old.fileno(), left, end))\n',
        'pass\n',
    ),
    (
        'who was stopped puts an old journal into the place of that of a run',
        JSONLOG,
        "            log.debug('%s: %s', printable(self._path), error)\n"
        '        files.remove_drafts(self._directory)\n',
        '            pass\n',
    ),
    (
        'a run puts an old journal into the place of that of who has gone on',
        'journal/file_replacement.py',
        '        elif files.is_at(old, draft):\n',
        '        elif True:\n',
    ),
    (
        'who was stopped does not look whether a run has gone on without it',
        'journal/file_replacement.py',
        '    if not files.is_at(old, path):\n        raise Replaced\n',
        '',
    ),
    (
        'a run is not asked for before the journal is made anew',
        SEQUENCE,
        'if remembered.log.is_full and not self._has_run():',
        'if remembered.log.is_full:',
    ),
    (
        'the journal grows where no run comes',
        SEQUENCE,
        '        if visited.log.is_full and not self._has_run():\n            self._renew()\n',
        '',
    ),
    (
        'a run that ends while somebody looks is taken for killed',
        'spool/statistics.py',
        'return begun if begun > _ended(_runs(private)) else None',
        'return begun',
    ),
    (
        'a run does not learn what others have added to the journal',
        JSONLOG,
        '                    self._learn(entry)\n        self._known = self._end',
        '                    self._known or self._learn(entry)\n        self._known = self._end',
    ),
    (
        'a copy of the spool adds to the journal of the original',
        JSONLOG,
        '            self._may_write = os.fstat(self._descriptor.fileno()).st_nlink == 1\n',
        '',
    ),
    (
        'a journal that was replaced as somebody kept its lock is taken for a copy',
        JSONLOG,
        '            self._make(first, data, own=own is True, rename=rename)\n',
        '            self._make(first, data, own=False, rename=rename)\n',
    ),
    (
        'tokens forgotten with an old journal',
        JOURNAL,
        "if n >= latest or not row['clean']]",
        'if n >= latest]',
    ),
    (
        'uploads forgotten with an old journal',
        JOURNAL,
        'map(self._carried, TABLES)',
        'map(self._carried, {*TABLES} - {"uploads"})',
    ),
    (
        'the receipt left out',
        EXPORTER,
        "        self.ledger.receipt('delivered', *receipts)",
        '        pass',
    ),
    (
        'taken for delivered with another content',
        DELIVERED,
        "    if source.digest() != upload['sha256']:\n",
        '    if not source.digest():\n',
    ),
    (
        'what could not be filed sent again and again',
        DELIVERED,
        "    known = upload.get('version') == [*source.version]\n",
        '    known = False\n',
    ),
    (
        'one file that cannot be moved ends the run',
        SPOOL,
        '(FileNotFoundError, FileExistsError)) or files.is_full(error):\n',
        '(OSError,)):\n',
    ),
    (
        'an older version of the same size taken for the new one',
        DELIVERED,
        'is not None and content.sha256 == source.digest()\n',
        'is not None\n',
    ),
    (
        'a run that is killed while it reads what may be there is followed by another one',
        DELIVERED,
        "    ledger.note('abandoned', name)\n    if not holds",
        '    if not holds',
    ),
    (
        'killed once more before its receipt, it never gets one',
        DELIVERED,
        "    ledger.note('placed', name, **about, **known)\n",
        '',
    ),
    (
        'taken for delivered with another size on the server',
        DELIVERED,
        "    return session.size(name) == upload['size']\n",
        '    return session.size(name) is not None\n',
    ),
    (
        "a forked child keeps its parent's run",
        'system/forks.py',
        '                thing.close()\n',
        '                pass\n',
    ),
    (
        'a corrected version parked for what was refused before',
        'run/failures.py',
        "return row.get('number', 0) if row.get('version') == [*entry.version] else 0",
        "return row.get('number', 0)",
    ),
    (
        'five publications in a moment park a file',
        'run/failures.py',
        'if not number or not 0 <= _passed(since, now) < APART:',
        'if True:',
    ),
    (
        'a journal that goes on after the disk has refused',
        JSONLOG,
        '        if self._broken is not None:\n',
        '        if False:\n',
    ),
    (
        'a month that has lost lines at its end',
        JOURNAL,
        'if there.get(month, size) < size]',
        'if False]',
    ),
    (
        'a month whose end was not on the disk when its size was noted',
        JOURNAL,
        '                self.history.sync(month)  # else',
        '                pass  # else',
    ),
    (
        'a restored spool that has left nothing on a server',
        JOURNAL,
        "'restored': True})",
        "'restored': False})",
    ),
    (
        'a journal that is gone, and parked files that have had numbers',
        JOURNAL,
        'if largest or self.history.months() else []',
        'if self.history.months() else []',
    ),
    (
        'a line of somebody else before one that has no room',
        'journal/line_format.py',
        'if written and data.startswith(written):',
        'if os.fstat(descriptor).st_size <= size + len(data):',
    ),
    (
        'nothing that was written, and a line of somebody else meanwhile',
        'journal/line_format.py',
        'if written and data.startswith(written):',
        'if data.startswith(written):',
    ),
    (
        'an empty line of two that write at once is no damage',
        'journal/line_format.py',
        '    if not line:  # two have',
        '    if False:  # two have',
    ),
    (
        'a hole of the disk in a month, and what is behind it',
        'journal/history.py',
        "if '' < _written_at(",
        'if _written_at(',
    ),
    (
        'a receipt that may not be on the disk',
        'journal/history.py',
        'line_format.append(file, data, durable=not lazily)',
        'line_format.append(file, data, durable=lazily)',
    ),
    (
        'a second receipt after a kill',
        JOURNAL,
        '        self._close_all(kind, [entry])\n        return True\n',
        '        return False\n',
    ),
    (
        'a receipt of a killed run that is not on the disk yet',
        JOURNAL,
        "            self.history.sync(found[0]['at'][:7])\n",
        '            pass\n',
    ),
    (
        'a newer version is not looked for in months before',
        'journal/history.py',
        '                if number is not None and number <= above:\n'
        '                    break\n',
        '                if number is not None and number <= above:\n'
        '                    return\n',
    ),
    (
        'half a line in the history spoils the next one',
        'journal/history.py',
        "            if size and os.pread(file, 1, size - 1) != b'\\n':\n",
        '            if False:\n',
    ),
    (
        'an embargo is over a moment too early',
        SCHEDULE,
        '    if begin is not None and now < begin:\n',
        '    if begin is not None and now < begin - 2:\n',
    ),
    (
        'a version with an embargo is sent in the place of one without',
        EXPORTER,
        '            self.spool.require_timely(source.number)\n',
        '            pass\n',
    ),
    (
        'an embargo that cannot be written down is none',
        SEQUENCE,
        '        without = () if schedule.is_timed(told) else (OSError, SpoolBusy, SpoolError)\n',
        '        without = OSError, SpoolBusy, SpoolError\n',
    ),
    (
        'an embargo gets lost with the power',
        SEQUENCE,
        '                    if schedule.is_timed(told):\n',
        '                    if False:\n',
    ),
    (
        'a file that is renamed over an embargoed one goes at once',
        SEQUENCE,
        'inherited.get(each.name, {})',
        '{}',
    ),
    (
        'what expires while it is sent is delivered',
        SPOOL,
        "not_over(row.get('not_after', ''), now=self.clock())\n            holds",
        "not_over('', now=0)\n            holds",
    ),
    (
        'a content overtakes itself by an urgent file',
        'values/priority.py',
        '            if entry.content:\n',
        '            if not entry:\n',
    ),
    (
        'a content overtakes itself by an embargo',
        SCHEDULE,
        '            if entry.content in first:\n',
        '            if not entry:\n',
    ),
    (
        'what is urgent waits for the next run',
        EXPORTER,
        '        if began < self._look_at:\n',
        '        if began:\n',
    ),
    (
        'what is urgent overtakes what its content had before',
        EXPORTER,
        'names = self._urgency.in_order(queue.names, queue.notable)\n            places',
        'names = queue.names[::-1]\n            places',
    ),
    (
        'a journal that stayed locked once, and is for a moment later',
        'spool/sequence.py',
        'if place == where and time.monotonic() < until else None',
        'if place == where else None',
    ),
    (
        'a lock that stayed locked once, and is for a moment later',
        'spool/short_lock.py',
        'is_known = time.monotonic() < self._until',
        'is_known = bool(self._until)',
    ),
)
