#!/usr/bin/env bash
# lftp takes an upload for done that the server has refused with 451.
#
# Guess, written down before: a 4yz reply in place of 226 makes lftp send the file again, and in the
#   end it says so and exits with 1.
# Version: lftp 4.9.2-2+b1 (Debian 12).
# Seen: after `451 Failure writing to local file` lftp asks SIZE. If the number is that of the local
#   file, this is success for it: not a word, exit status 0, one STOR. To 552 it says
#   `put: Access failed: 552 ...` and exits with 1.
#     451: exit 0, STOR 1, SIZE 1, words 0, local file deleted
#     552: exit 1, STOR 1, SIZE 0, words 1, local file kept
#   "deleted" is of `put -E`, which deletes what has been sent.
# Who meets it: whoever uploads to a server which gives the file its size before it can keep it (a
#   full quota found at the end, a virus scanner or a rename behind the upload, an object store): its
#   451 gets lost, and with -E (also of mput) or a script that looks at the exit status the original.
#   Look at the log (`lftp -d`), or read the file back before you delete.
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

cat >server.py <<'PYTHON'
import socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
control = listener.accept()[0]
stored = b''
control.sendall(b'220 ready\r\n')
for line in control.makefile():
    verb = line.split()[0].upper()
    print(verb, file=sys.stderr, flush=True)
    reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"', 'TYPE': '200 ok',
             'SIZE': f'213 {len(stored)}', 'QUIT': '221 bye'}.get(verb, '502 no')
    if verb == 'PASV':
        data = socket.create_server(('127.0.0.1', 0))
        port = data.getsockname()[1]
        reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
    elif verb == 'STOR':
        connection = data.accept()[0]
        control.sendall(b'150 go\r\n')
        stored = connection.makefile('rb').read()
        connection.close()
        reply = sys.argv[1] + ' Failure writing to local file.'
    control.sendall(reply.encode() + b'\r\n')
PYTHON

seen=
for code in 451 552; do
    exec 3< <(exec python3 server.py $code 2>log)
    pid=$!
    read -r -t 20 port <&3
    status=0
    head -c 300000 /dev/zero >article
    timeout 60 root/usr/bin/lftp -c "set net:max-retries 3; open -u user,pw -p $port 127.0.0.1
        put -E article" >words 2>&1 || status=$?
    kill "$pid" 2>/dev/null || true
    line="$code: exit $status, STOR $(grep -c STOR log), SIZE $(grep -c SIZE log || true)"
    line+=", words $(grep -c . words || true)"
    if [ -e article ]; then line+=', local file kept'; else line+=', local file deleted'; fi
    echo "$line"
    seen+="$line;"
done
wanted='451: exit 0, STOR 1, SIZE 1, words 0, local file deleted;'
wanted+='552: exit 1, STOR 1, SIZE 0, words 1, local file kept;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
