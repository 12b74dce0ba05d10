"""What starts those FTP servers of PyPI and npm that bring no program of their own.

Each is called with host, port, root directory, user and password, and serves until it is killed.
The configuration is the simplest that their documentation shows.
"""

TWISTED = """
import sys
from twisted.cred import checkers, portal
from twisted.internet import reactor
from twisted.protocols import ftp
from twisted.python.filepath import FilePath
host, port, root, user, password = sys.argv[1:]
class Realm(ftp.BaseFTPRealm):
    def getHomeDirectory(self, avatarId):
        return FilePath(root)
known = checkers.InMemoryUsernamePasswordDatabaseDontUse()
known.addUser(user, password)
factory = ftp.FTPFactory(portal.Portal(Realm(root), [known]))
reactor.listenTCP(int(port), factory, interface=host)
reactor.run()
"""

AIOFTP = """
import asyncio, ssl, sys, aioftp
host, port, root, user, password, *certificate = sys.argv[1:]
context = None
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
async def serve():
    server = aioftp.Server([aioftp.User(user, password, base_path=root)], ssl=context)
    await server.start(host, int(port))
    await asyncio.Event().wait()
asyncio.run(serve())
"""

# It says the same error without an end when a client is killed: to nobody, as a disk that is busy
# with that would slow down what is measured.
PYFTPDLIB = """
import logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
host, port, root, user, password = sys.argv[1:]
logging.disable()
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user(user, password, root, perm='elradfmwMT')
FTPServer((host, int(port)), FTPHandler).serve_forever()
"""

# It has no file system on a disk: this is one after its interface and its demonstration.
ZOPE = """
import asyncore, datetime, os, shutil, sys, traceback
from zope.interface import implementer
from zope.security.interfaces import Unauthorized
from zope.server.ftp.server import FTPServer
from zope.server.interfaces.ftp import IFileSystem, IFileSystemAccess
from zope.server.taskthreads import ThreadedTaskDispatcher
host, port, root, user, password = sys.argv[1:]
@implementer(IFileSystem)
class Disk:
    def at(self, path):
        return os.path.join(root, os.path.normpath('/' + path).lstrip('/'))
    def type(self, path):
        if os.path.isdir(self.at(path)):
            return 'd'
        return 'f' if os.path.exists(self.at(path)) else None
    def names(self, path, filter=None):
        return [n for n in os.listdir(self.at(path)) if filter is None or filter(n)]
    def lsinfo(self, path):
        stat = os.stat(self.at(path))
        return {
            'type': self.type(path), 'name': os.path.basename(path), 'size': stat.st_size,
            'mtime': self.mtime(path), 'nlinks': 1, 'owner_name': user, 'group_name': user,
            'owner_readable': True, 'owner_writable': True,
        }
    def ls(self, path, filter=None):
        return [self.lsinfo(os.path.join(path, n)) for n in self.names(path, filter)]
    def mtime(self, path):
        return datetime.datetime.fromtimestamp(os.stat(self.at(path)).st_mtime, datetime.UTC)
    def size(self, path):
        return os.stat(self.at(path)).st_size
    def mkdir(self, path):
        os.mkdir(self.at(path))
    def remove(self, path):
        os.remove(self.at(path))
    def rmdir(self, path):
        os.rmdir(self.at(path))
    def rename(self, old, new):
        os.rename(self.at(old), self.at(new))
    def readfile(self, path, outstream, start=0, end=None):
        with open(self.at(path), 'rb') as source:
            source.seek(start or 0)
            outstream.write(source.read())  # also nothing: else it does not begin
    def writefile(self, path, instream, start=None, end=None, append=False):
        with open(self.at(path), 'ab' if append else 'r+b' if start else 'wb') as target:
            if start:
                target.seek(start)
            shutil.copyfileobj(instream, target)
    def writable(self, path):
        return True
@implementer(IFileSystemAccess)
class Access:
    def authenticate(self, credentials):
        if credentials != (user, password):
            raise Unauthorized('wrong password')
    def open(self, credentials):
        self.authenticate(credentials)
        return Disk()
threads = ThreadedTaskDispatcher()
threads.setThreadCount(4)
FTPServer(host, int(port), Access(), task_dispatcher=threads)
while True:
    try:
        asyncore.poll(5)
    except Exception:
        traceback.print_exc()  # a session that ends in the middle of a task
"""

THINFTP = """
import argparse, sys
from thinftp.logger import get_logger
from thinftp.server import start_server
host, port, root, user, password = sys.argv[1:]
start_server(argparse.Namespace(bind=host, port=int(port), user=user, pswd=password,
                                directory=root, lgr=get_logger(debug=False), debug=False))
"""

PYFSFTPSERVER = """
import asyncio, sys
from pyfsftpserver import PyfsFtpServer
host, port, root, user, password = sys.argv[1:]
asyncio.run(PyfsFtpServer(host=host, port=int(port), pyfs_url='osfs://' + root).run())
"""

FTP_SRV = """
const fs = require('fs');
const { FtpSrv } = require('ftp-srv');
const bunyan = require('bunyan');
const [host, port, root, user, password, cert, key] = process.argv.slice(1);
const tls = cert && { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
const server = new FtpSrv({ url: `ftp://${host}:${port}`, pasv_url: host, tls,
                            log: bunyan.createLogger({ name: 'quiet', level: 100 }) });
server.on('login', ({ username, password: given }, resolve, reject) =>
  username === user && given === password ? resolve({ root }) : reject(new Error('wrong')));
server.on('client-error', () => {});
server.listen();
"""

NPM_FTPD = """
const ftpd = require('ftpd');
const [host, port, root, user, password] = process.argv.slice(1);
const server = new ftpd.FtpServer(host, {
  getInitialCwd: () => '/', getRoot: () => root, useWriteFile: false, useReadFile: false });
server.on('error', () => {});
server.on('client:connected', (connection) => {
  let name;
  connection.on('command:user', (given, success, failure) => {
    name = given; given ? success() : failure(); });
  connection.on('command:pass', (given, success, failure) =>
    name === user && given === password ? success(name) : failure());
});
server.debugging = 0;
server.listen(Number(port));
"""

SIMPLE_FTPD = """
const fs = require('fs');
const ftpd = require('simple-ftpd');
const [host, port, root, user, password] = process.argv.slice(1);
ftpd({ host, port: Number(port), root, readOnly: false, maxConnections: 100 }, (session) => {
  session.on('pass', (name, given, cb) =>
    name === user && given === password ? cb(null, 'Welcome') : cb(new Error('wrong')));
  session.on('stat', fs.stat);
  session.on('readdir', fs.readdir);
  session.on('read', (path, offset, cb) => cb(null, fs.createReadStream(path, { start: offset })));
  session.on('write', (path, offset, cb) =>
    cb(null, fs.createWriteStream(path, { start: offset })));
  session.on('mkdir', fs.mkdir);
  session.on('unlink', fs.unlink);
  session.on('rename', fs.rename);
  session.on('remove', fs.rmdir);
});
"""

# Debian has a program, in which every session begins in /.
ANYEVENT = """
package World::Context;
use Moo;
extends 'AnyEvent::FTP::Server::Context::FSRW';
my $root = shift @ARGV;
around cwd => sub {
  my ($next, $self, @value) = @_;
  $self->{cwd} //= $root;
  $self->$next(@value);
};
$INC{'World/Context.pm'} = 1;
push @ARGV, '--context', 'World::Context';
do '/usr/bin/aeftpd' or die $@;
"""
