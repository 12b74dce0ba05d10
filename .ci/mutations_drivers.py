"""What `check-mutations.py` breaks of the drivers and of monitoring."""

DRIVERS = (
    (
        'a thread that misses what is put during a run',
        'drivers/thread.py',
        '                self._woken.clear()\n'
        '                self._pace = self._run()\n',
        '                self._pace = self._run()\n'
        '                self._woken.clear()\n',
    ),
    (
        'a fork that believes in the thread of its parent',
        'drivers/thread.py',
        'return self._pid == os.getpid() and self._loop.thread.is_alive()',
        'return self._loop is not None and self._loop.thread.is_alive()',
    ),
    (
        'a run that nobody can interrupt',
        'run/engine.py',
        'if self.options.interrupted():',
        'if False:',
    ),
    (
        'new files hurry against a locked server',
        'values/backoff.py',
        'return self.exit_code in (DONE, FILES_FAILED)',
        'return True',
    ),
    (
        'the exporters of other spools woken',
        'spool/wake.py',
        "        if spool in (found, getattr(found, 'shared', found)):\n",
        '        if True:\n',
    ),
    (
        'a task that logs in behind a run that has just failed',
        'run/run.py',
        '        if self.options.postponed():\n',
        '        if False:\n',
    ),
    (
        'a task that is not tried again',
        'drivers/celery_task.py',
        'if code in TRIED_AGAIN and not',
        'if False and not',
    ),
    (
        'a login for each task while it is refused',
        'drivers/celery_task.py',
        '    if code not in TRIED_AGAIN or passed < 0:\n',
        '    if True:\n',
    ),
    (
        'another run that is active taken for a failure',
        'values/backoff.py',
        'if report is not None and is_busy(report):',
        'if False:',
    ),
    (
        'what a bound has left waits for the interval',
        'values/backoff.py',
        'return bool(brought and',
        'return bool(False and',
    ),
    (
        'a file that is written yet is taken for complete',
        'drivers/inotify.py',
        'found.st_nlink > 1 or found.st_ctime_ns != found.st_mtime_ns',
        'True',
    ),
    (
        'a task that is tried for ever',
        'drivers/celery_task.py',
        '    if retries < RETRIES:\n',
        '    if True:\n',
    ),
    (
        'counters that begin anew with the journal',
        'journal/journal.py',
        "{'kind': 'totals', **self.totals, 'newest'",
        "{'kind': 'totals', 'newest'",
    ),
    (
        'counters that count twice what was carried over',
        'journal/journal.py',
        'chain(rows, self._disowned.entries, [totals])',
        'chain([totals], rows, self._disowned.entries)',
    ),
    (
        'parked files are not undelivered',
        'monitoring/freshness.py',
        'since, PARKED)\n        for name, _ in found.parked',
        'since, PARKED)\n        for name, _ in []',
    ),
    (
        'quotes in labels',
        'monitoring/metrics.py',
        """.replace('"', r'\\"')""",
        '',
    ),
    (
        'a reload that does not look first',
        'drivers/watch.py',
        '        if not reason:\n',
        '        if True:\n',
    ),
    (
        'a steady stream of files that holds watch',
        'drivers/inotify.py',
        '(now := time.monotonic()) < latest and self._poll',
        '(now := time.monotonic()) and self._poll',
    ),
    (
        'a heartbeat of something that hangs',
        'drivers/sdnotify.py',
        '            if time.monotonic() < self._until:\n',
        '            if True:\n',
    ),
    (
        'a message that kills its worker for ever',
        'drivers/celery_task.py',
        '        goes = number <= BEGINNINGS\n',
        '        goes = True\n',
    ),
    (
        'a task that sends itself a message',
        'drivers/celery_task.py',
        '        if name not in _coming.get():\n',
        '        if True:\n',
    ),
    (
        'a message to a celery application that nobody has made',
        'drivers/celery_task.py',
        '        if len(others) == 1:\n',
        '        if False:\n',
    ),
    (
        'a broker that holds a publication',
        'drivers/celery_task.py',
        '        sending.join(PATIENCE)\n',
        '        sending.join()\n',
    ),
)
