#!/usr/bin/env bash
# Pure-FTPd closes the control connection (421) when the directory that it is in is listed and has gone.
#
# Guess, written down before: 550, or an empty listing and 226, as for any other directory that is not there;
#   the connection stays, and CDUP or CWD / leads out.
# Version: pure-ftpd 1.0.50-2.1+b2 (Debian 12), default options. Needs root.
# Seen, after CWD into a directory that is then removed by somebody else:
#   PWD: 257, with its old name
#   NLST: 150, then 421 with the end of an empty listing as its text, and `chdir: No such file or directory`;
#     the connection is closed. The same for LIST and MLSD.
# Who meets it: who looks into a directory that others make and remove (a lock that is a directory, a folder of
#   work that is done): it looks like a server that is shut down, and each new connection can meet it again.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
[ "$(id -u)" = 0 ] || { echo 'This needs root.'; exit 1; }

apt-get download -qq -o APT::Sandbox::User=root pure-ftpd=1.0.50-2.1+b2
dpkg -x pure-ftpd_*.deb root
dpkg-deb -f pure-ftpd_*.deb Package Version
mkdir files
chown 65534:65534 files
echo "user:$(openssl passwd -6 pw):65534:65534::$work/files/./::::::::::::" >users
root/usr/bin/pure-pw mkdb users.pdb -f users
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
root/usr/sbin/pure-ftpd --bind "127.0.0.1,$port" --ipv4only --login "puredb:$work/users.pdb" \
    --chrooteveryone --noanonymous --dontresolve --minuid 1 --syslogfacility none \
    --pidfile "$work/pid" >/dev/null 2>&1 &
pid=$!

cat >client.py <<'PYTHON'
import ftplib, os, sys, time

EXPECTED = [
    f'{verb}: 257, then 421 and closed' for verb in ('NLST', 'LIST', 'MLSD')
]


def connected():
    client = ftplib.FTP()
    for _ in range(200):
        try:
            client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
            break
        except OSError:
            time.sleep(0.05)
    client.login('user', 'pw')
    return client


seen = []
for verb in ('NLST', 'LIST', 'MLSD'):
    client = connected()
    client.mkd('gone')
    client.cwd('gone')
    os.rmdir('files/gone')
    before = client.sendcmd('PWD')[:3]
    try:
        after = client.retrlines(verb, lambda line: None)
    except ftplib.all_errors as error:
        after = str(error)
    try:
        client.voidcmd('NOOP')
        end = 'open'
    except (EOFError, OSError):
        end = 'closed'
    client.close()
    print(after)
    seen.append(f'{verb}: {before}, then {after[:3]} and {end}')
print(*seen, sep='\n')
sys.exit(seen != EXPECTED)
PYTHON
timeout 60 python3 client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
