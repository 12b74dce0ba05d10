"""Pass FTP connections on to a server, all of it so many seconds later, where no line can be made.

    python relay.py SECONDS HOST PORT        says on which port of 127.0.0.1 it listens

It knows the replies to PASV and EPSV (RFC 959, RFC 2428) and passes data connections on as well.
Weaker than a line of one's own: a connection is accepted at once, so that SYNs cost nothing, the
systems on both sides acknowledge at once, and it cannot look into TLS.  It ends when its standard
input does.
"""

import asyncio
import os
import re
import sys


_EPSV = re.compile(rb'^229 .*\(\|\|\|(\d+)\|\)')
_PASV = re.compile(rb'^227 .*?(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)')

#: Bytes that are read at once.
_CHUNK = 256 * 1024


class Relay:
    """Listens for control connections, and for each data connection that is announced on them."""

    def __init__(self, *, delay, host):
        self._delay = delay
        self._host = host

    async def listen(self, port, *, control):
        """Pass what comes in on to a port of the server; return the port where that is."""

        async def serve(reader, writer):
            try:
                theirs = await asyncio.open_connection(self._host, port)
                edit = self._announced if control else None
                await asyncio.gather(
                    self._pass(reader, theirs[1]), self._pass(theirs[0], writer, edit=edit)
                )
            except OSError:
                pass  # one of the two has gone away: so has the other one, now
            finally:
                writer.close()
                if not control:
                    listener.close()

        listener = await asyncio.start_server(serve, '127.0.0.1', 0)
        return listener.sockets[0].getsockname()[1]

    async def _pass(self, reader, writer, *, edit=None):
        """Write what is read, later; then the end."""
        queue, clock = asyncio.Queue(), asyncio.get_running_loop().time

        async def read():
            data = None
            while data != b'':
                data = await (reader.readline() if edit else reader.read(_CHUNK))
                await queue.put((clock() + self._delay, data))

        reading = asyncio.create_task(read())
        try:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(due - clock())
                if not data:
                    writer.write_eof()
                    return
                writer.write(await edit(data) if edit else data)
                await writer.drain()
        finally:
            reading.cancel()

    async def _announced(self, line):
        """Return a line of the server with our port in the place of the one that it announces."""
        if found := _EPSV.match(line):
            port = await self.listen(int(found[1]), control=False)
            return b'229 Extended Passive Mode (|||%d|)\r\n' % port
        if found := _PASV.match(line):
            port = await self.listen(int(found[5]) * 256 + int(found[6]), control=False)
            return b'227 Passive Mode (127,0,0,1,%d,%d)\r\n' % divmod(port, 256)
        return line


async def main(delay, host, port):
    """Relay until standard input ends."""
    print(await Relay(delay=delay, host=host).listen(port, control=True), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    # Connections that are left are cut, not cancelled one by one.
    os._exit(0)


if __name__ == '__main__':
    asyncio.run(main(float(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
