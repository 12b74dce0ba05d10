"""What `check-mutations.py` breaks of the parts that an application meets."""

APPLICATION = (
    (
        'a transaction of a living process taken for a dead one',
        'batch.py',
        '            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)\n',
        '',
    ),
    (
        'a forked process that holds the transaction of its parent',
        'forks.py',
        '                thing.close()\n',
        '                pass\n',
    ),
    (
        'files in new/ before they are known as committed',
        'batch.py',
        '                os.rename(self._in(PREPARED), self._in(COMMITTED))\n'
        '                files.sync_directories(self._path)\n'
        '                self.move()\n',
        '                self.move()\n',
    ),
    (
        'an abort that leaves the vote for the last',
        'batch.py',
        '                    os.unlink(self._in(PREPARED))\n',
        '                    pass\n',
    ),
    (
        'a commit that fails and can still be aborted',
        'batch.py',
        '                self.move()\n        finally:\n            self.close()\n',
        '                self.move()\n        finally:\n            pass\n',
    ),
    (
        'a newer version replaced by what was in doubt',
        'indoubt.py',
        "    if version(spool.path / 'new' / name) not in older:\n",
        '    if False:\n',
    ),
    (
        'a newer version at the partner replaced by what was in doubt',
        'indoubt.py',
        "        version(spool.path / 'cur' / filed) not in older[1:] for filed",
        '        False for filed',
    ),
    (
        'a file that cannot be filed keeps the others',
        'batch.py',
        '                failed.append(type(error)(error.errno, error.strerror, new))\n',
        '                raise\n',
    ),
    (
        'an abort that cannot be noted lets go',
        'batch.py',
        '                self._left(self)\n',
        '                self.close()\n',
    ),
    (
        'each file of a transaction wakes',
        'wake.py',
        '    if not event.last:\n',
        '    if False:\n',
    ),
    (
        'the vote believes in new/',
        'batch.py',
        '            self._check()\n            self._remove_all_but',
        '            self._remove_all_but',
    ),
    (
        'a rollback that forgets nothing',
        'batch.py',
        '        self._contents = dict(mark)\n',
        '        del mark\n',
    ),
    (
        'what was not voted for is delivered',
        'indoubt.py',
        '    if doubt is None:\n        batch.abort()\n        return\n',
        '    if doubt is None:\n        return\n',
    ),
    (
        'in doubt: dropped where nobody can be asked',
        'indoubt.py',
        '            return None\n        return True\n',
        '            return None\n        return False\n',
    ),
    (
        'in doubt: decided in the place of the application',
        'indoubt.py',
        '        if doubt.asks:\n',
        '        if False:\n',
    ),
    (
        'an application that does not know taken for a no',
        'indoubt.py',
        '    elif committed is not None:\n',
        '    else:\n',
    ),
    (
        'the data manager in front of the others',
        'outbox.py',
        "f'~zeit.cds:",
        "f' zeit.cds:",
    ),
    (
        'tpc_finish raises',
        'outbox.py',
        "            log.critical(\n                'Committed, but",
        "            raise\n            log.critical(\n                'Committed, but",
    ),
    (
        'what depends on a publication goes as well',
        'publish.py',
        '    if content == event.master:\n',
        '    if True:\n',
    ),
    (
        'what could not be published is not kept',
        'publish.py',
        '                self._keep(unique_id, spool, error)\n        self.retry_due(',
        '        self.retry_due(',
    ),
    (
        'what failed is tried each time',
        'publish.py',
        'if not 0 <= now - each.last < pause(each.attempts, first=FIRST, longest=LONGEST)\n',
        '\n',
    ),
    (
        'what is in memory is never written',
        'publish.py',
        '        saved = kept.save()\n',
        '        pass\n',
    ),
    (
        'what failed wakes nobody',
        'publish.py',
        '            if found:\n                seconds',
        '            if False:\n                seconds',
    ),
    (
        'an adapter to a spool that does not exist',
        'zcml.py',
        'and adapter.name not in known:',
        'and False:',
    ),
    (
        'a name that nobody will ever send',
        'names.py',
        '    if not reason and is_hidden(name):\n',
        '    if False:\n',
    ),
    (
        'what was published in the end is still kept',
        'publish.py',
        '        spool.unpublished.forget(unique_id)\n',
        '',
    ),
    (
        'the product configuration not validated',
        'product.py',
        'return field.bind(None).fromUnicode(text)',
        'return text',
    ),
)
