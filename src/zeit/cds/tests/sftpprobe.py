"""What SFTP servers answer: a look at each of `SFTP_SERVERS`, and the tables of `docs/servers.txt`.

`bin/python -m zeit.cds.tests.sftpprobe [NAME...]` prints what it finds; `write FILE` writes it
between the comments that say so.
"""

import asyncio
import contextlib
import re
import sys
import time

import asyncssh

from zeit.cds.testing.daemon import ServerUnavailable
from zeit.cds.testing.sftpservers import SFTP_SERVERS
from zeit.cds.testing.world import version


BEGIN = '.. The SFTP answers begin: bin/python -m zeit.cds.tests.sftpprobe writes them.'
END = '.. The SFTP answers end.'

#: So many create one name at once.
RACERS = 8
#: Seconds for one question.
PATIENCE = 20

#: The tables: a title, and the columns.
TABLES = {
    'Requests': (
        'extensions', 'fsync', 'statvfs', 'check-file', 'limits', 'EXCL', 'EXCL race', 'batch',
    ),
    'Files over SFTP': (
        'rename onto', 'posix-rename', 'dir onto dir', 'MKD', 'OPEN none', 'REMOVE', 'open file',
        'listing', 'names changed',
    ),
}  # fmt: skip

#: What each server is asked to keep as it is.
NAMES = {
    'leading': ' leading',
    'trailing': 'trailing ',
    'quote': 'a"b',
    'utf-8': 'ü.xml',
    'latin-1': b'\xfc.xml',
}


class Probe:
    """Asks one server, over a session of an `asyncssh.SFTPClient`."""

    def __init__(self, sftp, server):
        self.sftp = sftp
        self.server = server
        self.handler = sftp._handler

    async def code(self, call):
        """Return 'yes', or the number of the SFTP error that the server answers."""
        try:
            await asyncio.wait_for(call, PATIENCE)
        except asyncssh.SFTPError as error:
            return str(error.code)
        except TimeoutError:
            return 'silent'
        return 'yes'

    async def extension(self, name, *fields):
        """Ask for an extension whether it was announced or not."""
        await self.handler._make_request(name.encode(), b''.join(fields))

    async def digest(self, name, handle):
        """Return whether an extension tells the digest of a file."""
        field = asyncssh.packet.String
        number = asyncssh.packet.UInt64
        try:
            await self.extension(
                name, field(handle), field('sha256,sha1,md5'), number(0), number(0), number(0)[:4]
            )
        except asyncssh.SFTPError as error:
            # The answer is one that the library does not know.
            return 'Unexpected response type: 201' in str(error)
        return True

    async def posix_rename(self, old, new):
        path = f'{self.server.directory.rstrip("/")}/'
        field = asyncssh.packet.String
        await self.extension('posix-rename@openssh.com', field(path + old), field(path + new))

    async def write(self, name, data=b'old', flags='wb'):
        async with self.sftp.open(name, flags, encoding=None) as file:
            await file.write(data)

    async def content(self, name):
        async with self.sftp.open(name, 'rb') as file:
            return await file.read()

    async def ask(self):
        """Return the answers, a dictionary by column."""
        found = {}
        await self.sftp.chdir(self.server.directory)
        for method in (
            self.requests, self.exclusive, self.batch, self.renaming, self.directories,
            self.listing, self.names,
        ):  # fmt: skip
            found |= await method()
            self.server.clear()
        return found

    async def requests(self):
        known = sorted(
            name.removesuffix('@openssh.com')
            for name, there in (
                ('posix-rename', self.handler._supports_posix_rename),
                ('statvfs', self.handler._supports_statvfs),
                ('hardlink', self.handler._supports_hardlink),
                ('fsync', self.handler._supports_fsync),
                ('lsetstat', self.handler._supports_lsetstat),
                ('limits', self.handler._supports_limits),
                ('copy-data', self.handler._supports_copy_data),
            )
            if there
        )
        await self.write('a', b'x' * 1000)  # Paramiko does not digest less than 256 bytes
        file = await self.sftp.open('a', 'r+b')
        fsync = await self.code(file.fsync())
        digests = [name for name in ('check-file', 'check-file-handle')
                   if await self.digest(name, file._handle)]  # fmt: skip
        await file.close()
        limits = self.handler.limits
        return {
            'extensions': f'{len(known)}: {" ".join(known)}' if known else 'none',
            'fsync': fsync,
            'statvfs': await self.code(self.sftp.statvfs('.')),
            'check-file': ', '.join(digests) or 'none',
            'limits': f'{limits.max_read_len}/{limits.max_write_len}'
            if self.handler._supports_limits
            else 'none',
        }

    async def exclusive(self):
        await self.write('a')
        refused = await self.code(self.write('a', b'new', 'xb'))
        kept = await self.content('a') == b'old'

        async def create(sftp):
            try:
                async with sftp.open(f'{self.server.directory.rstrip("/")}/race', 'xb') as file:
                    await file.write(b'me')
            except asyncssh.SFTPError:
                return False
            return True

        won = []
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client(self.server)) for _ in range(RACERS)]
            for _ in range(10):
                won.append(sum(await asyncio.gather(*map(create, clients))))
                await self.sftp.remove('race')
        return {
            'EXCL': f'{refused}{"" if kept else ", lost"}',
            'EXCL race': f'{min(won)}-{max(won)}' if min(won) != max(won) else str(won[0]),
        }

    async def batch(self):
        """Send requests that need the one before, without waiting for it."""
        made = [
            self.sftp.mkdir('d'),
            self.sftp.rmdir('d'),
            self.sftp.mkdir('d'),
            self.sftp.rename('d', 'e'),
            self.sftp.rmdir('e'),
        ]
        answers = await asyncio.gather(*map(self.code, made))
        return {'batch': 'in order' if {*answers} == {'yes'} else ' '.join(answers)}

    async def renaming(self):
        await self.write('a')
        await self.write('b', b'new')
        plain = await self.code(self.sftp.rename('b', 'a'))
        replaced = await self.content('a') == b'new'
        await self.write('c', b'newer')
        posix = await self.code(self.posix_rename('c', 'a'))
        file = await self.sftp.open('a', 'rb')
        removed = await self.code(self.sftp.remove('a'))
        rest = await self.code(file.read())
        with contextlib.suppress(asyncssh.SFTPError):
            await file.close()
        return {
            'rename onto': plain if replaced or plain != 'yes' else 'yes, kept',
            'posix-rename': posix,
            'open file': f'{removed}, read {rest}',
            'OPEN none': await self.code(self.content('none')),
            'REMOVE': await self.code(self.sftp.remove('none')),
        }

    async def directories(self):
        found = []
        for full in (False, True):
            await self.sftp.mkdir('d')
            await self.sftp.mkdir('e')
            if full:
                await self.sftp.mkdir('e/in')
                await self.sftp.mkdir('d/of')
            answer = await self.code(self.sftp.rename('d', 'e'))
            if answer == 'yes' and full:
                answer += ', merged' if 'in' in await self.sftp.listdir('e') else ', lost'
            found.append(answer)
            posix = await self.code(self.posix_rename('d', 'e')) if answer != 'yes' else ''
            found[-1] += f' ({posix})' if posix else ''
            self.server.clear()
        await self.sftp.mkdir('d')
        return {'dir onto dir': '/'.join(found), 'MKD': await self.code(self.sftp.mkdir('d'))}

    async def listing(self):
        order = [f'{n:02}' for n in range(20)]
        for name in order:
            await self.write(name)
        await self.write('.hidden')
        entries = [entry async for entry in self.sftp.scandir('.')]
        names = [entry.filename for entry in entries]
        shown = [name for name in names if name[0] != '.']
        says = 'sorted' if shown == order else 'any order'
        says += ', . and ..' if {'.', '..'} <= {*names} else ''
        says += '' if '.hidden' in names else ', hides dots'
        whole = [entry for entry in entries if entry.attrs.size == 3 and entry.attrs.mtime]
        says += '' if len(whole) == 21 else ', no attributes'
        age = abs(time.time() - (await self.sftp.stat('00')).mtime)
        return {'listing': says + ('' if age < 5 else f', {age:.0f} s off')}

    async def names(self):
        changed = []
        for word, name in NAMES.items():
            raw = name if isinstance(name, bytes) else name.encode()
            there = self.server.directory.rstrip('/').encode() + b'/' + raw
            refused = await self.code(self.write(there))
            stored = [path.name.encode('utf-8', 'surrogateescape')
                      for path in self.server.root.iterdir()]  # fmt: skip
            if refused != 'yes':
                changed.append(f'{word} refused')
            elif stored != [raw]:
                changed.append(word)
            self.server.clear()
        return {'names changed': ', '.join(changed) or 'as sent'}


@contextlib.asynccontextmanager
async def client(server):
    """A session with a server, by its key."""
    async with (
        asyncssh.connect(
            server.host,
            server.port,
            username=server.user,
            client_keys=[str(server.client_key)],
            known_hosts=str(server.known_hosts),
            config=None,
            agent_path=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        yield sftp


async def look(server):
    """Return the answers of a running server."""
    async with client(server) as sftp:
        return await Probe(sftp, server).ask()


def answers(names):
    """Return {title: {column: answer}} for the servers of these names."""
    found = {}
    for name in names:
        try:
            with SFTP_SERVERS[name]() as server:
                folder = {'internal-sftp': 'openssh'}.get(name, name)
                title = f'{name} {version(folder)}'.strip()
                found[title] = asyncio.run(look(server))
        except ServerUnavailable as error:
            print(error, file=sys.stderr)
    return found


def table(columns, found):
    """Return a table as text."""
    rows = [('server', *columns)] + [(name, *(f[c] for c in columns)) for name, f in found.items()]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ['  '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return '\n'.join(f'  {line.rstrip()}' for line in lines)


def text(found):
    """Return all tables as text."""
    return '\n\n'.join(
        f'{title}\n{"-" * len(title)}\n\n::\n\n{table(columns, found)}'
        for title, columns in TABLES.items()
    )


def main(arguments):
    if arguments[:1] == ['write']:
        path = arguments[1]
        with open(path, encoding='utf-8') as file:
            before = file.read()
        made = f'{BEGIN}\n\n{text(answers(SFTP_SERVERS))}\n\n{END}'
        after = re.sub(f'{re.escape(BEGIN)}.*{re.escape(END)}', lambda _: made, before, flags=re.S)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(after)
    else:
        print(text(answers(arguments or SFTP_SERVERS)))


if __name__ == '__main__':
    main(sys.argv[1:])
