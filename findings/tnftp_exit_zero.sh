#!/usr/bin/env bash
# tnftp's exit status for a download that the server broke off is that of MDTM.
#
# Guess, written down before: `tnftp URL` exits with 1 if the final reply of the download is 426, and
#   `tnftp -u URL file` if the data connection of the upload is reset.
# Version: tnftp 20210827-4+b1 (Debian 12, where the package `ftp` is tnftp).
# Seen (426 after 100000 of 300000 bytes; the bytes stay in the file under its final name):
#   download, 426, MDTM answered by 213: exit 0
#   download, 426, MDTM refused: exit 1
#   upload, reset after 100000 bytes, then 226: exit 0, though the last of its words are
#     `Writing to network: Connection reset by peer`
#   upload, 451 after all bytes: exit 1
# Who meets it: whoever writes `ftp URL && ...`. All servers in use know MDTM, so with them a part of
#   a file passes for the whole. Servers that say 226 to an upload whose connection was reset:
#   pyftpdlib, Twisted, zope.server. Compare sizes.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root tnftp=20210827-4+b1
dpkg -x tnftp_*.deb root
export HOME=$work
dpkg-deb -f tnftp_*.deb Package Version

cat >server.py <<'PYTHON'
import socket, struct, sys
final, cut = sys.argv[1], int(sys.argv[2])
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
control = listener.accept()[0]
control.sendall(b'220 ready\r\n')
for line in control.makefile(encoding='latin-1'):
    verb = line.split()[0].upper()
    print(verb, file=sys.stderr, flush=True)
    reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"', 'TYPE': '200 ok',
             'SIZE': '213 300000', 'MDTM': sys.argv[3], 'QUIT': '221 bye'}.get(verb, '502 no')
    if verb == 'PASV':
        data = socket.create_server(('127.0.0.1', 0))
        port = data.getsockname()[1]
        reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
    elif verb in ('STOR', 'RETR'):
        connection = data.accept()[0]
        control.sendall(b'150 go\r\n')
        if verb == 'RETR':
            connection.sendall(bytes(cut))
        elif connection.recv(cut, socket.MSG_WAITALL) and cut < 3_000_000:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        connection.close()
        reply = final
    control.sendall(reply.encode() + b'\r\n')
PYTHON

seen=
head -c 3000000 /dev/zero >big
# run WHAT REPLY BYTES OPTIONS...
run() {
    local what=$1 reply=$2 bytes=$3 time=$4 status=0
    shift 4
    exec 3< <(exec python3 server.py "$reply" "$bytes" "$time" 2>log)
    pid=$!
    read -r -t 20 port <&3
    timeout 60 root/usr/bin/tnftp "${@//PORT/$port}" >words 2>&1 || status=$?
    kill "$pid" 2>/dev/null || true
    echo "$what: exit $status; words: $(tail -n 1 words)"
    seen+="$what: exit $status;"
}
run 'download, MDTM refused' '426 Aborted.' 100000 '502 no' -o part ftp://user:pw@127.0.0.1:PORT/big
run download '426 Aborted.' 100000 '213 20260101000000' -o got ftp://user:pw@127.0.0.1:PORT/big
echo "downloaded: $(stat -c %s got) bytes"
seen+=$(stat -c %s got)\;
run 'upload cut' '226 Done.' 100000 '502 no' -u ftp://user:pw@127.0.0.1:PORT/big big
grep -q 'Writing to network' words
run 'upload refused' '451 Failure.' 3000000 '502 no' -u ftp://user:pw@127.0.0.1:PORT/big big
[ "$seen" = 'download, MDTM refused: exit 1;download: exit 0;100000;upload cut: exit 0;upload refused: exit 1;' ] ||
    { echo 'This has changed.'; exit 1; }
echo 'As described.'
