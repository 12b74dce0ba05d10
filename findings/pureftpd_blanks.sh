#!/usr/bin/env bash
# Pure-FTPd: STOR and RNTO write `_` for a blank at an end of a name, SIZE and DELE do not: it is not found.
#
# Guess, written down before: a server that does not like a name refuses it; and one that changes it changes
#   it in each command, so that who has stored `a ` finds it and deletes it as `a `.
# Version: pure-ftpd 1.0.50-2.1+b2 (Debian 12), default options. Needs root.
# Seen:
#   STOR of `a `: 226, and there is a file `a_`
#   SIZE and DELE of `a `: 550
#   RNTO of `b `: 250, and there is a file `b_`; SIZE of `b `: 550
# Who meets it: whoever stores a file and looks for it then, to compare sizes or to clean up; and `a ` and `a_`
#   are one file.
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
import ftplib, io, os, sys, time

EXPECTED = ['STOR: 226', "['a_']", 'SIZE: 550', 'DELE: 550', 'RNTO: 250', "['a_', 'b_']", 'SIZE: 550']
client = ftplib.FTP()
for _ in range(200):
    try:
        client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
        break
    except OSError:
        time.sleep(0.05)
client.login('user', 'pw')

def says(function, *args):
    try:
        return (function(*args) or '')[:3]
    except ftplib.error_perm as error:
        return str(error)[:3]

def store(name):
    return client.storbinary(f'STOR {name}', io.BytesIO(b'text'))

client.voidcmd('TYPE I')
seen = [f'STOR: {says(store, "a ")}', str(sorted(os.listdir('files')))]
seen += [f'{verb}: {says(client.sendcmd, f"{verb} a ")}' for verb in ('SIZE', 'DELE')]
store('b')
seen.append(f'RNTO: {says(client.rename, "b", "b ")}')
seen += [str(sorted(os.listdir('files'))), f'SIZE: {says(client.sendcmd, "SIZE b ")}']
client.quit()
print(*seen, sep='\n')
sys.exit(seen != EXPECTED)
PYTHON
timeout 60 python3 client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
