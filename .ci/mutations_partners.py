"""What `check-mutations.py` breaks of several partners of one spool."""

SHARING = 'spool/sharing.py'
PARTNER = 'spool/partner.py'
JOINING = 'spool/joining.py'

PARTNERS = (
    (
        'filed when one partner has it',
        SHARING,
        'if all(each.has(name, stored, inode) for each in others) else None\n',
        'if True else None\n',
    ),
    (
        'never filed',
        SHARING,
        'if all(each.has(name, stored, inode) for each in others) else None\n',
        'if False else None\n',
    ),
    (
        'a version that nobody has got taken out of new with the one before',
        SHARING,
        '        if os.lstat(private).st_ino == inode:\n',
        '        if True:\n',
    ),
    (
        'two versions of one name in cur, of two partners',
        SHARING,
        '                if all(_inode(place, stored) in (None, inode) for place in places):\n',
        '                if True:\n',
    ),
    (
        'a partner waited for that does not want the file',
        SHARING,
        '        if not self._terms.wants(name):\n            return True\n',
        '',
    ),
    (
        'what nobody wants stays in new',
        PARTNER,
        '                self._sharing.settle_unwanted(found.unwanted)\n',
        '                pass\n',
    ),
    (
        'a partner that has left is waited for',
        SHARING,
        "            if each.get('left', False) == left\n",
        '',
    ),
    (
        'what a killed process has filed goes out once more',
        SHARING,
        '                if inode in filed:\n',
        '                if False:\n',
    ),
    (
        'a partner gets what waited before it came',
        JOINING,
        '                common.skip_all(folder)\n',
        '                pass\n',
    ),
    (
        'who was alone forgets what it knew',
        JOINING,
        '                self._hand_over(remembered, folder, each.url)\n',
        '                pass\n',
    ),
    (
        'an earlier build goes on',
        JOINING,
        '        remembered.share()\n',
        '',
    ),
    (
        'a run of all from a spool of several partners',
        'run/run.py',
        '        sharing.require_alone(self.spool)\n',
        '',
    ),
    (
        'numbers of a partner of its own',
        'spool/sequence.py',
        "        about |= {'floor': self._floor, 'number': self._number}\n",
        "        about |= {'floor': self._floor}\n",
    ),
    (
        'an older version sent that waits beside a newer one',
        'spool/entries.py',
        '        if (each.number or math.inf) > (known.number or math.inf):\n',
        '        if (each.number or math.inf) < (known.number or math.inf):\n',
    ),
    (
        'what was withdrawn since it was taken is taken once more',
        PARTNER,
        '        numbers.require_wanted(entry.number)\n',
        '',
    ),
    (
        'a newer version sent although it was withdrawn for this partner',
        PARTNER,
        '                    self._require_not_withdrawn(entry, numbers)\n',
        '',
    ),
    (
        'what was withdrawn for one partner goes to it',
        PARTNER,
        '        if entry.name in self._withdrawn:\n',
        '        if False:\n',
    ),
    (
        'withdrawn for the spool, and sent by who had taken it',
        'spool/spool.py',
        '        found = [each.withdraw(name, reason, until=until) for each in self._partners()]\n',
        '        found = []\n',
    ),
    (
        'a hold of all is one of nobody',
        'spool/spool.py',
        '*(each.hold(name, reason) for each in self._partners())',
        '',
    ),
    (
        'deleted in cur, and a partner never got it',
        'spool/spool.py',
        '                history=self.history_of_all(),\n',
        '                history=journal.history(self._in(PRIVATE)),\n',
    ),
    (
        'partners one after the other',
        'drivers/watch.py',
        '        self._thread.start()\n',
        '        self._thread.start()\n        self._thread.join()\n',
    ),
    (
        'a look is for who asks when it has begun',
        'spool/shared_looks.py',
        '                    self._next = None  # who asks from here on is not in this one\n',
        '                    pass\n',
    ),
    (
        'a look for one partner only finds what another one has not had',
        'spool/common_spool.py',
        '            new = [each for each in demands if inode not in each.had]\n',
        '            new = [each for each in demands[:1] if inode not in each.had]\n',
    ),
    (
        'partners of one command one after the other',
        'cli/parallel_runs.py',
        '            thread.start()\n',
        '            thread.start()\n            thread.join()\n',
    ),
    (
        'a spool of partners without new/',
        'spool/common_spool.py',
        'if not os.path.lexists(self._new):',
        'if False:',
    ),
)
