"""What `check-mutations.py` breaks: (what, file, exact text, its replacement) each."""

EXCHANGE = 'exchange.py'
EXPORTER = 'exporter.py'
LOCK = 'lock.py'
DELIVERY = 'delivery.py'
SESSION = 'session.py'
RECORD = 'record.py'
SPOOL = 'spool.py'
PROTOCOL = 'ftp/protocol.py'
TRANSFERS = 'ftp/transfers.py'

#: What the original document must notice, whatever other tests do.
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
        "        log.info('No new files to export.')\n",
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
        "            log.info('Removing lock file: %s', self._name)\n"
        '            if lock.release():\n'
        "                log.info('Lock file successfully removed: %s', self._name)\n",
        '            if lock.release():\n'
        "                log.info('Lock file successfully removed: %s', self._name)\n"
        "            log.info('Removing lock file: %s', self._name)\n",
    ),
    (
        'the removal of the lock left out',
        LOCK,
        '        if ours:\n            self._session.delete(self._name)\n',
        '        if ours:\n            pass\n',
    ),
    (
        'the move from new/ to cur/ left out',
        SPOOL,
        '            return self._file(entry.name, source)\n',
        '            return entry.name, None\n',
    ),
    (
        'the rename to the real name left out',
        DELIVERY,
        '            if temporary:\n                self._publish(',
        '            if not temporary:\n                self._publish(',
    ),
    (
        'the look for a lock left out',
        EXCHANGE,
        "        self._lock(session, token='').look(present=present)\n        token =",
        '        token =',
    ),
    (
        'connecting without a file',
        EXCHANGE,
        '                if wanted or self.spool',
        '                if 1 or self.spool',
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
        PROTOCOL,
        'cls = PermanentError if self.verdict == REFUSED else TemporaryError',
        'cls = TemporaryError',
    ),
    (
        "another text of the server's refusal",
        'errors.py',
        '        super().__init__(text, hint=hint, exit_code=exit_code)\n',
        '        super().__init__(code, text, hint=hint, exit_code=exit_code)\n',
    ),
    ('the note removed', 'errors.py', '            self.add_note(hint)\n', '            pass\n'),
    (
        'the traceback left out',
        RECORD,
        "'Exiting with exception:', exc_info=report.error)",
        "'Exiting with exception:')",
    ),
)

#: What any test must notice.
HEART = (
    ('SIZE not compared', SESSION, '        if size != sent:\n', '        if size is None:\n'),
    (
        'the final reply ignored',
        TRANSFERS,
        'return self._final().reply',
        'return self._answer().reply',
    ),
    (
        'an upload that fails here ends in order, as if it were complete',
        TRANSFERS,
        '            except BaseException:\n'
        '                data.abort()\n'
        '                raise\n'
        '            with data:\n',
        '            except BaseException:\n'
        '                data.close()\n'
        '                raise\n'
        '            with data:\n',
    ),
    (
        'RNTO without RNFR',
        PROTOCOL,
        "if verb == 'RNTO' and not self._renaming:",
        "if verb == 'RNTO' and not self:",
    ),
    (
        'RNTO after a refused RNFR',
        PROTOCOL,
        "self._renaming = command.argument if verdict == MORE else ''",
        'self._renaming = command.argument',
    ),
    (
        'a late 226 taken for the answer to another command',
        PROTOCOL,
        'reply.code not in _TRANSFER_ONLY',
        'reply.code',
    ),
    (
        'a connection used again after an error',
        TRANSFERS,
        '        except BaseException as error:\n            self.drop()\n',
        '        except BaseException as error:\n',
    ),
    (
        'the lock of somebody else deleted',
        LOCK,
        "ours = content is not None and names.token_of(content.decode('latin-1')) == self._token",
        'ours = content is not None',
    ),
    (
        'the second look at the lock left out',
        LOCK,
        '        self._look_again()\n',
        '        return\n',
    ),
    (
        'the lock left after an error',
        EXCHANGE,
        '        finally:\n            session.bound(CLEAN_UP)\n            self._release(lock)\n',
        '        else:\n            session.bound(CLEAN_UP)\n            self._release(lock)\n',
    ),
    (
        'a lock not seen that listings hide',
        'holder.py',
        '        return session.size(name) is not None\n',
        '        return False\n',
    ),
    (
        'the temporary name left out',
        DELIVERY,
        '        if self._delivery.temporary:\n',
        '        if self._delivery.temporary is None:\n',
    ),
    (
        'a file that is refused stops the others',
        'plan.py',
        '        if self._strict:\n            self.stop(error)\n',
        '        self.stop(error)\n',
    ),
    (
        'a file that changed while it was sent',
        DELIVERY,
        '            source.verify()\n',
        '',
    ),
    (
        'a correction filed unsent: not compared',
        SPOOL,
        '        if source.is_file(private):\n',
        '        if source:\n',
    ),
    (
        'a correction filed unsent: compared before the rename',
        SPOOL,
        '            os.rename(new, private)\n'
        '        except FileNotFoundError:\n'
        '            return self._copy(source, name), None\n'
        '        if source.is_file(private):\n',
        '            same = source.is_file(new)\n'
        '            os.rename(new, private)\n'
        '        except FileNotFoundError:\n'
        '            return self._copy(source, name), None\n'
        '        if same:\n',
    ),
    ('overwriting in cur/', 'files.py', '_RENAME_NOREPLACE = 1 ', '_RENAME_NOREPLACE = 0 '),
    (
        'symbolic links sent',
        'entries.py',
        'status = item.stat(follow_symlinks=False)',
        'status = item.stat()',
    ),
    (
        'two runs on one spool',
        'runlock.py',
        'fcntl.LOCK_EX | fcntl.LOCK_NB',
        'fcntl.LOCK_SH | fcntl.LOCK_NB',
    ),
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
        'the password in the log',
        PROTOCOL,
        '        if self.verb in SECRET:\n',
        '        if self.verb is None:\n',
    ),
    (
        'the password repeated by the server in the log',
        PROTOCOL,
        '            reply = _without_secret(self._waiting[0], reply)\n',
        '            pass\n',
    ),
    (
        'CR and other control characters in names',
        'names.py',
        'controls = sorted({c for c in name if ord(c) < 32 or ord(c) == 127})',
        'controls = []',
    ),
    (
        'CR and LF in commands',
        'ftp/wire.py',
        r"if any(c in line for c in '\r\n\0'):",
        r"if any(c in line for c in '\0'):",
    ),
    (
        'a file called WRITE',
        'names.py',
        'if name.casefold() in LOCKS:',
        'if name in LOCKS:',
    ),
    (
        'what stands on the server replaced in spite of exists="park"',
        DELIVERY,
        "if self._delivery.exists == 'park':",
        "if self._delivery.exists == 'never':",
    ),
    (
        'temporaries left on the server',
        SESSION,
        '                self._tried.clear()\n',
        '                return\n',
    ),
    (
        'a dry run that delivers',
        EXCHANGE,
        '            if self.options.dry_run:\n',
        '            if self.options is None:\n',
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
        '        logger.removeHandler(handler)\n        handler.close()\n',
        '        handler.close()\n',
    ),
    ('the log file does not rotate weekly', 'logs.py', "when='W0'", "when='D', interval=99"),
    ('six old log files kept', 'logs.py', 'KEPT = 5\n', 'KEPT = 6\n'),
    (
        'a log file that cannot be written stops the run',
        'logs.py',
        '        _complain(str(path), error)\n        yield\n        return\n',
        '        raise\n',
    ),
    (
        'the order of deliveries',
        SPOOL,
        'found.sort(key=entries.by_name if order ==',
        'found.sort(reverse=True, key=entries.by_name if order ==',
    ),
)
