"""What `check-mutations.py` breaks of the work over the wire."""

BASE = 'target/base_session.py'
LINK = 'target/reconnecting.py'
SESSION = 'target/ftp_session.py'
ANSWERS = 'ftp/reply_errors.py'
PROTOCOL = 'ftp/protocol.py'
TRANSFERS = 'ftp/transfers.py'
THROTTLE = 'system/throttle.py'

WIRE = (
    ('SIZE not compared', SESSION, '        if size != sent:\n', '        if size is None:\n'),
    (
        'the final reply ignored',
        TRANSFERS,
        '            answer = self._final(data, start, until=until)\n',
        '            answer = control.answer(until=until)\n',
    ),
    (
        'an upload that fails here ends in order, as if it were complete',
        TRANSFERS,
        '                data.abort()\n                raise\n            with data:\n',
        '                data.close()\n                raise\n            with data:\n',
    ),
    (
        'RNTO without RNFR',
        PROTOCOL,
        "if verb == 'RNTO' and not self.renaming:",
        "if verb == 'RNTO' and not self:",
    ),
    (
        'RNTO after a refused RNFR',
        PROTOCOL,
        "command.argument if means == MORE else ''",
        'command.argument',
    ),
    (
        'the first digit is enough for a success',
        PROTOCOL,
        'if code not in OWN.get(verb, _OTHERS):',
        'if code < 200:',
    ),
    (
        'a reply that says nothing is believed',
        'ftp/control.py',
        'and was_executed.shows(self, answer.command):',
        'or True:',
    ),
    (
        'a file that is in use taken for renamed',
        'ftp/was_executed.py',
        '    return new in listed and old not in listed and believed\n',
        '    return new in listed\n',
    ),
    (
        'a reply that is left over is not noticed',
        'ftp/was_executed.py',
        '    return answer.verdict == reply_errors.DONE\n',
        '    return True\n',
    ),
    (
        'an answer is believed though another one to the same packet is missing',
        'ftp/pipelining.py',
        'if not (control.usable or (ended and answer.verdict in SUCCESS)):',
        'if False:',
    ),
    (
        'each refusal costs a connection',
        TRANSFERS,
        'if not self._is_refused_in_step(start, error, early=early):',
        'if True:',
    ),
    (
        'a connection used again after an error',
        TRANSFERS,
        '                control.drop()\n            start.failed(error)\n',
        '                pass\n            start.failed(error)\n',
    ),
    (
        'no login is kept for the lock',
        LINK,
        'self._capabilities.breaks >= BREAKS',
        'False',
    ),
    (
        'the password in the log',
        ANSWERS,
        '        if self.verb in SECRET:\n',
        '        if self.verb is None:\n',
    ),
    (
        'the password repeated by the server in the log',
        PROTOCOL,
        '            reply = _without_secret(command, reply)\n',
        '            pass\n',
    ),
    (
        'CR and LF in commands',
        'ftp/parsing.py',
        r"re.compile('[\r\n\0]')",
        r"re.compile('[\0]')",
    ),
    (
        'temporaries left on the server',
        BASE,
        '            self._tried.clear()\n',
        '            return\n',
    ),
    (
        '421 taken for a refusal',
        ANSWERS,
        "            return ServiceClosing(code, text, hint=hint or 'The next run tries again.')\n",
        '            return TemporaryError(code, text, hint=hint)\n',
    ),
    (
        'a lost data connection taken for a refusal',
        ANSWERS,
        '        if code in _DATA_LOST:\n',
        '        if code is _DATA_LOST:\n',
    ),
    (
        'a server without a way for data costs a login for each file',
        TRANSFERS,
        'no_data or isinstance(error, ServerError)',
        'isinstance(error, ServerError)',
    ),
    (
        'a renaming that is not to be costs a login',
        LINK,
        ' or files.withdraw()',
        '',
    ),
    (
        'the deadline passes unseen',
        'network/deadline.py',
        '                if seconds_left <= 0:\n',
        '                if seconds_left is None:\n',
    ),
    (
        'a signal in the middle of what one of several connections does',
        'system/loop.py',
        '                with self.undisturbed:\n                    task',
        '                with contextlib.nullcontext():\n                    task',
    ),
    (
        'a time-out of all while one waits for a disk',
        'system/loop.py',
        'self._stalled += max(0, now - self._looked - STALL)',
        'self._stalled += 0',
    ),
    (
        'a forked child goes on with what its parent does',
        'system/loop.py',
        'not_inherited(lambda: self)\n',
        'pass\n',
    ),
    (
        'a run waits for ever for a connection that does not end',
        'system/loop.py',
        'if self._over is None and self.now() < until:',
        'if self._over is None:',
    ),
    (
        'attempts that are numbered anew by each connection',
        'target/upload.py',
        'numbers=numbers,\n',
        'numbers=itertools.count(1),\n',
    ),
    (
        'what was learned from one server believed of another one',
        'ftp/capabilities.py',
        "        if self.earlier and server != self.earlier['server']:\n",
        '        if False:\n',
    ),
    (
        'what was learned believed for good',
        'journal/journal.py',
        " if row and ago(BELIEVED) <= row['at'] <= ago(0) else {}\n",
        ' if row else {}\n',
    ),
    (
        'what an earlier run gave up never tried again',
        'ftp/data.py',
        "        return self._control.capabilities.doubt('epsv') and self.may_use_epsv()",
        '        return False',
    ),
    (
        'a connection that was lost once taken for a fact',
        'ftp/capabilities.py',
        "            if isinstance(error, LOST) and name not in self.earlier.get('once', ()):\n",
        '            if False:\n',
    ),
    (
        'no data connection where an answer is late',
        'ftp/data.py',
        '        elif self.prepare() and self._control.stream.comes_soon():\n',
        '        elif False:\n',
    ),
    (
        'what a server throws away not asked for again',
        'ftp/pipelining.py',
        "            if commands[-1][0] != 'RNFR' and self._throws_away():\n",
        '            if False:\n',
    ),
    (
        'a slow server taken for one that throws commands away',
        'ftp/pipelining.py',
        "        if answer.command.verb == 'PWD':\n",
        '        if True:\n',
    ),
    (
        'a refusal not heard while data are waited for',
        TRANSFERS,
        '        data.watch(control.stream, control.hear)\n',
        '',
    ),
    (
        'what was not used is saved up for a burst',
        THROTTLE,
        'max(self._next, now - LATE)',
        'self._next',
    ),
    (
        'only the first connection has a limit',
        BASE,
        '            throttle=self._throttle,\n            deadline',
        '            deadline',
    ),
    (
        'the time that the limit takes is counted for the time-out',
        TRANSFERS,
        'until = until.later(waited)',
        'pass',
    ),
    (
        'nobody listens to a refusal while nothing may go',
        TRANSFERS,
        '            if throttle.spend(count):\n',
        '            if throttle.spend(count) and not self:\n',
    ),
    (
        'the hour is looked at once',
        THROTTLE,
        'if self._looked is None or now - self._looked >= LOOK:',
        'if self._looked is None:',
    ),
    (
        'a long file that was not thrown away',
        'ftp/transfers.py',
        'start.early = start.early and sent <= BUFFERED',
        'pass',
    ),
)
