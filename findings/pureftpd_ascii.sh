#!/usr/bin/env bash
# Pure-FTPd drops every CR of an ASCII upload, also one that ends no line; SIZE goes with neither.
#
# Guess, written down before: in TYPE A a Unix server makes LF of CRLF, leaves a CR alone that has no LF
#   behind it, makes CRLF of LF on the way back, and SIZE tells what would be sent, or refuses (RFC 3659).
# Versions: pure-ftpd 1.0.50-2.1+b2 (Debian 12), needs root; ProFTPD 1.3.8 and pyftpdlib 2.2.0 do as
#   guessed, vsftpd 3.0.3 stores and sends what it gets.
# Seen, for the 10 bytes `one\r\ntwo\r3`:
#   stored: one\ntwo3
#   SIZE in TYPE A: 8, received in TYPE A: 9 bytes, one\r\ntwo3
#   REST 2, RETR in TYPE A: 350, then 503 "ASCII resume is unsafe, please delete the file first"
# Who meets it: texts with line ends of the old Mac, progress lines of a log, or a binary sent in ASCII:
#   the other servers damage only CRLF, which can be put back. A client that compares SIZE with what
#   it received (TYPE A is what a session begins with) takes each good download for a bad one.
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
chown 65534 files
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

client.sendcmd('TYPE A')
data = client.transfercmd('STOR text')
data.sendall(b'one\r\ntwo\r3')
data.close()
client.voidresp()
with open('files/text', 'rb') as stored:
    seen = [f'stored: {stored.read()}']
seen.append(f'SIZE: {client.size("text")}')
data = client.transfercmd('RETR text')
received = data.makefile('rb').read()
data.close()
client.voidresp()
seen.append(f'received: {len(received)}, {received}')
rest = client.sendcmd('REST 2')
try:
    client.transfercmd('RETR text')
    seen.append('resumed')
except ftplib.error_perm as error:
    seen.append(f'resumed: {rest[:3]}, {error}')
client.quit()
print(*seen, sep='\n')
sys.exit(seen != [r"stored: b'one\ntwo3'", 'SIZE: 8', r"received: 9, b'one\r\ntwo3'",
                  'resumed: 350, 503 ASCII resume is unsafe, please delete the file first'])
PYTHON
timeout 60 python3 client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
