#!/usr/bin/env bash
# lftp takes a listing whose data connection was reset for the whole: `mirror --delete` deletes what was not shown.
#
# Guess, written down before: a listing that breaks off (ECONNRESET) is an error, whatever the server says
#   afterwards, and a mirror deletes nothing by it.
# Versions: lftp 4.9.2-2+b1 (Debian 12); curl as installed (7.88.1) and ftplib of the Python that runs this, for
#   comparison.
# Seen, a directory of ten names; five arrive, the data connection is reset, and half a second later the server
# says 226:
#   lftp nlist, cls: exit 0, five names, no word
#   lftp mirror --delete, with all ten here: exit 0, five of them are deleted
#   curl: exit 56 ("Recv failure: Connection reset by peer"); ftplib: ConnectionResetError
#   With 426 in place of 226: lftp exits with 1, and deletes nothing. With 226 before the reset: it tries again.
#   A server that has handed a short listing to its kernel says 226, and does not see what becomes of it. So a
#   firewall or a NAT that resets the connection on the way shows exactly this. Fourteen more clients that
#   were tried (aioftp, wget, rclone, ncftpls, basic-ftp, ...) report it.
# Who meets it: whoever mirrors a partner's directory with --delete: files that are on the server still are
#   deleted here, and come again with the next run; and who looks for a lock file by `nlist`: there is none.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root lftp=4.9.2-2+b1
dpkg -x lftp_*.deb root
export HOME=$work
root/usr/bin/lftp --version | sed -n 1p
curl --version | sed -n 1p

cat >server.py <<'PYTHON'
import socket, struct, sys, threading

def serve(connection):
    passive = None
    def say(text):
        connection.sendall(text.encode() + b'\r\n')
    say('220 Hello.')
    for line in connection.makefile('rb'):
        command = line.decode('latin-1').split()[0].upper()
        if command in ('EPSV', 'PASV'):
            passive = socket.create_server(('127.0.0.1', 0))
            port = passive.getsockname()[1]
            say(f'229 Entering (|||{port}|)' if command == 'EPSV'
                else f'227 Entering (127,0,0,1,{port >> 8},{port & 255})')
        elif command in ('LIST', 'NLST'):
            data, _ = passive.accept()
            say('150 Here it comes.')
            before = '' if command == 'NLST' else '-rw-r--r-- 1 user group 4 Jan 01 2026 '
            for number in range(10 if sys.argv[1] == 'whole' else 5):
                data.sendall(f'{before}file-{number}\r\n'.encode())
            if sys.argv[1] != 'whole':
                # A reset takes away what has not been read yet.
                threading.Event().wait(0.5)
                data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                data.close()
                threading.Event().wait(0.5)
            data.close()
            passive.close()
            say('426 Aborted.' if sys.argv[1] == '426' else '226 Done.')
        else:
            say({'USER': '331 Password?', 'PASS': '230 Welcome.', 'PWD': '257 "/"', 'CWD': '250 Done.',
                 'TYPE': '200 Done.', 'QUIT': '221 Bye.'}.get(command, '500 What?'))

listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON

client() {
    case $1 in
        curl) curl -sSl "ftp://user:pw@127.0.0.1:$port/" ;;
        ftplib) python3 -c "
import ftplib
ftp = ftplib.FTP()
ftp.connect('127.0.0.1', $port, timeout=10)
ftp.login('user', 'pw')
print(*ftp.nlst(), sep='\n')" ;;
        *) root/usr/bin/lftp -c "set net:max-retries 1; set net:timeout 10
            open ftp://user:pw@127.0.0.1:$port; $1" ;;
    esac
}
seen=
for how in reset 426 whole; do
    for command in nlist 'cls -1' 'mirror --delete / here' curl ftplib; do
        [[ $how != 426 || $command = mirror* ]] || continue
        rm -rf here
        mkdir here
        for number in 0 1 2 3 4 5 6 7 8 9; do
            echo abc >"here/file-$number"
            touch -d '2026-01-01 00:00Z' "here/file-$number"
        done
        exec 3< <(exec python3 server.py $how 2>/dev/null)
        pid=$!
        read -r -t 20 port <&3
        status=0
        TZ=UTC timeout 60 bash -c "$(declare -f client); port=$port; client '$command'" >out 2>words \
            </dev/null || status=$?
        kill "$pid"
        names=$(grep -c '^file-' out || true)
        [[ $command != mirror* ]] || names=$(find here -name 'file-*' | wc -l)
        echo "$how, $command: exit $status, $names names"
        seen+="$how $command $((status != 0)) $names;"
    done
done
wanted='reset nlist 0 5;reset cls -1 0 5;reset mirror --delete / here 0 5;reset curl 1 5;reset ftplib 1 0;'
wanted+='426 mirror --delete / here 1 10;'
wanted+='whole nlist 0 10;whole cls -1 0 10;whole mirror --delete / here 0 10;whole curl 0 10;whole ftplib 0 10;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
