"""What `check-mutations.py` breaks of SFTP: which server it is, the lock, files, and the loop."""

SESSION = 'sftp/session.py'
DIRECTORY = 'sftp/directory.py'
TRANSFERS = 'sftp/transfers.py'
HOST_KEYS = 'sftp/host_keys.py'
PROTOCOL = 'sftp/protocol.py'
EVENTS = 'sftp/event_loop.py'
SSH = 'sftp/ssh.py'

SFTP = (
    (
        'a host key that is not known is trusted',
        HOST_KEYS,
        '            self.refusal = self._unknown(key, fingerprint)\n        return False',
        '            self.refusal = self._unknown(key, fingerprint)\n        return True',
    ),
    (
        'a host key that has changed is a new one',
        HOST_KEYS,
        '        elif self._known or self._fingerprints:\n',
        '        elif self._fingerprints:\n',
    ),
    (
        'a host on the way gets the password',
        SSH,
        '            HostKeys(settings.known_hosts, hop.host, hop.port, way=True, **options),\n',
        '            HostKeys(settings.known_hosts, hop.host, hop.port, way=True, **options),\n'
        '            settings.password,\n',
    ),
    (
        "a lock replaces somebody's",
        SESSION,
        '        replaces = new not in (*names.LOCKS, names.GUARD)\n',
        '        replaces = True\n',
    ),
    (
        'a lock is made where there is one',
        SESSION,
        'flags |= protocol.EXCLUSIVE if name in names.LOCKS else protocol.TRUNCATE',
        'flags |= protocol.TRUNCATE',
    ),
    (
        'the size is not compared',
        TRANSFERS,
        '        if size == self._sent:\n',
        '        if size is not None:\n',
    ),
    (
        'a write that was refused is none',
        TRANSFERS,
        '                raise self._or_full(answer)\n',
        '                pass\n',
    ),
    (
        'a file is not on the disk of the server',
        TRANSFERS,
        '        if self._lasts and protocol.FSYNC in extensions',
        '        if False and protocol.FSYNC in extensions',
    ),
    (
        'a full disk is the fault of a file',
        TRANSFERS,
        '        if left.free >= FULL and left.files != 0:\n',
        '        if True:\n',
    ),
    (
        'a short block is taken for a whole one',
        TRANSFERS,
        '                self._asked.clear()\n                self._position = got\n',
        '                pass\n',
    ),
    (
        'a packet of any length is waited for',
        PROTOCOL,
        'if not 1 <= length <= LONGEST:',
        'if length < 1:',
    ),
    (
        'what was asked for ahead is believed after a change',
        DIRECTORY,
        'if sent == connection.sent:',
        'if sent:',
    ),
    (
        'a signal comes in the middle of a piece of work',
        EVENTS,
        '        signals = deferrable() if loop is None else',
        '        signals = contextlib.nullcontext(contextlib.nullcontext()) if loop is None else',
    ),
    (
        'who leads does not hear of what others begin',
        EVENTS,
        '        loop.wake(self._leader)  # there may be',
        '        pass  # there may be',
    ),
    (
        'a child has the descriptors of the loop',
        EVENTS,
        '                    add(sock)\n',
        '                    pass\n',
    ),
    (
        'whoever would lead, and need not, leaves the others without anybody who does',
        EVENTS,
        '        finally:\n            self._hand_over()\n',
        '        finally:\n            pass\n',
    ),
    (
        'there are packets that are to be ignored',
        SSH,
        '        if kind != MSG_IGNORE:\n',
        '        if True:\n',
    ),
    (
        'a file that grows while it is sent by SFTP',
        'sftp/transfers.py',
        'if self._sent > source.size and len(buffer) < self._block:',
        'if False:',
    ),
)
