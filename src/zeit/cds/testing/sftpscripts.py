"""What starts those SFTP servers of PyPI that bring no program of their own.

Each is called with host, port, root directory, user, password, the files of its host key and of the
user's public key, and serves until it is killed.  The configuration is the simplest that their
documentation shows.
"""

ASYNCSSH = """
import asyncio, sys, asyncssh
host, port, root, user, password, key, authorized = sys.argv[1:]
class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True
    def validate_password(self, name, given):
        return (name, given) == (user, password)
async def serve():
    await asyncssh.listen(
        host, int(port), server_factory=Server, server_host_keys=[key],
        authorized_client_keys=authorized,
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=root.encode()))
    await asyncio.Event().wait()
asyncio.run(serve())
"""

# Paramiko has no file system on a disk: this is one after its interface, with the meaning that the
# one of its own tests has.
PARAMIKO = """
import os, socket, sys, threading, paramiko
host, port, root, user, password, key, authorized = sys.argv[1:]
known = open(authorized).read().split()[1]
class Account(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return 'publickey,password'
    def check_auth_password(self, username, given):
        right = (username, given) == (user, password)
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED
    def check_auth_publickey(self, username, given):
        right = (username, given.get_base64()) == (user, known)
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED
    def check_channel_request(self, kind, number):
        return paramiko.OPEN_SUCCEEDED
def answered(method):
    def call(*args):
        try:
            found = method(*args)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK if found is None else found
    return call
class Handle(paramiko.SFTPHandle):
    @answered
    def stat(self):
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.writefile.fileno()))
class Disk(paramiko.SFTPServerInterface):
    def at(self, path):
        return root + self.canonicalize(path)
    @answered
    def list_folder(self, path):
        found = []
        for entry in os.scandir(self.at(path)):
            attributes = paramiko.SFTPAttributes.from_stat(entry.stat(follow_symlinks=False))
            attributes.filename = entry.name
            found.append(attributes)
        return found
    @answered
    def stat(self, path):
        return paramiko.SFTPAttributes.from_stat(os.stat(self.at(path)))
    @answered
    def lstat(self, path):
        return paramiko.SFTPAttributes.from_stat(os.lstat(self.at(path)))
    @answered
    def open(self, path, flags, attributes):
        number = os.open(self.at(path), flags, 0o666)
        access = flags & os.O_ACCMODE
        mode = 'rb' if access == os.O_RDONLY else 'wb' if access == os.O_WRONLY else 'r+b'
        handle = Handle(flags)
        handle.readfile = handle.writefile = os.fdopen(number, mode)
        return handle
    @answered
    def remove(self, path):
        os.remove(self.at(path))
    @answered
    def rename(self, old, new):
        if os.path.exists(self.at(new)):
            return paramiko.SFTP_FAILURE
        os.rename(self.at(old), self.at(new))
    @answered
    def posix_rename(self, old, new):
        os.rename(self.at(old), self.at(new))
    @answered
    def mkdir(self, path, attributes):
        os.mkdir(self.at(path))
    @answered
    def rmdir(self, path):
        os.rmdir(self.at(path))
def serve(connection):
    with paramiko.Transport(connection) as transport:
        transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(key))
        transport.set_subsystem_handler('sftp', paramiko.SFTPServer, Disk)
        try:
            transport.start_server(server=Account())
        except (paramiko.SSHException, EOFError, OSError):
            return
        transport.join()
listener = socket.create_server((host, int(port)), backlog=100)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""
