"""What `check-mutations.py` breaks of names, messages, exit codes and the log."""

RECORD = 'run/log_and_report.py'

EDGE = (
    (
        'exit codes swapped',
        'errors.py',
        'LOGIN_REFUSED = 77\nCONFIGURATION = 78\n',
        'LOGIN_REFUSED = 78\nCONFIGURATION = 77\n',
    ),
    (
        'another exit code decides',
        'errors.py',
        '    UNAVAILABLE,\n    COME_BACK_LATER,\n    FILES_FAILED,\n',
        '    FILES_FAILED,\n    UNAVAILABLE,\n    COME_BACK_LATER,\n',
    ),
    (
        'the password in a representation',
        'credentials.py',
        "return f'<{type(self).__name__}>'",
        "return f'<{type(self).__name__} {self._Secret__value}>'",
    ),
    (
        'a broken configuration is found only when there is something to do',
        'run/run.py',
        '        require_usable(self.target)  #',
        '        #',
    ),
    (
        'an option takes a value out of its bounds',
        'option_types.py',
        '            if self.fits(value):\n',
        '            if True:\n',
    ),
    (
        'what code gives for an option is not looked at',
        'option_types.py',
        '        if value != each.default and not _fits(value, each.kind):\n',
        '        if False:\n',
    ),
    (
        'a password that is no password is repeated',
        'option_types.py',
        '        if self.secret:\n',
        '        if False:\n',
    ),
    (
        'a URL without a directory goes to the root',
        'urls.py',
        "    if directory in ('', '/'):\n",
        '    if False:\n',
    ),
    (
        'CR and other control characters in names',
        'names.py',
        'controls = sorted({c for c in name if ord(c) < 32 or ord(c) == 127})',
        'controls = []',
    ),
    (
        'a file called WRITE',
        'names.py',
        'if name.casefold() in LOCKS:',
        'if name in LOCKS:',
    ),
    (
        'a subscriber stops the run',
        RECORD,
        "            log.exception('A subscriber of %s failed.', type(event).__name__)\n",
        '            raise\n',
    ),
    (
        "the log file's handler stays",
        'system/logs.py',
        '            _remove(logger, handler)\n            _set_level(logger, call.normal)\n',
        '            _set_level(logger, call.normal)\n',
    ),
    (
        'a log file that was put away is written on',
        'system/logs.py',
        'if self.stream is not None and self._was_put_away():',
        'if False:',
    ),
    (
        'a log file that cannot be written stops the run',
        'system/logs.py',
        '        _complain(str(path), error, program=program)\n        yield\n        return\n',
        '        raise\n',
    ),
)
