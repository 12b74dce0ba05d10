"""What `check-mutations.py` breaks of the status page: who may do what, and what is shown."""

PAGE = (
    (
        'a form of another site is taken',
        'browser/csrf.py',
        "same = same and site == 'same-origin'",
        'pass',
    ),
    (
        'a form of another site is taken from an older browser',
        'browser/csrf.py',
        'same = same and _host(origin) == _host(url)',
        'pass',
    ),
    (
        'any token will do',
        'browser/csrf.py',
        ' and secrets.compare_digest(field, cookie)',
        '',
    ),
    (
        'no token is one as well',
        'browser/csrf.py',
        'same = _is_token(field) and _is_token(cookie) and secrets.compare_digest(field, cookie)',
        'same = (field or None) == (cookie or None)',
    ),
    (
        'a page does what needs another permission',
        'browser/actions.py',
        '    if task.about.permission != permission:\n',
        '    if False:\n',
    ),
    (
        'who is not allowed is not refused',
        'browser/site.py',
        '            if permission not in visitor.allowed:\n',
        '            if False:\n',
    ),
    (
        'done without being asked once more',
        'browser/site.py',
        'if task.about.question and not sure:',
        'if False:',
    ),
    (
        'a lock is removed that nobody has seen',
        'browser/actions.py',
        'if _digest(found) == task.seen:',
        'if True:',
    ),
    (
        'the lock of an active run is removed',
        'browser/actions.py',
        '    free = not (ours and selected.spool.status().active)\n',
        '    free = True\n',
    ),
    (
        'done by GET',
        'browser/views.py',
        "if self.request.method != 'POST':",
        'if False:',
    ),
    (
        'everybody may look',
        'browser/configure.zcml',
        '        class=".views.Page"\n        permission="zeit.cds.ViewStatus"\n',
        '        class=".views.Page"\n        permission="zope.View"\n',
    ),
    (
        'markup of others is markup',
        'browser/status.pt',
        'tal:omit-tag="not row.link">${row.name}</a>',
        'tal:omit-tag="not row.link">${structure: row.name}</a>',
    ),
    (
        'all files that wait are shown',
        'browser/source.py',
        ', shown=SHOWN),',
        ', shown=None),',
    ),
    (
        'each browser is a look',
        'browser/source.py',
        '            return known[1]\n        # Where',
        '            pass\n        # Where',
    ),
    (
        'a password in clear text on its way',
        'browser/source.py',
        "if credentials is not None and parts.scheme == 'http' and not loopback:",
        'if False:',
    ),
    (
        'whoever is away is waited for each time',
        'browser/source.py',
        'self._down = self._clock() + PATIENCE, error',
        'pass',
    ),
    (
        'the line of an article is also that of others',
        'browser/source.py',
        'lambda name, found: found == content, content=content',
        'lambda name, found: found.startswith(content), content=content',
    ),
    (
        'no part of a name is found',
        'journal/history.py',
        "return json.dumps(containing)[1:-1].encode('ascii')",
        "return json.dumps(containing).encode('ascii')",
    ),
    (
        'what somebody else has retried is given up',
        'browser/actions.py',
        'if _waits(selected, task) or not selected.spool.drop(',
        'if not selected.spool.drop(',
    ),
    (
        'the next file of a name is held, as this one has gone',
        'browser/actions.py',
        'if task.name and not _waits(selected, task):',
        'if False:',
    ),
)
