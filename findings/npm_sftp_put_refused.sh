#!/usr/bin/env bash
# npm's ssh2-sftp-client: `put` is fulfilled when the server has refused to write; `fastPut` is rejected.
#
# Guess, written down before: SSH_FX_FAILURE in answer to WRITE (the disk is full: version 3 of SFTP has no
#   other code for that) rejects the promise of `put`, as it does that of `fastPut`, of which the manual
#   says that it is faster and `put` works with more servers.
# Versions: ssh2-sftp-client 12.1.1, ssh2 1.17.0 (npm), node as installed (20.20); asyncssh 2.24.1 (server).
# Seen, 300,000 bytes; the server refuses each WRITE that goes beyond 100,000:
#   put, a path: fulfilled, "Uploaded data stream to /up"; 65536 bytes on the server
#   put, a buffer: fulfilled, the same words; 0 bytes
#   createWriteStream of ssh2 below it: "close", no "error"
#   fastPut: rejected, "fastPut: disk full ..."
#   Without a limit: all fulfilled, 300000 bytes; the stream says "close", and nothing else, as well.
#   The stream of ssh2 destroys itself before it hands out the error, and `put` takes "close" for success. (A
#   refused CLOSE does reject `put`.)
# Who meets it: who uploads by `put` to a server with a quota or a full disk: the partner has the beginning
#   of the file, under its final name, and the sender deletes the original. Compare the size (`stat`), as
#   the two cases look the same otherwise.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check asyncssh==2.24.1 2>/dev/null
npm install --silent --no-fund --no-audit --omit=optional ssh2-sftp-client@12.1.1 ssh2@1.17.0 >/dev/null
node --version
ssh-keygen -q -t ed25519 -N '' -f id

cat >server.py <<'PYTHON'
import asyncio, sys
import asyncssh

class Files(asyncssh.SFTPServer):
    def __init__(self, channel):
        super().__init__(channel, chroot=b'files')
    def write(self, file_obj, offset, data):
        if offset + len(data) > int(sys.argv[1]):
            raise asyncssh.SFTPFailure('disk full')
        return super().write(file_obj, offset, data)

class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True
    def validate_password(self, username, password):
        return True

async def main():
    server = await asyncssh.create_server(
        Server, '127.0.0.1', 0, server_host_keys=['id'], sftp_factory=Files)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()
asyncio.run(main())
PYTHON

cat >client.js <<'JS'
const Client = require('ssh2-sftp-client');
const {Client: SSH} = require('ssh2');
const fs = require('fs');
const [how, port] = process.argv.slice(2);
const login = {host: '127.0.0.1', port: +port, username: 'user', password: 'pw'};
if (how === 'stream') {
  const ssh = new SSH();
  ssh.on('ready', () => ssh.sftp((error, sftp) => {
    const seen = [];
    const stream = sftp.createWriteStream('/up');
    for (const name of ['finish', 'error', 'close']) stream.on(name, () => seen.push(name));
    // By then the server has answered all that was asked before, and the stream has said all it has to.
    stream.on('close', () => sftp.stat('/up', () => { console.log(seen.join(' ')); ssh.end(); }));
    stream.on('error', () => {});
    fs.createReadStream('local').pipe(stream);
  })).connect(login);
} else {
  const client = new Client();
  const local = how === 'put-buffer' ? fs.readFileSync('local') : 'local';
  client.connect(login)
    .then(() => how === 'fastPut' ? client.fastPut(local, '/up') : client.put(local, '/up'))
    .then(() => 'fulfilled', () => 'rejected')
    .then((what) => { console.log(what); return client.end(); });
}
JS

head -c 300000 /dev/zero >local
seen=
for limit in 100000 300000; do
    for how in put-path put-buffer stream fastPut; do
        rm -rf files
        mkdir files
        exec 3< <(exec venv/bin/python server.py $limit 2>log)
        pid=$!
        read -r -t 20 port <&3
        line="limit $limit, $how: $(timeout 60 node client.js $how "$port" 2>/dev/null)"
        kill "$pid" 2>/dev/null || true
        # What fastPut has in flight differs.
        [ $how = fastPut ] && [ $limit = 100000 ] || line+=", $(stat -c %s files/up) bytes"
        echo "$line"
        seen+="$line;"
    done
done
wanted='limit 100000, put-path: fulfilled, 65536 bytes;'
wanted+='limit 100000, put-buffer: fulfilled, 0 bytes;'
wanted+='limit 100000, stream: close, 65536 bytes;'
wanted+='limit 100000, fastPut: rejected;'
for how in put-path put-buffer; do wanted+="limit 300000, $how: fulfilled, 300000 bytes;"; done
wanted+='limit 300000, stream: close, 300000 bytes;limit 300000, fastPut: fulfilled, 300000 bytes;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
