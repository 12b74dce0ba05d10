"""What `check-mutations.py` breaks of lock, journal and healing; rows as in `mutations.py`."""

EXCHANGE = 'exchange.py'
EXPORTER = 'exporter.py'
LOCK = 'lock.py'
DELIVERY = 'delivery.py'
JOURNAL = 'journal.py'
JSONLOG = 'jsonlog.py'
LEDGER = 'ledger.py'
LEFTOVERS = 'leftovers.py'
SPOOL = 'spool.py'
PROTOCOL = 'ftp/protocol.py'

RELIABILITY = (
    # The lock
    (
        'the guard skipped',
        LOCK,
        '        guarded = self._take_guard()\n',
        '        guarded = True\n',
    ),
    (
        'an empty guard, which does not keep others out',
        LOCK,
        "            session.make_directory(f'{self._staged_guard}/{self._token}')\n",
        '',
    ),
    (
        'the look under the guard left out',
        LOCK,
        '        guarded = self._take_guard()\n        self.look()\n',
        '        guarded = self._take_guard()\n',
    ),
    (
        'the lock made under its own name, so that a kill may leave it empty',
        LOCK,
        '        self._left.add(STAGED)\n        session.store(self._staged, self._content)\n',
        '        self._left.add(LOCK)\n        return session.store(self._name, self._content)\n',
    ),
    ('a lock without its token', LOCK, "f'{token} zeit.cds, host", "f'zeit.cds, host"),
    (
        'the removal of the lock not tried again',
        LOCK,
        '        for attempt in range(ATTEMPTS):\n',
        '        for attempt in range(1):\n',
    ),
    (
        'a lock that could not be removed is not told',
        LOCK,
        '        raise LockLeftBehind(\n',
        '        return removed\n        raise LockLeftBehind(\n',
    ),
    (
        'a directory of the name of a lock taken for nothing',
        LOCK,
        '            if name in present or self._is_file(name):\n',
        '            if self._is_file(name):\n',
    ),
    # What a killed run left
    (
        'nothing healed',
        EXCHANGE,
        '        present = leftovers.remove()\n',
        '        present = session.names()\n',
    ),
    (
        'nothing healed without a new file',
        EXCHANGE,
        '                if wanted or self.spool.journal.open_tokens(self.target.url):\n',
        '                if wanted:\n',
    ),
    (
        'a token that is not in the journal taken for ours',
        LEFTOVERS,
        '(token for token in seen if token in self._known)',
        '(token for token in seen if token)',
    ),
    (
        'the token of a lock not looked at',
        LEFTOVERS,
        "                seen.append(names.token_of(content.decode('latin-1')))\n",
        '                pass\n',
    ),
    (
        'temporaries of a killed run left',
        LEFTOVERS,
        "if name.endswith('.part') and",
        "if name.endswith('.never') and",
    ),
    (
        'uploads not given up before their temporaries are deleted',
        LEFTOVERS,
        '        self._forget_uploads(present)\n',
        '',
    ),
    (
        'what a killed run put aside stays there',
        LEFTOVERS,
        '        self._restore_asides(present)\n',
        '',
    ),
    (
        'healed again by each run',
        LEFTOVERS,
        '            self._journal.clean(token)\n',
        '',
    ),
    (
        'the lock of a killed run left',
        LEFTOVERS,
        '                self._lock(token, name).release()\n',
        '                pass\n',
    ),
    # The journal
    (
        'the token journalled after the lock was made',
        EXCHANGE,
        '        token = journal.new_token(url)\n'
        '        self._under_lock(self._lock(session, token=token), session,',
        '        from zeit.cds import names\n'
        '        token = names.new_token()\n'
        '        lock = self._lock(session, token=token)\n'
        '        create = lock.create\n'
        '        note = lambda: journal._note("token", token=token, target=url)\n'
        '        lock.create = lambda: create() or note()\n'
        '        self._under_lock(lock, session,',
    ),
    (
        'the journal not synchronised',
        JSONLOG,
        '                written += os.write(self._descriptor, data[written:])\n'
        '            os.fsync(self._descriptor)\n',
        '                written += os.write(self._descriptor, data[written:])\n',
    ),
    (
        'a new journal whose directory is not synchronised',
        JSONLOG,
        '        os.rename(draft, self._path)\n        sync_directories(self._directory)\n',
        '        os.rename(draft, self._path)\n',
    ),
    # The spool
    ('what a killed run was filing left', SPOOL, '                self._put_back()\n', ''),
    (
        'directories not synchronised',
        'files.py',
        '            os.fsync(descriptor)\n',
        '            pass\n',
    ),
    (
        'new files not synchronised',
        'files.py',
        '            os.fsync(file.fileno())\n',
        '            pass\n',
    ),
    (
        '421 taken for a refusal',
        PROTOCOL,
        "            return ServiceClosing(code, text, hint=hint or 'The next run tries again.')\n",
        '            return TemporaryError(code, text, hint=hint)\n',
    ),
    (
        'a lost data connection taken for a refusal',
        PROTOCOL,
        '        if code in _DATA_LOST:\n',
        '        if code is _DATA_LOST:\n',
    ),
)

#: Not run yet: that a test notices them is still to be shown.
UNPROVEN = (
    (
        'the lock not watched',
        EXPORTER,
        '                    lock.watch()\n',
        '                    pass\n',
    ),
    (
        'the lock not watched over a new connection',
        LOCK,
        'if seen and seen[0] == self._session.connections and',
        'if seen and',
    ),
    ('the lock not watched for ever', LOCK, 'now - seen[1] < WATCH', 'seen'),
    (
        'half a last line of the journal not cut off',
        JSONLOG,
        '            os.ftruncate(self._descriptor, self._length)\n        found =',
        '            pass\n        found =',
    ),
    (
        'half a line left in the journal by a full disk',
        JSONLOG,
        '            os.ftruncate(self._descriptor, self._length)\n            raise\n',
        '            raise\n',
    ),
    (
        'a copied spool adopts what is of the original',
        JSONLOG,
        "        if first and first.get('inodes') == self._inodes():\n",
        '        if first:\n',
    ),
    (
        'tokens forgotten with an old journal',
        JOURNAL,
        '            if token not in self._open:\n',
        '            if token:\n',
    ),
    (
        'uploads forgotten with an old journal',
        JOURNAL,
        '        yield from self._uploads.values()\n',
        '',
    ),
    (
        'the receipt left out',
        EXPORTER,
        '            self.ledger.delivered(entry.name, filed_as=filed, **receipt)\n',
        '',
    ),
    (
        'renamed on the server before the journal knows',
        DELIVERY,
        '            self._ledger.uploaded(\n'
        '                name, temporary=temporary, size=source.size, '
        'sha256=source.sha256, reply=reply\n'
        '            )\n'
        '            if temporary:\n'
        '                self._publish(temporary, name, source.size)\n',
        '            if temporary:\n'
        '                self._publish(temporary, name, source.size)\n'
        '            self._ledger.uploaded(\n'
        '                name, temporary=temporary, size=source.size, '
        'sha256=source.sha256, reply=reply\n'
        '            )\n',
    ),
    (
        'an upload that failed not given up in the journal',
        DELIVERY,
        '                self._ledger.abandoned(name)\n',
        '                pass\n',
    ),
    (
        'put aside before the journal knows',
        DELIVERY,
        '        self._ledger.aside(name, old)\n        try:\n'
        '            self._rename_for_sure(name, old, old_size)\n',
        '        try:\n            self._rename_for_sure(name, old, old_size)\n'
        '            self._ledger.aside(name, old)\n',
    ),
    (
        'taken for delivered with another content',
        LEDGER,
        "    if source.size != upload['size'] or source.digest() != upload['sha256']:\n",
        "    if source.size != upload['size']:\n",
    ),
    (
        'taken for delivered under its temporary name',
        LEDGER,
        "    if upload['temporary'] and session.size(upload['temporary']) is not None:\n",
        '    if not upload:\n',
    ),
    (
        'taken for delivered with another size on the server',
        LEDGER,
        "    return session.size(name) == upload['size']\n",
        '    return session.size(name) is not None\n',
    ),
    (
        "a forked child ends its parent's run",
        'runlock.py',
        '        os.close(descriptor)\n\n    def holder',
        '        fcntl.flock(descriptor, fcntl.LOCK_UN)\n'
        '        os.close(descriptor)\n\n    def holder',
    ),
    # When to stop
    (
        'the deadline does not bound the waits',
        EXCHANGE,
        '                session.bound(self._end - self._clock())\n',
        '                pass\n',
    ),
    (
        'the deadline does not end the run',
        EXCHANGE,
        'return self._end is not None and self._clock() >= self._end',
        'return self._end is None and self._clock() >= self._end',
    ),
    (
        'the deadline passes unseen',
        'ftp/stream.py',
        '        if left <= 0:\n',
        '        if left is None:\n',
    ),
    (
        'nothing parked that is refused again and again',
        EXPORTER,
        '        if number >= self.options.park_after:\n',
        '        if number > 99:\n',
    ),
    (
        'a corrected version parked for what was refused before',
        JOURNAL,
        'number + 1 if known == version else 1',
        'number + 1',
    ),
    (
        'a lost answer to a rename not looked after',
        DELIVERY,
        '            if self._session.size(temporary) is None and',
        '            if temporary is None and',
    ),
)
