"""What `check-mutations.py` breaks of `zeit-cds check`, and of what the command reads."""

CHECKS = (
    (
        'a check that believes what was learned before',
        'check/server.py',
        '        if super()._learned():\n            self._learn({})\n        return {}\n',
        '        return super()._learned()\n',
    ),
    (
        'a check that tries no right that is known',
        'check/server.py',
        "**super()._rights(), 'known': False, 'guard': True",
        '**super()._rights()',
    ),
    (
        'the lock of who brings files for who takes them',
        'check/server.py',
        'name=names.READ if imports else names.WRITE',
        'name=names.WRITE',
    ),
    (
        'files of a check that stay',
        'check/questions.py',
        '            self.session.dispose_of(name)\n',
        '            pass\n',
    ),
    (
        'files of a check that stay after a signal',
        'check/server.py',
        '                probe.abandon()\n                raise\n',
        '                raise\n',
    ),
    (
        'a file that is changed on the way passed over',
        'check/questions.py',
        'if session.read(probe.name) == CONTENT:',
        'if True:',
    ),
    (
        'a renaming that did nothing believed',
        'check/questions.py',
        'if session.read(probe.name) == OTHER:',
        'if True:',
    ),
    (
        'a deletion that did nothing believed',
        'check/questions.py',
        '    if probe.name in probe.session.names():\n        yield',
        '    if False:\n        yield',
    ),
    (
        'an expired certificate passed over',
        'check/local.py',
        '    if days < 0:\n',
        '    if False:\n',
    ),
    (
        'files that nobody can read passed over',
        'check/local.py',
        '    if closed:\n',
        '    if False:\n',
    ),
    (
        'a server asked although this side is not set up',
        'cli/checks.py',
        'if remote and FAILED not in [finding.result for finding in known]:',
        'if remote:',
    ),
    (
        'one exporter in place of all',
        'cli/selection.py',
        'named = known if everything and known else names',
        'named = [*known][:1] if everything and known else names',
    ),
    (
        'the variable before the option',
        'cli/configuration.py',
        'if given is not None or spool is not None',
        'if spool is not None',
    ),
)
