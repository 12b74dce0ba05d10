#!/usr/bin/env bash
# wget --spider says "Giving up." of an FTP file and exits with 0.
#
# Guess, written down before: if wget cannot find out whether the file exists, its exit status is 4
#   (network failure) or 8 (error response), as its manual lists them.
# Version: GNU wget as installed (1.21.3 of Debian 12).
# Seen, with `wget --spider --tries=2`, in which it asks SIZE and then lists the directory:
#   listing 226, the file is in it: exit 0, "exists"
#   listing 450: exit 0, "Giving up."
#   listing 426 after half of it: exit 0, "Giving up."
#   listing 226, the file not in it: exit 8, "No such file"
# Who meets it: whoever waits for a file, or looks for a lock file, by `if wget --spider ftp://...`:
#   "not to be found out" counts as "exists". Look for "exists" in its output, or use another
#   client.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
export HOME=$work LC_ALL=C
wget --version | sed -n 1p

cat >server.py <<'PYTHON'
import socket, sys
name, final = sys.argv[1:]
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    control = listener.accept()[0]
    control.sendall(b'220 ready\r\n')
    for line in control.makefile():
        verb = line.split()[0].upper()
        reply = {'USER': '331 password', 'PASS': '230 in', 'PWD': '257 "/"', 'TYPE': '200 ok',
                 'SYST': '215 UNIX Type: L8', 'SIZE': '550 no', 'QUIT': '221 bye'}.get(verb, '502 no')
        if verb == 'PASV':
            data = socket.create_server(('127.0.0.1', 0))
            port = data.getsockname()[1]
            reply = f'227 ok (127,0,0,1,{port >> 8},{port & 255})'
        elif verb == 'LIST':
            if not final.startswith('450'):
                connection = data.accept()[0]
                control.sendall(b'150 go\r\n')
                connection.sendall(f'-rw-r--r-- 1 user group 4 Jan 01 2026 {name}\r\n'.encode())
                connection.close()
            reply = final
        control.sendall(reply.encode() + b'\r\n')
PYTHON
seen=
for case in 'a,226 Done.' 'a,450 Busy.' 'a,426 Aborted.' 'b,226 Done.'; do
    exec 3< <(exec python3 server.py "${case%%,*}" "${case#*,}")
    pid=$!
    read -r -t 20 port <&3
    status=0
    timeout 60 wget --spider --tries=2 "ftp://user:pw@127.0.0.1:$port/a" >words 2>&1 || status=$?
    kill "$pid" 2>/dev/null || true
    line="$case: exit $status, $(grep -oE 'exists|Giving up|No such file' words)"
    echo "$line"
    seen+="$line;"
done
wanted='a,226 Done.: exit 0, exists;a,450 Busy.: exit 0, Giving up;a,426 Aborted.: exit 0, Giving up;'
[ "$seen" = "${wanted}b,226 Done.: exit 8, No such file;" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
