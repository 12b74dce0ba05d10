#!/usr/bin/env bash
# Paramiko's SFTP server executes posix-rename@openssh.com, and does not announce it.
#
# Guess, written down before: what a server can do beyond the protocol it tells in SSH_FXP_VERSION, as the drafts
#   say (draft-ietf-secsh-filexfer-02, section 3) and OpenSSH does; so what is not told is not there.
# Versions: paramiko 5.1.0 as server, AsyncSSH 2.24.0 as client.
# Seen: no extension in SSH_FXP_VERSION; SSH_FXP_RENAME onto a file: refused (4);
#   posix-rename@openssh.com onto it: done.
# Who meets it: whoever replaces files by renaming, and goes by what was announced: the file is deleted first, or
#   the delivery refused, where one request would have done.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check paramiko==5.1.0 asyncssh==2.24.0 2>/dev/null
mkdir files

cat >both.py <<'PYTHON'
import asyncio, os, socket, sys, threading
import asyncssh, paramiko

class Account(paramiko.ServerInterface):
    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, number):
        return paramiko.OPEN_SUCCEEDED

class Files(paramiko.SFTPServerInterface):
    def rename(self, old, new):
        if os.path.exists(f'files{new}'):
            return paramiko.SFTP_FAILURE
        os.rename(f'files{old}', f'files{new}')
        return paramiko.SFTP_OK

    def posix_rename(self, old, new):
        os.rename(f'files{old}', f'files{new}')
        return paramiko.SFTP_OK

listener = socket.create_server(('127.0.0.1', 0))

def serve():
    transport = paramiko.Transport(listener.accept()[0])
    transport.daemon = True
    transport.add_server_key(paramiko.RSAKey.generate(2048))
    transport.set_subsystem_handler('sftp', paramiko.SFTPServer, Files)
    transport.start_server(server=Account())

async def ask():
    async with (
        asyncssh.connect('127.0.0.1', listener.getsockname()[1], username='user', password='pw',
                         known_hosts=None, client_keys=None, agent_path=None, config=None) as connection,
        connection.start_sftp_client() as sftp,
    ):
        try:
            await sftp.rename('/new', '/old')
            refused = 'done'
        except asyncssh.SFTPError as error:
            refused = error.code
        announced = sftp.supports_posix_rename if hasattr(sftp, 'supports_posix_rename') else \
            sftp._handler._supports_posix_rename
        await sftp._handler._make_request(
            b'posix-rename@openssh.com', asyncssh.packet.String('/new'), asyncssh.packet.String('/old'))
        return f'announced: {announced}; RENAME: {refused}; posix-rename: {open("files/old").read()}'

for name in 'old', 'new':
    with open(f'files/{name}', 'w') as file:
        file.write(name)
threading.Thread(target=serve, daemon=True).start()
seen = asyncio.run(asyncio.wait_for(ask(), 60))
print(seen)
os._exit(seen != 'announced: False; RENAME: 4; posix-rename: new')
PYTHON
timeout 90 venv/bin/python both.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
