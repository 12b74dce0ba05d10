#!/usr/bin/env bash
# AsyncSSH sends an IGNORE packet before each packet, with a write of its own: two TCP segments a request.
#
# Guess, written down before: one SSH packet and one write to the socket for each SFTP request; IGNORE
#   (RFC 4253 section 11.2) only where it defends against something, that is with ciphers in CBC mode.
# Version: asyncssh 2.24.1, client and server; the cipher is aes128-gcm@openssh.com.
# Seen: of 100 requests stat, one after the other: 100 packets CHANNEL_DATA, and 100 packets IGNORE before
#   them; 200 writes to the transport, which has TCP_NODELAY, so each leaves at once.
# Who meets it: who sends many small requests: twice the system calls, segments and wake-ups of the server,
#   and twice the encryption. A send_packet of one's own, set on the connection, that drops them helps.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 2>/dev/null
cat >count.py <<'PYTHON'
import asyncio, collections, pathlib, re, sys
import asyncssh, asyncssh.logging, logging

ROUNDS = 100


class Packets(logging.Handler):
    """Counts the packets of the client that are told at the highest level of debugging."""

    def __init__(self):
        super().__init__()
        self.seen = collections.Counter()

    def emit(self, record):
        found = re.search(r'Sent (MSG_\w+)', record.getMessage())
        if found:
            self.seen[found[1]] += 1


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False  # nobody has to log in


async def main():
    key = asyncssh.generate_private_key('ssh-ed25519')
    server = await asyncssh.create_server(
        Server, '127.0.0.1', 0, server_host_keys=[key], sftp_factory=True,
    )
    port = server.sockets[0].getsockname()[1]
    writes = 0

    async with asyncssh.connect(
        '127.0.0.1', port, known_hosts=None, username='user', client_keys=None, agent_path=None,
        encryption_algs=['aes128-gcm@openssh.com'], config=None,
    ) as connection, connection.start_sftp_client() as sftp:
        pathlib.Path('file').touch()
        await sftp.stat('file')
        transport = connection.get_extra_info('socket')  # the client's, to tell it from the server's
        own = transport.getsockname()
        kind = asyncio.selector_events._SelectorSocketTransport
        write = kind.write

        def counted(self, data):
            nonlocal writes
            if self.get_extra_info('sockname') == own:
                writes += 1
            return write(self, data)

        packets = Packets()
        asyncssh.set_log_level('DEBUG')
        asyncssh.set_debug_level(3)
        logger = logging.getLogger('asyncssh')
        logger.addHandler(packets)
        logger.propagate = False
        kind.write = counted
        try:
            for _ in range(ROUNDS):
                await sftp.stat('file')
        finally:
            kind.write = write
            logger.removeHandler(packets)
    server.close()
    print('writes of the client:', writes, '- packets of both:', dict(packets.seen))
    return writes == 2 * ROUNDS


sys.exit(not asyncio.run(main()))
PYTHON
timeout 120 venv/bin/python count.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
