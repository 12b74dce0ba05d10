"""What an SFTP server is, and can do, as far as it has shown."""

import logging
from typing import NamedTuple

from zeit.cds import digests
from zeit.cds.sftp import protocol


log = logging.getLogger(__name__)


class Abilities(NamedTuple):
    """What an SFTP server is, and can do; for those who look at the server itself.

    `version` and `cipher` are words of SSH.  `replaces`: it renames onto what is there.  `syncs`:
    it says when a file is on its disk.  `digest`: what it computes of a file, or ''.  `space` is
    what its disk has left, or None.
    """

    version: str
    cipher: str
    replaces: bool
    syncs: bool
    digest: str
    space: protocol.Space | None


class Capabilities:
    """What was found out about the server, shared by all sessions of a run.

    `learned` is what an earlier one has found out, as `learned` told it.  `known` and `renames` are
    those of `ISession`; `spelled` and `stuck`: see `zeit.cds.target.name_probe`; `without`: names
    of extensions that the server has, and refuses.
    """

    def __init__(self, learned=()):
        learned = dict(learned)
        self._server = learned.get('server', '')
        self.known = set()
        self.renames = False
        self._set(learned.get('facts', {}))

    def __repr__(self):
        return f'<Capabilities: {self.learned}>'

    def _set(self, facts):
        self.spelled = [*facts.get('spelled', ())]
        self.stuck = [*facts.get('stuck', ())]
        self.without = {*facts.get('without', ())}

    def identify(self, *words):
        """Take note of what the server says of itself; what another one has shown is forgotten."""
        server = digests.sha256(repr(words).encode()).hexdigest()
        if self._server not in ('', server):
            log.debug('The server was changed, or is another one')
            self._set({})
        self._server = server

    @property
    def learned(self):
        """See `ISession`."""
        found = {'spelled': self.spelled, 'stuck': self.stuck, 'without': sorted(self.without)}
        facts = {name: value for name, value in found.items() if value}
        return {'server': self._server, 'facts': facts, 'once': []} if facts else {}
