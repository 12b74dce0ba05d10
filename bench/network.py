"""A network with a delay on this machine: two private namespaces and a link between them.

Both ends belong to this process alone: a namespace has no name, and a TUN device lives as long as
its descriptor is open.  So there is nothing to clean up, however the measurement ends: when this
process is gone, so are devices and namespaces, and the program that delays the packets sees its
standard input end.  Needs Linux and root (CAP_SYS_ADMIN, CAP_NET_ADMIN).
"""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading


#: The two ends of the link (RFC 5737: addresses for documentation, routed by nobody).
CLIENT, SERVER = '192.0.2.1', '192.0.2.2'

LOOPBACK = '127.0.0.1'

# What clone(2), if_tun.h and netdevice(7) call these.
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFDSTADDR, _SIOCSIFTXQLEN = 0x8914, 0x8916, 0x8918, 0x8943
_IFF_UP = 0x1

#: Packets that a device holds while the program that delays them is not scheduled.
_QUEUE = 10_000

#: What the device is called, on both sides.
DEVICE = 'wan'

#: The kind of a network that cannot delay by itself.
RELAY = 'no network of its own'

RELAYING = pathlib.Path(__file__).with_name('relay.py')
DELAYING = pathlib.Path(__file__).with_name('delay.py')


class Namespace:
    """A network namespace of its own, with a loopback device; a context manager.

    It is that of one thread of this process (namespaces(7): each thread has its own), and of every
    process which that thread starts.
    """

    def __init__(self):
        self._thread = concurrent.futures.ThreadPoolExecutor(1, 'namespace')
        try:
            self.run(_unshare)
            self.run(_bring_up, 'lo')
        except BaseException:
            self._thread.shutdown()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._thread.shutdown()

    def run(self, function, *args, **kw):
        """Call `function` inside; return what it returns, raise what it raises."""
        return self._thread.submit(function, *args, **kw).result()


class Here:
    """The network that we are in, where there are no rights to make another one."""

    def run(self, function, *args, **kw):
        """Call `function`."""
        return function(*args, **kw)


class Network:
    """Where clients and servers run: `client` and `server` are namespaces, `host` is the address
    at which the servers listen, `device` the clients' one, `kind` says in words what it is.
    """

    def __init__(self, *, client, server, host, device, kind, rtt):
        self.client = client
        self.server = server
        self.host = host
        self.device = device
        self.kind = kind
        self.rtt = rtt

    def __repr__(self):
        return f'<Network {self.kind}, {self.rtt * 1000:g} ms>'


@contextlib.contextmanager
def network(rtt, *, private=True):
    """Yield a `Network` with a round trip time of `rtt` seconds; 0 is the loopback device.

    With a delay netem does it, where the kernel has it, otherwise TUN devices and a program.  Where
    neither can be had, or with `private=False`, it is this machine's own network, and it takes
    `relayed` to delay anything.
    """
    with contextlib.ExitStack() as stack:
        found = None
        if private:
            with contextlib.suppress(OSError):
                found = _private(stack, rtt)
        yield found or Network(
            client=Here(), server=Here(), host=LOOPBACK, device='lo', kind=RELAY, rtt=rtt
        )


def _private(stack, rtt):
    client = stack.enter_context(Namespace())
    if not rtt:
        return Network(
            client=client, server=client, host=LOOPBACK, device='lo', kind='loopback', rtt=0
        )
    server = stack.enter_context(Namespace())
    kind = _netem(client, server, rtt) or stack.enter_context(_tun(client, server, rtt))
    return Network(client=client, server=server, host=SERVER, device=DEVICE, kind=kind, rtt=rtt)


@contextlib.contextmanager
def relayed(port, rtt):
    """Yield the port of a relay for the server at `port` of this machine."""
    process = subprocess.Popen(
        [sys.executable, '-I', '-S', RELAYING, str(rtt / 2), LOOPBACK, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield int(process.stdout.readline())


def _netem(client, server, rtt):
    """Join two namespaces by a pair of devices that delay; return the kind, or '' without netem."""
    try:
        half = f'{rtt * 500_000:.0f}us'
        there = server.run(threading.get_native_id)
        delay = ('root', 'netem', 'delay', half, 'limit', str(_QUEUE))
        client.run(_call, 'ip', 'link', 'add', DEVICE, 'type', 'veth', 'peer', 'name', 'far')
        client.run(_call, 'tc', 'qdisc', 'add', 'dev', DEVICE, *delay)
        client.run(_call, 'ip', 'link', 'set', 'far', 'netns', str(there), 'name', DEVICE)
        server.run(_call, 'tc', 'qdisc', 'add', 'dev', DEVICE, *delay)
    except (FileNotFoundError, subprocess.CalledProcessError):
        with contextlib.suppress(FileNotFoundError, subprocess.CalledProcessError):
            client.run(_call, 'ip', 'link', 'del', DEVICE)
        return ''
    for namespace, address, peer in ((client, CLIENT, SERVER), (server, SERVER, CLIENT)):
        namespace.run(_call, 'ip', 'address', 'add', address, 'peer', peer, 'dev', DEVICE)
        namespace.run(_call, 'ip', 'link', 'set', DEVICE, 'up')
    return 'netem'


def _call(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=10)


@contextlib.contextmanager
def _tun(client, server, rtt):
    with contextlib.ExitStack() as stack:
        near = client.run(_device, CLIENT, SERVER)
        stack.callback(os.close, near)
        far = server.run(_device, SERVER, CLIENT)
        stack.callback(os.close, far)
        process = subprocess.Popen(
            [sys.executable, '-I', '-S', DELAYING, str(rtt / 2), str(near), str(far)],
            stdin=subprocess.PIPE,
            pass_fds=(near, far),
        )
        stack.callback(process.wait, 10)
        stack.callback(process.stdin.close)
        yield 'TUN devices'


def _unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f'unshare: {os.strerror(code)}')


def _device(address, peer):
    """Make a TUN device with these addresses, bring it up; return its descriptor."""
    descriptor = os.open('/dev/net/tun', os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(
            descriptor, _TUNSETIFF, struct.pack('16sH22x', DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFDSTADDR, peer)):
                packed = struct.pack(
                    '16sHH4s8x8x', DEVICE.encode(), socket.AF_INET, 0, socket.inet_aton(value)
                )
                fcntl.ioctl(sock, request, packed)
            fcntl.ioctl(sock, _SIOCSIFTXQLEN, struct.pack('16si20x', DEVICE.encode(), _QUEUE))
        _bring_up(DEVICE)
        os.set_blocking(descriptor, False)
        return descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _bring_up(device):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack('16sH22x', device.encode(), _IFF_UP))
