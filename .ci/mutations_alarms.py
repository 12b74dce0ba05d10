"""What `check-mutations.py` breaks of what is told: why, to whom, and how long it will take."""

COMMANDS, STATISTICS = 'system/commands.py', 'spool/statistics.py'

ALARMS = (
    (
        'a failure is told by each run',
        STATISTICS,
        "        news=news if last['told'] != before.get('told') else '',",
        '        news=news,',
    ),
    (
        'figures make another reason',
        STATISTICS,
        "re.sub('[0-9]+', '#', reason)",
        'reason',
    ),
    (
        'a lock of somebody else is a failure',
        STATISTICS,
        '    elif code == COME_BACK_LATER or code > SIGNAL:\n',
        '    elif code > SIGNAL:\n',
    ),
    (
        'a failure is told while the spool is locked',
        'run/run.py',
        '            # Whoever is the next one on this spool knows how this one has ended.\n'
        '            self._ended(started)\n',
        '            self._ended(started)\n            self._tell()\n',
    ),
    (
        'a hook gets the environment, with its passwords',
        COMMANDS,
        '            env=_environment(),\n',
        '',
    ),
    (
        'of a hook that takes too long the children live on',
        COMMANDS,
        'os.killpg(process.pid, signal.SIGKILL)',
        'process.kill()',
    ),
    (
        'what a hook writes is kept without a limit',
        COMMANDS,
        '                output = (output + piece)[:LIMIT]\n',
        '                output += piece\n',
    ),
    (
        'attempts of an older version are told of a newer one',
        STATISTICS,
        '        return self.busy or self.version == [*entry.version]\n',
        '        return True\n',
    ),
    (
        'attempts are not counted',
        'run/failures.py',
        "        return {'attempts': before + 1,",
        "        return {'attempts': 1,",
    ),
    (
        'a single step is as important as an event',
        'cli/journal_stream.py',
        '    return DEBUG if level < 20 or text.startswith(_STEPS) else INFO\n',
        '    return INFO\n',
    ),
    (
        'what a file costs besides its bytes is a guess',
        'cli/progress_bar.py',
        '        if determinant <= ff * bb / 1000:\n',
        '        if True:\n',
    ),
    (
        'a rehearsal counts what cannot be read',
        'run/exporter.py',
        '            self.record.failed(job.name, error, size=job.size)\n        return None\n',
        '            return job.size\n        return None\n',
    ),
    (
        'the lock of an active run is removed by who is sure',
        'cli/unlock.py',
        '            if spool is not None and spool.status().active:\n',
        '            if False:\n',
    ),
    (
        'a spool whose memory is gone is sound',
        'monitoring/verify.py',
        '    if not os.path.lexists(private) and ',
        '    if False and ',
    ),
)
