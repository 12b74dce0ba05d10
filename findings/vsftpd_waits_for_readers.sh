#!/usr/bin/env bash
# vsftpd leaves a STOR without any reply while somebody downloads the file, and follows its rename.
#
# Guess, written down before: STOR of a file that another client is downloading is answered with 150 at
#   once (the reader gets a mixture), or refused; what it brings is found under the name it asked for.
# Version: vsftpd 3.0.3-13+b2 (Debian 12), default lock_upload_files=YES. Needs root (for a private
#   /etc/passwd in a mount namespace).
# Seen: one client reads `article` slowly; another says STOR article:
#   STOR: no reply
#   meanwhile, on a third connection: SIZE 213 60000000, RNFR 350, RNTO taken 250
#   the reader has read all: 226 60000000
#   STOR: 150, 226
#   files: taken 3
#   The new content lies under the name `taken`; there is no `article`, although its upload got 226.
#   The other way round it is the same: RETR of a file in upload waits for the upload's end.
#   (ProFTPD, Pure-FTPd and pyftpdlib say 150 at once.)
# Who meets it: whoever delivers under the final name. A reader with a slow line, or one that hangs
#   (until data_connection_timeout, 300 s), makes the upload look like a dead server; the time-out then
#   leads to a second upload that waits as well. And who takes the file away by renaming it gets the
#   next version under that name. Upload under another name, and rename.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
chmod 755 .
[ "$(id -u)" = 0 ] || { echo 'This needs root.'; exit 1; }

apt-get download -qq -o APT::Sandbox::User=root vsftpd=3.0.3-13+b2
dpkg -x vsftpd_*.deb root
dpkg-deb -f vsftpd_*.deb Package Version
mkdir files empty pam.d
truncate -s 60000000 files/article
chown -R 65534:65534 files
printf '%s\n' 'auth required pam_unix.so nodelay' 'account required pam_permit.so' \
    'session required pam_permit.so' >pam.d/vsftpd
{ grep -v '^user:' /etc/passwd; echo "user:x:65534:65534::$work/files:/bin/sh"; } >passwd
echo "user:$(openssl passwd -6 pw):19000:0:99999:7:::" >shadow
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf '%s\n' listen=YES listen_ipv6=NO listen_address=127.0.0.1 "listen_port=$port" background=NO \
    anonymous_enable=NO local_enable=YES write_enable=YES chroot_local_user=YES \
    allow_writeable_chroot=YES "secure_chroot_dir=$work/empty" seccomp_sandbox=NO \
    isolate_network=NO xferlog_enable=NO >conf
unshare --mount --propagation private sh -c "mount --bind pam.d /etc/pam.d &&
    mount --bind passwd /etc/passwd && mount --bind shadow /etc/shadow &&
    exec root/usr/sbin/vsftpd $work/conf" >/dev/null 2>&1 &
pid=$!

cat >client.py <<'PYTHON'
import ftplib, os, sys, time
port = int(sys.argv[1])
def login():
    client = ftplib.FTP()
    for _ in range(200):
        try:
            client.connect('127.0.0.1', port, timeout=20)
            break
        except OSError:
            time.sleep(0.05)
    client.login('user', 'pw')
    client.sendcmd('TYPE I')
    return client

reader, writer, third = login(), login(), login()
download = reader.transfercmd('RETR article')
count = len(download.recv(1000))
host, number = writer.makepasv()
upload = ftplib.socket.create_connection(('127.0.0.1', number), timeout=20)
writer.putcmd('STOR article')
writer.sock.settimeout(2)
try:
    seen = [f'STOR: {writer.sock.recv(100)}']
except TimeoutError:
    seen = ['STOR: no reply']
writer.sock.settimeout(20)
seen.append(f'SIZE {third.sendcmd("SIZE article")}, RNFR {third.sendcmd("RNFR article")[:3]}, '
            f'RNTO {third.sendcmd("RNTO taken")[:3]}')
while some := download.recv(1 << 20):
    count += len(some)
download.close()
seen.append(f'reader: {reader.getresp()[:3]} {count}')
first = writer.sock.recv(3).decode()
upload.sendall(b'new')
upload.close()
writer.file.readline()
seen.append(f'STOR: {first}, {writer.getresp()[:3]}')
seen.append('files: ' + ' '.join(f'{name} {os.path.getsize("files/" + name)}'
                                 for name in os.listdir('files')))
print(*seen, sep='\n')
sys.exit(seen != ['STOR: no reply', 'SIZE 213 60000000, RNFR 350, RNTO 250',
                  'reader: 226 60000000', 'STOR: 150, 226', 'files: taken 3'])
PYTHON
timeout 60 python3 client.py "$port" || { echo 'This has changed.'; exit 1; }
echo 'As described.'
