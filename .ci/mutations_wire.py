"""What `check-mutations.py` breaks of the work over the wire."""

LINK = 'link.py'
SESSION = 'session.py'
ANSWERS = 'ftp/answers.py'
PROTOCOL = 'ftp/protocol.py'
TRANSFERS = 'ftp/transfers.py'

WIRE = (
    ('SIZE not compared', SESSION, '        if size != sent:\n', '        if size is None:\n'),
    (
        'the final reply ignored',
        TRANSFERS,
        '            answer = self._final(until=until)\n',
        '            answer = self._answer(until=until)\n',
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
        'ftp/connection.py',
        'and effects.shows(self, answer.command):',
        'or True:',
    ),
    (
        'a file that is in use taken for renamed',
        'ftp/effects.py',
        '    return new in listed and old not in listed and believed\n',
        '    return new in listed\n',
    ),
    (
        'a reply that is left over is not noticed',
        'ftp/effects.py',
        '    return answer.verdict == answers.DONE\n',
        '    return True\n',
    ),
    (
        'an answer is believed though another one to the same packet is missing',
        'ftp/along.py',
        'if not (self.usable or (ended and answer.verdict in SUCCESS)):',
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
        '                self.drop()\n            start.failed(error)\n',
        '                pass\n            start.failed(error)\n',
    ),
    (
        'no login is kept for the lock',
        LINK,
        'self._ways.breaks >= BREAKS',
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
        'ftp/wire.py',
        r"re.compile('[\r\n\0]')",
        r"re.compile('[\0]')",
    ),
    (
        'temporaries left on the server',
        LINK,
        '                self._tried.clear()\n',
        '                return\n',
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
        ' or connection.withdraw()',
        '',
    ),
    (
        'the deadline passes unseen',
        'ftp/deadline.py',
        '        if left <= 0:\n            message, hint',
        '        if left is None:\n            message, hint',
    ),
    (
        'several connections where one is busy, and one where it waits',
        'effort.py',
        'self._before < BUSY * elapsed\n',
        'self._before > BUSY * elapsed\n',
    ),
    (
        'what other threads do taken for the work of this one',
        'effort.py',
        'worked=time.thread_time',
        'worked=time.process_time',
    ),
    (
        'a wait for several connections that a signal does not end',
        'pool.py',
        'return self._happened.get(timeout=LOOK)',
        'return self._happened.get()',
    ),
    (
        'files that wait where the system has no thread for them',
        'crew.py',
        'yield from alone(plan, worker, number=lambda: 1)',
        'return',
    ),
    (
        'attempts that are numbered anew when other connections come',
        'deliveries.py',
        'first = next(numbers)',
        'first = 1',
    ),
    (
        'what was learned from one server believed of another one',
        'ftp/ways.py',
        "        if self.earlier and server != self.earlier['server']:\n",
        '        if False:\n',
    ),
    (
        'what was learned believed for good',
        'exchange.py',
        "        if known and not ago(BELIEVED) <= row['at'] <= ago(0):\n",
        '        if False:\n',
    ),
    (
        'what an earlier run gave up never tried again',
        'ftp/passive.py',
        "        return self.ways.doubt('epsv') and self._may_use_epsv()",
        '        return False',
    ),
    (
        'a connection that was lost once taken for a fact',
        'ftp/ways.py',
        "            if isinstance(error, LOST) and way not in self.earlier.get('once', ()):\n",
        '            if False:\n',
    ),
    (
        'no data connection where an answer is late',
        'ftp/passive.py',
        '            elif self._connect_ahead() and self._stream.comes_soon():\n',
        '            elif False:\n',
    ),
    (
        'what a server throws away not asked for again',
        'ftp/along.py',
        '            if self._throws_away():\n',
        '            if False:\n',
    ),
    (
        'a slow server taken for one that throws commands away',
        'ftp/along.py',
        "        if answer.command.verb == 'PWD':\n",
        '        if True:\n',
    ),
    (
        'a refusal not heard while data are waited for',
        TRANSFERS,
        '        data.watch(self._stream, self.hear)\n',
        '',
    ),
)
