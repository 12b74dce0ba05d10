#!/usr/bin/env bash
# curl -T with several files exits with the status of the last one: a refused file before it is no failure.
#
# Guess, written down before: `curl -T '{a,b}' ftp://...` exits with 0 only if both have been stored, as
#   `lftp -c 'mput a b'` and `ncftpput` do.
# Versions: curl as installed (7.88.1 of Debian 12), lftp 4.9.2-2+b1, ncftp 2:3.2.6-1+b1; pyftpdlib 2.2.0 (server).
# Seen, with a directory named `a` on the server, so that the file `a` is refused (550):
#   curl, a then b: 0; curl, b then a: 25; curl --fail-early, a then b: 25, and b is not sent
#   lftp, a then b: 1; ncftpput, a then b: 3; both send b
#   curl says "curl: (25) ..." on stderr each time; -s without -S keeps that back too.
# Who meets it: a script that sends a night's files by one call of curl and files them as sent when it exits
#   with 0: only the last file counts. Call it for each file, or look for each file in the listing.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root lftp=4.9.2-2+b1 ncftp=2:3.2.6-1+b1
for package in ./*.deb; do dpkg -x "$package" root; done
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 2>/dev/null
export HOME=$work
curl --version | sed -n 1p

cat >server.py <<'PYTHON'
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
authorizer = DummyAuthorizer()
authorizer.add_user('user', 'pw', 'files', perm='elradfmwMT')
class Handler(FTPHandler):
    pass
Handler.authorizer = authorizer
server = FTPServer(('127.0.0.1', 0), Handler)
print(server.socket.getsockname()[1], flush=True)
server.serve_forever()
PYTHON
mkdir files
exec 3< <(exec venv/bin/python -W ignore server.py 2>log)
pid=$!
read -r -t 60 port <&3

echo first >a
echo second >b
url=ftp://user:pw@127.0.0.1:$port/
run() {
    case $1 in
        'curl a b') curl -sS -T '{a,b}' "$url" ;;
        'curl b a') curl -sS -T '{b,a}' "$url" ;;
        'curl --fail-early a b') curl -sS --fail-early -T '{a,b}' "$url" ;;
        'lftp a b') root/usr/bin/lftp -c "set net:max-retries 1
            open -u user,pw -p $port 127.0.0.1; mput a b" ;;
        'ncftpput a b') root/usr/bin/ncftpput -t 20 -u user -p pw -P "$port" 127.0.0.1 / a b ;;
    esac
}
seen=
for directory in a none; do
    for what in 'curl a b' 'curl b a' 'curl --fail-early a b' 'lftp a b' 'ncftpput a b'; do
        rm -rf files/a files/b
        [ $directory = none ] || mkdir "files/$directory"
        status=0
        run "$what" >words 2>&1 </dev/null || status=$?
        line="directory $directory, $what: $status"
        if [ -f files/b ]; then line+=', b is there'; fi
        echo "$line"
        seen+="$line;"
    done
done
wanted='directory a, curl a b: 0, b is there;directory a, curl b a: 25, b is there;'
wanted+='directory a, curl --fail-early a b: 25;'
wanted+='directory a, lftp a b: 1, b is there;directory a, ncftpput a b: 3, b is there;'
for what in 'curl a b' 'curl b a' 'curl --fail-early a b' 'lftp a b' 'ncftpput a b'; do
    wanted+="directory none, $what: 0, b is there;"
done
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
