#!/usr/bin/env bash
# Pure-FTPd: NLST, LIST and MLSD of one directory tell different names.
#
# Guess, written down before: a server that hides names that begin with a dot hides them in all three;
#   and NLST, which is for programs, does not list `.` and `..`.
# Version: pure-ftpd 1.0.50-2.1+b2 (Debian 12), default options. Needs root.
# Seen, in a directory with the files `a` and `.lock`:
#   NLST: . .. .lock a
#   LIST: a
#   MLSD: . .. .lock a
#   NLST of an empty directory: . .. ("226 2 matches total")
#   NLST of a file that is there: 550
# Who meets it: whoever tests for a lock file or for an empty inbox. "Nothing listed" is never true of
#   NLST; a lock whose name begins with a dot is seen by a client that uses MLSD, and not by one that
#   uses LIST (ftputil, curl without -l, wget), so each of them may think itself alone.
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
mkdir -p files/full files/empty
touch files/full/a files/full/.lock
echo "user:$(openssl passwd -6 pw):65534:65534::$work/files/./::::::::::::" >users
root/usr/bin/pure-pw mkdb users.pdb -f users
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
root/usr/sbin/pure-ftpd --bind "127.0.0.1,$port" --ipv4only --login "puredb:$work/users.pdb" \
    --chrooteveryone --noanonymous --dontresolve --minuid 1 --syslogfacility none \
    --pidfile "$work/pid" >/dev/null 2>&1 &
pid=$!

cat >client.py <<'PYTHON'
import ftplib, sys, time
client = ftplib.FTP()
for _ in range(200):
    try:
        client.connect('127.0.0.1', int(sys.argv[1]), timeout=20)
        break
    except OSError:
        time.sleep(0.05)
client.login('user', 'pw')

def listed(command, directory):
    client.cwd(directory)
    lines = []
    client.retrlines(command, lines.append)
    return ' '.join(sorted(line.split(' ')[-1] for line in lines))

seen = [f'{command}: {listed(command, "/full")}' for command in ('NLST', 'LIST', 'MLSD')]
seen.append(f'NLST of an empty directory: {listed("NLST", "/empty")}')
client.cwd('/full')
try:
    client.nlst('a')
    seen.append('NLST of a file: listed')
except ftplib.error_perm as error:
    seen.append(f'NLST of a file: {str(error)[:3]}')
client.quit()
print(*seen, sep='\n')
sys.exit(seen != ['NLST: . .. .lock a', 'LIST: a', 'MLSD: . .. .lock a',
                  'NLST of an empty directory: . ..', 'NLST of a file: 550'])
PYTHON
timeout 60 python3 client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
