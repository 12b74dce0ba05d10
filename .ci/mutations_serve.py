"""What `check-mutations.py` breaks of `zeit-cds serve`: who is let in, and who is cut off."""

ACCESS, FACTS = 'web/access.py', 'web/metrics_and_health.py'
PAGES, SERVER = 'web/pages.py', 'web/server.py'
SERVING, SITE = 'web/serving.py', 'web/routes.py'

SERVE = (
    (
        'any password will do',
        ACCESS,
        'if given is None or not _are_equal(given, self._secret):',
        'if given is None:',
    ),
    (
        'wrong passwords are not counted',
        ACCESS,
        '            self._guesses.add(address)\n',
        '',
    ),
    (
        'many addresses guess as often as they like',
        ACCESS,
        'if len(self._made) >= GUESSES_OF_ALL:',
        'if False:',
    ),
    (
        'nobody is asked for the password',
        SITE,
        'if self._gate is not None and request.path not in self._open:',
        'if False:',
    ),
    (
        'a foreign name for this machine is taken',
        SITE,
        'if self._hosts is not None and not self._is_known(request.host):',
        'if False:',
    ),
    (
        'anything may be sent as a form',
        SITE,
        "            refuse(415, 'Only a form can be sent here')\n",
        '            pass\n',
    ),
    (
        'others are listened to without TLS',
        SERVING,
        '(certificate is None or password_file is None)',
        'password_file is None',
    ),
    (
        'buttons for everybody',
        SERVING,
        'allowed=EVERYTHING if actions else frozenset()',
        'allowed=EVERYTHING',
    ),
    (
        'a script reads the cookie',
        'browser/csrf.py',
        "'httponly': True",
        "'httponly': False",
    ),
    (
        'slow clients stay',
        SERVER,
        'if channel.is_slow(now):',
        'if False:',
    ),
    (
        'who drips gains time',
        SERVER,
        'if self.request is None or self.request is not before:',
        'if True:',
    ),
    (
        'what is being answered is broken off at the end',
        SERVER,
        'while self._has_work() and time.monotonic() < until:',
        'while False:',
    ),
    (
        'a new certificate is not taken',
        SERVER,
        '            self._certificate.renew()\n',
        '            pass\n',
    ),
    (
        'a spool that cannot be read is healthy',
        FACTS,
        'if snapshot.failures(found):',
        'if False:',
    ),
    (
        'what is late is healthy',
        FACTS,
        'if self._max_age is not None and snapshot.overdue(found, limit=self._max_age):',
        'if False:',
    ),
)
