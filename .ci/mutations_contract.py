"""What the original document must notice; rows as said in `check-mutations.py`."""

EXCHANGE = 'run/run.py'
EXPORTER = 'run/exporter.py'
DELIVERY = 'target/upload.py'
RECORD = 'run/log_and_report.py'
SPOOL = 'spool/spool.py'

CONTRACT = (
    ('a log line changed', EXPORTER, "'Uploading: %s%s'", "'Sending: %s%s'"),
    (
        'a log line missing',
        EXCHANGE,
        "        log.info('Disconnected from CDS FTP server')\n",
        '',
    ),
    (
        'an extra log line in a delivery',
        EXCHANGE,
        "        log.info('Disconnected from CDS FTP server')\n",
        "        log.info('Disconnected from CDS FTP server')\n        log.info('Goodbye.')\n",
    ),
    (
        'an extra log line where nothing is to be done',
        EXPORTER,
        "        log.log(self.record.level, 'No new files to export.')\n",
        "        log.info('No new files to export.')\n        log.info('Goodbye.')\n",
    ),
    (
        'an extra log line at a lock',
        RECORD,
        "            log.debug('%s', error.holder)\n",
        "            log.info('%s', error.holder)\n",
    ),
    (
        'an extra log line after a traceback',
        RECORD,
        "            log.error('Exiting with exception:', exc_info=report.error)\n",
        "            log.error('Exiting with exception:', exc_info=report.error)\n"
        "            log.error('Goodbye.')\n",
    ),
    (
        'the order of two log lines',
        EXCHANGE,
        "        log.info('Removing lock file: %s', self._name)\n"
        '        try:\n'
        '            if lock.release():\n'
        "                log.info('Lock file successfully removed: %s', self._name)\n",
        '        try:\n'
        '            if lock.release():\n'
        "                log.info('Lock file successfully removed: %s', self._name)\n"
        "                log.info('Removing lock file: %s', self._name)\n",
    ),
    (
        'the removal of the lock left out',
        'lock/lock_files.py',
        'refusal, *sizes = self._session.perform(\n',
        'refusal, *sizes = None, [None] or self._session.perform(\n',
    ),
    (
        'the move from new/ to cur/ left out',
        SPOOL,
        '            filed, newer = self._filing.file(entry.name, source)\n',
        '            filed, newer = entry.name, None\n',
    ),
    (
        'the rename to the real name left out',
        DELIVERY,
        '            self._renaming.give_name(temporary, name, source)\n',
        '',
    ),
    (
        'the look for a lock left out',
        EXCHANGE,
        "self._lock(session, token='').glance(present, proves=not",
        '(lambda *present, proves: None)(proves=not',
    ),
    (
        'connecting without a file',
        EXCHANGE,
        '        if needs_server or self.spool',
        '        if 1 or self.spool',
    ),
    (
        'the class PermanentError renamed',
        'errors.py',
        'class PermanentError(ServerError):\n',
        "class PermanentError(ServerError):\n    __qualname__ = 'Refused'\n",
    ),
    (
        'the class FTPOSError renamed',
        'errors.py',
        'class FTPOSError(Error):\n',
        "class FTPOSError(Error):\n    __qualname__ = 'FTPOSFailure'\n",
    ),
    (
        'another class for what the server refuses',
        'ftp/reply_errors.py',
        '        if self.verdict == REFUSED:\n            return PermanentError',
        '        if False:\n            return PermanentError',
    ),
    (
        "another text of the server's refusal",
        'errors.py',
        '        super().__init__(text, hint=hint, exit_code=exit_code)\n',
        '        super().__init__(code, text, hint=hint, exit_code=exit_code)\n',
    ),
    ('the note removed', 'errors.py', '        self.__notes__ = [hint]\n', ''),
    (
        'the traceback left out',
        RECORD,
        "'Exiting with exception:', exc_info=report.error)",
        "'Exiting with exception:')",
    ),
)
