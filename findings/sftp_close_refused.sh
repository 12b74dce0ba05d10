#!/usr/bin/env bash
# SFTP: the server answers CLOSE of an upload with an error, and half of the clients say that all is well.
#
# Guess, written down before: CLOSE is the last word about an upload, as 226 is by FTP; a client that gets
#   SSH_FX_FAILURE for it reports the upload as failed.
# Versions: paramiko 5.1.0, fsspec 2026.9.0 and smart_open 9.0.2 (by paramiko), ssh2-python 1.2.0.post1
#   (libssh2), asyncssh 2.24.1 (client, and the server), ssh2 1.17.0 (npm), pscp and psftp
#   0.78-2+deb12u2, lftp 4.9.2-2+b1 (Debian 12); curl and OpenSSH's sftp as installed (7.88.1, 9.2).
# Seen, 300,000 bytes; the server takes all of them, and refuses CLOSE:
#   nothing raised, or exit 0, not a word: paramiko (put, and a file that is closed), fsspec,
#     smart_open, ssh2-python, curl, pscp
#   reported: asyncssh, ssh2 of npm, sftp, psftp (of the same sources as pscp), lftp
#   With CLOSE answered by SSH_FX_OK all of them succeed.
#   paramiko asks for the size afterwards, and finds it right.
# Who meets it: a server may learn at CLOSE only that it cannot keep a file: close(2) fails on a file system
#   of the network or with a quota (OpenSSH's server passes that on), an object store takes the whole at
#   the end. What is deleted locally behind such an upload is gone. Take a client that reports it, or
#   fetch the file back before the original is deleted.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root putty-tools=0.78-2+deb12u2 lftp=4.9.2-2+b1
for package in ./*.deb; do dpkg -x "$package" root; done
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 paramiko==5.1.0 fsspec==2026.9.0 \
    smart_open==9.0.2 ssh2-python==1.2.0.post1 2>/dev/null
npm install --silent --no-fund --no-audit --omit=optional ssh2@1.17.0 >/dev/null
export HOME=$work
curl --version | sed -n 1p
ssh -V
ssh-keygen -q -t ed25519 -N '' -f id

cat >server.py <<'PYTHON'
import asyncio, pathlib, sys
import asyncssh

class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=b'files')

    def close(self, file_obj):
        written = file_obj.writable()
        super().close(file_obj)
        if written and sys.argv[1] == 'refused':
            raise asyncssh.SFTPFailure('The file cannot be kept.')

class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True
    def validate_password(self, username, password):
        return True

async def main():
    key = asyncssh.read_private_key('id')
    server = await asyncssh.create_server(
        Server, '127.0.0.1', 0, server_host_keys=[key], sftp_factory=Files,
        authorized_client_keys='id.pub', kbdint_auth=False)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()
asyncio.run(main())
PYTHON

cat >client.py <<'PYTHON'
import asyncio, socket, sys
which, port = sys.argv[1], int(sys.argv[2])
content = open('local', 'rb').read()

def paramiko_client():
    import paramiko
    transport = paramiko.Transport(('127.0.0.1', port))
    transport.connect(username='user', password='pw')
    return paramiko.SFTPClient.from_transport(transport)

if which == 'paramiko-put':
    paramiko_client().put('local', '/up')
elif which == 'paramiko-open':
    with paramiko_client().open('/up', 'wb') as file:
        file.write(content)
elif which == 'fsspec':
    from fsspec.implementations.sftp import SFTPFileSystem
    SFTPFileSystem('127.0.0.1', port=port, username='user', password='pw').put_file('local', '/up')
elif which == 'smart_open':
    import smart_open
    with smart_open.open(f'sftp://user:pw@127.0.0.1:{port}//up', 'wb', transport_params={
            'connect_kwargs': {'allow_agent': False, 'look_for_keys': False}}) as file:
        file.write(content)
elif which == 'ssh2-python':
    from ssh2.session import Session
    from ssh2.sftp import LIBSSH2_FXF_CREAT, LIBSSH2_FXF_WRITE
    session = Session()
    session.handshake(socket.create_connection(('127.0.0.1', port)))
    session.userauth_password('user', 'pw')
    flags = LIBSSH2_FXF_CREAT | LIBSSH2_FXF_WRITE
    with session.sftp_init().open('/up', flags, 0o644) as file:
        file.write(content)
    session.disconnect()
elif which == 'asyncssh':
    import asyncssh
    async def main():
        async with asyncssh.connect(
            '127.0.0.1', port, username='user', password='pw', known_hosts=None, client_keys=None,
            config=None, agent_path=None,
        ) as connection, connection.start_sftp_client() as sftp:
            await sftp.put('local', '/up')
    asyncio.run(main())
PYTHON
cat >client.js <<'JS'
const {Client} = require('ssh2');
const client = new Client();
client.on('ready', () => client.sftp((error, sftp) => {
  sftp.fastPut('local', '/up', (failed) => { process.exitCode = failed ? 1 : 0; client.end(); });
})).connect({host: '127.0.0.1', port: +process.argv[2], username: 'user', password: 'pw'});
JS

head -c 300000 /dev/zero >local
echo 'put local /up' >batch
options=(-F none -i id -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR)
putty=(-batch -pw pw -hostkey "$(ssh-keygen -lf id.pub | cut -d' ' -f2)")
run() {
    case $1 in
        curl) curl -sSk -T local "sftp://user:pw@127.0.0.1:$port/up" ;;
        sftp) sftp -q -b batch "${options[@]}" -P "$port" user@127.0.0.1 ;;
        lftp) root/usr/bin/lftp -c "set net:max-retries 1; set sftp:connect-program 'ssh -a -x ${options[*]}'
            open -u user, -p $port sftp://127.0.0.1; put local -o /up" ;;
        pscp) root/usr/bin/pscp -q -sftp "${putty[@]}" -P "$port" local user@127.0.0.1:/up ;;
        psftp) root/usr/bin/psftp "${putty[@]}" -P "$port" -b batch user@127.0.0.1 ;;
        npm-ssh2) node client.js "$port" ;;
        *) venv/bin/python -W ignore client.py "$1" "$port" ;;
    esac
}
silent='paramiko-put paramiko-open fsspec smart_open ssh2-python curl pscp'
reported='asyncssh npm-ssh2 sftp psftp lftp'
changed=0
for close in refused ok; do
    for client in $silent $reported; do
        rm -rf files
        mkdir files
        exec 3< <(exec venv/bin/python server.py $close 2>/dev/null)
        pid=$!
        read -r -t 20 port <&3
        status=0
        run "$client" >words 2>&1 </dev/null || status=$?
        kill "$pid" 2>/dev/null || true
        echo "CLOSE $close, $client: exit $status, $(stat -c %s files/up) bytes"
        wanted=0
        [[ $close = ok || " $silent " != *" $client "* || ! -s words ]] || changed=1
        [[ $close = ok || " $silent " = *" $client "* ]] || wanted=1
        [ $((status != 0)) = $wanted ] && [ "$(stat -c %s files/up)" = 300000 ] || changed=1
    done
done
[ $changed = 0 ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
