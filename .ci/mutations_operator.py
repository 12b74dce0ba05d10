"""What `check-mutations.py` breaks of what a person does: hold, drop, withdraw, resend, prune."""

HOLDS = 'spool/holds.py'
WITHDRAWAL = 'spool/withdrawal.py'
RESENDING = 'spool/resending.py'
PRUNING = 'spool/pruning.py'
ERASE = 'run/retract_delivered.py'

OPERATOR = (
    (
        'a hold that a run which is sending does not see',
        'spool/spool.py',
        '            holds.require_free(self.journal, name)\n',
        '',
    ),
    (
        'a hold of all that is none',
        HOLDS,
        '    for each in (ALL, name):\n',
        '    for each in (name,):\n',
    ),
    (
        'a held file that was delivered before, and is sent again',
        'run/export_selection.py',
        "        if self._ledger.row('uploads', entry.name):\n            return None\n",
        '',
    ),
    (
        'a hold that a copy of the spool forgets',
        'journal/copied_spool.py',
        "'retracted', 'held', 'accepted'",
        "'retracted', 'accepted'",
    ),
    (
        'a drop of what is being delivered',
        WITHDRAWAL,
        '            require_idle(name, remembered)\n            number = Numbers',
        '            number = Numbers',
    ),
    (
        'what is given up is an alarm',
        'monitoring/freshness.py',
        '        if name not in found.given_up\n        and (since',
        '        if (since',
    ),
    (
        'what is given up comes back with all others',
        'cli/retry.py',
        ' if name not in each.given_up]',
        ']',
    ),
    (
        'a withdrawal of what is being delivered',
        ERASE,
        "        require_idle(receipt['name'], journal)\n",
        '        pass\n',
    ),
    (
        'a retraction that a person gives up before a run leaves no receipt',
        ERASE,
        "        rows += [{'id': wanted, **each} for each in found]\n",
        '',
    ),
    (
        'sent once more: not compared with the receipt',
        RESENDING,
        "        if size != delivered.receipt.get('size') or (expected and digest != expected):\n",
        '        if False:\n',
    ),
    (
        'sent once more over a newer version that is parked',
        RESENDING,
        '            if parked.number > number and not parked.given_up:\n',
        '            if False:\n',
    ),
    (
        'sent once more over a newer version that is in doubt',
        RESENDING,
        '        if name in transactions_in_doubt.names(self._in(OUTBOX)):\n',
        '        if False:\n',
    ),
    (
        'sent once more what was retracted',
        RESENDING,
        '        if any(number_of(each) >= number + ',
        '        if False and any(number_of(each) >= number + ',
    ),
    (
        'sent once more: over what another program has put there',
        RESENDING,
        "            files.rename_exclusively(draft, self._in('new', name))\n",
        "            os.rename(draft, self._in('new', name))\n",
    ),
    (
        'pruned: what is not what was delivered',
        PRUNING,
        '        same = digest(path) == expected\n',
        '        pass\n',
    ),
    (
        'pruned: what a run may look for',
        PRUNING,
        "        if each.receipt.get('name') not in names\n        and each",
        '        if each',
    ),
    (
        'pruned: what is to be deleted on the server',
        PRUNING,
        "        and each.receipt.get('content') not in contents\n",
        '',
    ),
    (
        'pruned: an older receipt of the name counts',
        PRUNING,
        "        entry = present.pop(receipt.get('filed_as'), None)\n",
        "        entry = present.get(receipt.get('filed_as'))\n",
    ),
    (
        'pruned without a line in the history',
        PRUNING,
        "        remembered.record('pruned', *receipts)\n",
        '        pass\n',
    ),
    (
        'a notice that looks like an article',
        'journal/journal.py',
        "        return {'notice': True} if known else {}\n",
        '        return {}\n',
    ),
)
