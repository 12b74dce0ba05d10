"""What `check-mutations.py` breaks of the lock, and of healing what a killed run left."""

EXCHANGE = 'run/run.py'
EXPORTER = 'run/exporter.py'
HOLDER = 'lock/holder.py'
LOCK = 'lock/lock.py'
LOCKFILES = 'lock/lock_files.py'
LEFTOVERS = 'lock/leftovers.py'

LOCKING = (
    (
        'the lock of somebody else deleted',
        LOCKFILES,
        "if content is not None and names.token_of(content.decode('latin-1')) == self._token:",
        'if content is not None:',
    ),
    (
        'the second look at the lock left out',
        LOCK,
        '            if sizes != [len(self._content), None]:\n',
        '            if False:\n',
    ),
    (
        'the lock left after an error',
        EXCHANGE,
        '            # Noted before the lock is removed: that may fail for the same reason.\n',
        '            raise\n',
    ),
    (
        'a server that shows nothing believed',
        'target/presence.py',
        '        if name not in facts and not self._capabilities.is_shown(facts):\n',
        '        if False:\n',
    ),
    (
        'a lock made where no listing shows our files',
        HOLDER,
        '    if not session.is_shown(present):\n',
        '    if False:\n',
    ),
    (
        'a file that is in use taken for deleted',
        'target/presence.py',
        '            return name in self._listing(name, error)\n',
        '            return False\n',
    ),
    (
        'the listed size of a file that is in use believed',
        'target/presence.py',
        'self._capabilities.image is False or self.tells_sizes():\n',
        'self._capabilities.image is False:\n',
    ),
    (
        'a lock that is in use said to be removed',
        'lock/unlocking.py',
        'if not (holder.is_seen(self._session, name) or name in self._session.names()):',
        'if not holder.is_seen(self._session, name):',
    ),
    (
        'no lock where nothing is shown',
        'lock/unlocking.py',
        'return locks(session) or _locks_beside_ours(session)\n',
        'return locks(session)\n',
    ),
    (
        'any refusal of SIZE taken for: there is no such file',
        'target/presence.py',
        'isinstance(size, ServerError) and size.code == NO_FILE',
        'isinstance(size, ServerError)',
    ),
    (
        'the guard skipped',
        LOCK,
        '        if guarded and self._take_guard():\n',
        '        if guarded:\n',
    ),
    (
        'the guard taken where directories are merged',
        LOCK,
        'guarded = self.guards and (self._is_made or self._stage_guard())',
        'guarded = self._is_made or self._stage_guard()',
    ),
    (
        'directories that were merged taken for kept apart',
        LOCK,
        '        self._is_made = removed is None\n',
        '        self._is_made = True\n',
    ),
    (
        'commands in one packet where nothing is known of their order',
        'target/ftp_session.py',
        'if capabilities.in_order or (trial and capabilities.may_be_in_order):',
        'if True:',
    ),
    (
        'a guard that stays is noise',
        LOCK,
        '            self.guards, *_ = self._keeps_apart()\n            if',
        '            if',
    ),
    (
        'an empty guard, which does not keep others out',
        LOCK,
        "self._session.perform(('MKD', self._staged_guard), ('MKD', inside))",
        "self._session.perform(('MKD', self._staged_guard))",
    ),
    (
        'the look under the guard left out',
        LOCK,
        'self.look(present=self._session.names(), rename_follows=self._staged)',
        'pass',
    ),
    (
        'the lock made under its own name, so that a kill may leave it empty',
        LOCK,
        '            self._make_guarded()\n',
        '            self._left.add(LOCK)\n'
        '            self._session.store(self._name, self._content)\n'
        '            self._held()\n',
    ),
    ('a lock without its token', LOCKFILES, "f'{token} zeit.cds, host", "f'zeit.cds, host"),
    (
        'the lock taken for deleted since the server says so',
        LOCKFILES,
        '            if self._is_kept(sizes[0]):\n',
        '            if False:\n',
    ),
    (
        'the removal of the lock not tried again',
        LOCKFILES,
        '        for attempt in range(ATTEMPTS):\n',
        '        for attempt in range(1):\n',
    ),
    (
        'a lock that could not be removed is not told',
        LOCKFILES,
        '        raise self._not_removed(failure) from failure\n',
        '        return removed\n',
    ),
    (
        'a lock that is not found taken for removed',
        LOCKFILES,
        '        if self._state == HELD:\n            self._state = LOST\n',
        '        if False:\n            self._state = LOST\n',
    ),
    (
        'what others announce not looked at',
        LOCK,
        'if names.is_announced(name) and names.token_of(name) != self._token',
        'if False',
    ),
    (
        'the rights of the account not looked at',
        EXCHANGE,
        "            if not self._rights()['known']:\n",
        '            if False:\n',
    ),
    (
        'a token closed although its lock cannot be read',
        LEFTOVERS,
        '            if lock.touched:\n',
        '            if False:\n',
    ),
    (
        'a directory of the name of a lock taken for nothing',
        HOLDER,
        '        if name in there or name in present:\n',
        '        if name in there:\n',
    ),
    (
        'a lock that the listing does not show taken for nothing',
        HOLDER,
        '        if name in there or name in present:\n',
        '        if name in present:\n',
    ),
    (
        'one lock only asked for by its name',
        HOLDER,
        'zip(candidates, sizes, strict=True)',
        '[(names.READ, session.size(names.READ))]',
    ),
    (
        'nothing healed',
        EXCHANGE,
        '            present = leftovers.remove(waits=self._is_pending)\n',
        '            present = session.names()\n',
    ),
    (
        'nothing healed without a new file',
        EXCHANGE,
        '        if needs_server or self.spool.journal.open_tokens(self.target.url):\n',
        '        if needs_server:\n',
    ),
    (
        'a token that is not in the journal taken for ours',
        LEFTOVERS,
        "[token for token in seen if journal.row('tokens', token)]",
        '[token for token in seen if token]',
    ),
    (
        'the token of a lock not looked at',
        LEFTOVERS,
        '                    seen.append(self._inside_lock(name))\n',
        "                    seen.append('')\n",
    ),
    (
        'names not compared before files get them',
        'run/export_selection.py',
        'session.misspelt(names, token=token)',
        '{}',
    ),
    (
        'temporaries of a killed run left',
        LEFTOVERS,
        'if names.is_temporary(name) and',
        "if name.endswith('.never') and",
    ),
    (
        'uploads not given up before their temporaries are deleted',
        LEFTOVERS,
        '        self._forget_uploads(present)\n',
        '',
    ),
    (
        'an old version given its name back after the new one was delivered',
        LEFTOVERS,
        "            if self._journal.row('uploads', entry['target'], entry['name']):\n"
        '                entry = self._replaced(entry)\n',
        '',
    ),
    (
        'that an old version was replaced is forgotten by the next run',
        LEFTOVERS,
        "            self._note('aside', entry, aside=entry['aside'], replaced=True)\n",
        '            pass\n',
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
        '                if token not in left:\n'
        "                    self._journal.note('clean', token=token)\n",
        '                pass\n',
    ),
    (
        'the lock of a killed run left',
        LEFTOVERS,
        '            lock.release()\n            if lock.touched:\n',
        '            if False:\n',
    ),
    (
        'the token journalled after the lock was made',
        EXCHANGE,
        '        self.token = journal.new_token(url)\n'
        '        lock = self._lock(session, token=self.token)\n',
        '        from zeit.cds import names\n'
        '        self.token = names.new_token()\n'
        '        lock = self._lock(session, token=self.token)\n'
        '        create = lock.create\n'
        '        note = lambda: journal._note("token", token=self.token, target=url)\n'
        '        lock.create = lambda: create() or note()\n',
    ),
    (
        'the lock not watched',
        'run/engine.py',
        '                    lock.watch()\n',
        '                    pass\n',
    ),
    (
        'the lock not watched over a new connection',
        LOCK,
        'if seen and seen[0] == session.connections and',
        'if seen and',
    ),
    ('the lock not watched for ever', LOCK, 'now - seen[1] < WATCH', 'seen'),
)
