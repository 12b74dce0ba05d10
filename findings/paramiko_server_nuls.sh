#!/usr/bin/env bash
# lftp and scp leave files of the right size, with nothing but NULs in them, on a server made of Paramiko.
#
# Guess, written down before: a request that sets the size of a file to the size that it has changes nothing
#   in it; to a smaller one keeps its beginning, as ftruncate(2).
# Versions: paramiko 5.1.0, sftpserver 0.3 (a server made of Paramiko's SFTPServer); scp and sftp of
#   OpenSSH as installed (9.2 of Debian 12); lftp 4.9.2-2+b1.
# Seen, for a file with the text `article`:
#   lftp put: exit 0, 7 NULs; scp: 7 NULs; sftp put: exit 0, article
#   a file that is there, truncated to 3 bytes by Paramiko's client: 3 NULs
#   The helper for servers, SFTPServer.set_file_attr, opens the file by "w+", which empties it, and gives it
#   its size after that. scp and lftp set the size of each file behind its last byte (lftp along with its
#   times); sftp, curl and Paramiko's own `put` do not.
# Who meets it: who tests his uploads against a server in Python, or runs one: each comparison of sizes is
#   content, and each file is empty. In a server of one's own, call os.truncate for the size, and
#   give set_file_attr the other attributes.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root lftp=4.9.2-2+b1
dpkg -x lftp_*.deb root
export HOME=$work
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check paramiko==5.1.0 sftpserver==0.3 2>/dev/null
ssh -V
ssh-keygen -q -t ed25519 -N '' -f id
ssh-keygen -q -t rsa -m PEM -N '' -f host
mkdir files

port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
start() { # serves one connection after the other
    (cd files && exec ../venv/bin/sftpserver --host 127.0.0.1 -p "$port" -k ../host >../log 2>&1) &
    pid=$!
    for _ in {1..100}; do
        ! grep -q ":0*$(printf %04X "$port") 00000000:0000 0A" /proc/net/tcp || return 0
        sleep 0.1
    done
    return 1
}
start
options=(-F none -i id -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR)
printf article >article
scp -q "${options[@]}" -P "$port" article user@127.0.0.1:/by-scp || true # no exit-status: scp_exit_status.sh
timeout 60 root/usr/bin/lftp -c "set net:max-retries 1; set sftp:connect-program 'ssh -a -x ${options[*]}'
    open -u user, -p $port sftp://127.0.0.1; put article -o /by-lftp"
echo 'put article /by-sftp' | sftp -q -b - "${options[@]}" -P "$port" user@127.0.0.1 >/dev/null
cp article files/truncated
cat >truncate.py <<'PYTHON'
import sys
import paramiko
transport = paramiko.Transport(('127.0.0.1', int(sys.argv[1])))
transport.connect(username='user', password='pw')
with paramiko.SFTPClient.from_transport(transport).open('/truncated', 'r+') as file:
    file.truncate(3)
transport.close()
PYTHON
timeout 60 venv/bin/python -W ignore truncate.py "$port"
seen=
for name in by-lftp by-scp by-sftp truncated; do
    line="$name: $(tr '\0' 0 <files/$name)"
    echo "$line"
    seen+="$line;"
done
wanted='by-lftp: 0000000;by-scp: 0000000;by-sftp: article;truncated: 000;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
