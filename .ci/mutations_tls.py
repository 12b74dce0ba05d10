"""What `check-mutations.py` breaks of TLS.  All names have the word TLS."""

OPENING = 'ftp/opening.py'
OPENSSL = 'ftp/openssl.py'
SECURE = 'ftp/secure.py'
TLS_MODULE = 'ftp/tls.py'
TRANSFERS = 'ftp/transfers.py'

TLS = (
    (
        'TLS: replies in clear behind that to AUTH are taken for answers',
        OPENING,
        'if control.channel.broken or control.channel.pending or control.answers:',
        'if control.dropped:',
    ),
    (
        'TLS: files in clear where PROT is refused',
        'ftp/login.py',
        '        if error.code not in unless:\n            raise\n',
        '',
    ),
    (
        'TLS: the user before PROT',
        'ftp/login.py',
        'protected = not settings.tls or _protect_data(control, unless=_LOG_IN_FIRST)',
        'protected = not settings.tls',
    ),
    (
        'TLS: a cut connection looks complete',
        OPENSSL,
        "context.options &= ~getattr(ssl, 'OP_IGNORE_UNEXPECTED_EOF', 0)",
        "context.options |= getattr(ssl, 'OP_IGNORE_UNEXPECTED_EOF', 0)",
    ),
    ('TLS: a cut download is taken for whole', TRANSFERS, 'if size != total:', 'if size is None:'),
    (
        'TLS: unread tickets cut off an upload',
        SECURE,
        '            if self._finished:\n                self._drain()\n            elif',
        '            if self._finished:\n                pass\n            elif',
    ),
    (
        'TLS: no close_notify behind an upload',
        SECURE,
        '            self._say_goodbye()\n            while not self._flush():',
        '            while not self._flush():',
    ),
    (
        'TLS: what is no data is read without an end',
        SECURE,
        'for more in reversed(range(TAKES + 1)):',
        'for more in iter(lambda: 1, 0):',
    ),
    (
        'TLS: no session resumed',
        SECURE,
        'made = SecureStream.over(data, session=session, **options, **self._options)',
        'made = SecureStream.over(data, session=None, **options, **self._options)',
    ),
    (
        'TLS: the server is not verified, and nobody hears of it',
        TLS_MODULE,
        '        if not self.verify:\n            logging.',
        '        if False:\n            logging.',
    ),
    (
        'TLS: who is not the server makes the data connection',
        'ftp/active.py',
        'if host != self.peer:',
        'if not host:',
    ),
)
