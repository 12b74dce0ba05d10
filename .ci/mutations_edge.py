"""What `check-mutations.py` breaks of names, messages, exit codes and the log."""

RECORD = 'record.py'

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
        'settings.py',
        "return f'<{type(self).__name__}>'",
        "return f'<{type(self).__name__} {self._Secret__value}>'",
    ),
    (
        'a broken configuration is found only when there is something to do',
        'exchange.py',
        '        require_usable(self.target)  #',
        '        #',
    ),
    (
        'a URL without a directory goes to the root',
        'settings.py',
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
        'logs.py',
        '            logger.removeHandler(handler)\n            _set_level(logger, call.normal)\n',
        '            _set_level(logger, call.normal)\n',
    ),
    (
        'a log file that was put away is written on',
        'logfile.py',
        'logging.handlers.WatchedFileHandler',
        'logging.FileHandler',
    ),
    (
        'a log file that cannot be written stops the run',
        'logs.py',
        '        complain(str(path), error, program=program)\n        yield\n        return\n',
        '        raise\n',
    ),
)
