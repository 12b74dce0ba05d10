#!/usr/bin/env bash
# SFTP: a download ends before the size that the server told, and sftp, Paramiko and AsyncSSH call it whole.
#
# Guess, written down before: clients know from STAT how many bytes a file has; if READ comes to its end
#   earlier, they report it, as curl does. Paramiko's `get`, which has a "size mismatch in get!", does.
# Versions: OpenSSH's sftp and curl as installed (9.2, 7.88.1); psftp and pscp 0.78-2+deb12u2, lftp 4.9.2-2+b1,
#   Net::SFTP::Foreign 1.93 (Debian 12); paramiko 5.1.0, fsspec 2026.9.0, ssh2-sftp-client 12.1.1 (npm);
#   asyncssh 2.24.1 (client, and the server).
# Seen, a file of 300,000 bytes that is replaced in place by one of 100,000 during the download:
#   100000 bytes, exit 0, nothing raised: sftp, psftp, paramiko (get), fsspec (get_file), asyncssh (get),
#     Net::SFTP::Foreign (get), ssh2-sftp-client (get)
#   reported: curl ("transfer closed with 200000 bytes remaining to read"), pscp ("end of file while
#     reading"), lftp ("file size decreased during transfer")
#   (pscp and psftp are made of the same sources. When CLOSE of an upload is refused, it is psftp that reports
#   it, and pscp that does not.)
#   Not replaced, all of them fetch 300000 bytes. Paramiko compares the bytes that it has received with
#   those that it has written.
# Who meets it: whoever fetches from a directory in which a sender replaces files in place: he gets the first
#   part of one version, or of both, and moves or deletes the file on the server. Compare the size and the time
#   of STAT before and after.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root putty-tools=0.78-2+deb12u2 lftp=4.9.2-2+b1 \
    libnet-sftp-foreign-perl=1.93+dfsg-1
for package in ./*.deb; do dpkg -x "$package" root; done
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 paramiko==5.1.0 fsspec==2026.9.0 2>/dev/null
npm install --silent --no-fund --no-audit --omit=optional ssh2-sftp-client@12.1.1 ssh2@1.17.0 >/dev/null
export HOME=$work
curl --version | sed -n 1p
ssh -V
ssh-keygen -q -t ed25519 -N '' -f id

cat >server.py <<'PYTHON'
import asyncio, os, sys
import asyncssh

class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=b'files')
    def read(self, file_obj, offset, size):
        if sys.argv[1] == 'replaced':
            os.truncate('files/article', 100_000)
        return super().read(file_obj, offset, size)

class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True
    def validate_password(self, username, password):
        return True

async def main():
    server = await asyncssh.create_server(
        Server, '127.0.0.1', 0, server_host_keys=['id'], sftp_factory=Files,
        authorized_client_keys='id.pub', kbdint_auth=False)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()
asyncio.run(main())
PYTHON

cat >client.py <<'PYTHON'
import asyncio, sys
which, port = sys.argv[1], int(sys.argv[2])
if which == 'paramiko':
    import paramiko
    transport = paramiko.Transport(('127.0.0.1', port))
    transport.connect(username='user', password='pw')
    paramiko.SFTPClient.from_transport(transport).get('/article', 'got')
    transport.close()
elif which == 'fsspec':
    from fsspec.implementations.sftp import SFTPFileSystem
    SFTPFileSystem('127.0.0.1', port=port, username='user', password='pw').get_file('/article', 'got')
elif which == 'asyncssh':
    import asyncssh
    async def main():
        async with asyncssh.connect(
            '127.0.0.1', port, username='user', password='pw', known_hosts=None, client_keys=None,
            config=None, agent_path=None,
        ) as connection, connection.start_sftp_client() as sftp:
            await sftp.get('/article', 'got')
    asyncio.run(main())
PYTHON
cat >client.js <<'JS'
const client = new (require('ssh2-sftp-client'))();
client.connect({host: '127.0.0.1', port: +process.argv[2], username: 'user', password: 'pw'})
  .then(() => client.get('/article', 'got'))
  .catch(() => { process.exitCode = 1; })
  .then(() => client.end());
JS
cat >client.pl <<'PERL'
use Net::SFTP::Foreign;
my ($port, @more) = @ARGV;
my $sftp = Net::SFTP::Foreign->new('user@127.0.0.1', port => $port, more => \@more);
$sftp->die_on_error('no connection');
exit($sftp->get('/article', 'got') && !$sftp->error ? 0 : 1);
PERL

echo 'get article got' >batch
options=(-F none -i id -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR)
putty=(-batch -pw pw -hostkey "$(ssh-keygen -lf id.pub | cut -d' ' -f2)")
run() {
    case $1 in
        curl) curl -sSk -o got "sftp://user:pw@127.0.0.1:$port/article" ;;
        sftp) sftp -q -b batch "${options[@]}" -P "$port" user@127.0.0.1 ;;
        lftp) root/usr/bin/lftp -c "set net:max-retries 1; set sftp:connect-program 'ssh -a -x ${options[*]}'
            open -u user, -p $port sftp://127.0.0.1; get /article -o got" ;;
        pscp) root/usr/bin/pscp -q -sftp "${putty[@]}" -P "$port" user@127.0.0.1:/article got ;;
        psftp) root/usr/bin/psftp "${putty[@]}" -P "$port" -b batch user@127.0.0.1 ;;
        perl) perl -I root/usr/share/perl5 client.pl "$port" "${options[@]}" ;;
        npm) node client.js "$port" ;;
        *) venv/bin/python -W ignore client.py "$1" "$port" ;;
    esac
}
silent='sftp psftp paramiko fsspec asyncssh perl npm'
reported='curl pscp lftp'
changed=0
for case in replaced whole; do
    for client in $silent $reported; do
        rm -rf files got
        mkdir files
        head -c 300000 /dev/zero >files/article
        exec 3< <(exec venv/bin/python server.py $case 2>/dev/null)
        pid=$!
        read -r -t 20 port <&3
        status=0
        run "$client" >words 2>&1 </dev/null || status=$?
        kill "$pid" 2>/dev/null || true
        size=$(stat -c %s got)
        echo "$case, $client: exit $status, $size bytes"
        if [ $case = whole ]; then
            [ $status = 0 ] && [ "$size" = 300000 ] || changed=1
        elif [[ " $silent " = *" $client "* ]]; then
            [ $status = 0 ] && [ "$size" = 100000 ] || changed=1
        else
            [ $status != 0 ] || changed=1
        fi
    done
done
[ $changed = 0 ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
