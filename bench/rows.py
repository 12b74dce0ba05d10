"""What is measured, and what must be reached."""

import dataclasses


KIB, MIB = 1024, 1024 * 1024

SAFE = 'zeit.cds'
DIRECT = 'zeit.cds, temporary="no"'
#: Reads each file for its SHA-256, whatever its length: what that costs.
DIGEST = 'zeit.cds, with SHA-256'
OURS = (SAFE, DIRECT)
#: This package before it acknowledged replies at once.
BEFORE = 'zeit.cds as of 38dcf7a'
WOKEN = ('zeit.cds, thread', 'zeit.cds, watch', 'zeit.cds, celery')
PEERS = ('lftp', 'lftp, temporary files', 'rclone', 'ncftpput', 'curl', 'ftplib')
SERVERS = ('vsftpd', 'Pure-FTPd')
#: Without TCP_NODELAY, so that a reply waits for the acknowledgement of the one before (.ci/world).
WAITING = ('inetutils-13', 'twoftpd', 'ftp-srv')
MEMORY = ('memory',)

#: Who has no command of its own to send files with, and what is looked at.
ALONE = 'zeit.cds, in one process'
EARLIER = 'zeit.cds 38dcf7a'
SEARCHES = ('receipt', 'receipt --id')
LOOKS = ('receipt --since 7d', 'status', 'status --prometheus')

_PAST = {
    'fsyncs': 'fsyncs per file of a run of {:,}',
    'runs': 'a run of one article after {:,} of them, beside one after a tenth of these',
    'looks': 'a look at {:,} receipts, and a hundredth of open uploads',
}

#: Round trip time of the rows with a delay, in seconds.
RTT = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """`peer` must need at least `ratio` times as long as `ours`; '' is the fastest of them."""

    ours: str
    peer: str
    ratio: float
    servers: tuple = SERVERS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limit:
    """`clients` must not go beyond `most` in any round; `field` is one of a `Result`.

    `unit` says what the value is, `factor` turns that of the result into it.
    """

    field: str
    most: float
    unit: str
    factor: float = 1
    clients: tuple = OURS
    servers: tuple = SERVERS


def _peak(most):
    # In MB, as the sizes of programs are told.
    return Limit(field='peak', most=most, unit='MB', factor=1e-6)


def _past(field, most, unit, *, factor=1, clients=(ALONE,)):
    return Limit(
        field=field, most=most, unit=unit, factor=factor, clients=clients, servers=MEMORY
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement on each of `servers`: `rounds` times all `clients` in turn.

    `group` are rows that belong together, in a table or a curve; `x` is a point on the curve.
    `rtt` in seconds, `size` in bytes; `disk`: spool and journal are on a disk, not in memory, and
    the fsyncs are counted; `traced`: round trips are counted as well; `max_files`: only so many are
    sent; `fetch`: the other direction; `wake`: not a run, but from publishing to delivered, file by
    file; `past`: not clients and servers, but this of `bench.past`.  A client that has not ended
    after `longest` seconds is given up.
    """

    name: str
    group: str
    files: int
    size: int = 4 * KIB
    connections: int = 1
    rtt: float = 0
    tls: bool = False
    disk: bool = False
    traced: bool = False
    rounds: int = 3
    max_files: int | None = None
    fetch: bool = False
    wake: bool = False
    past: str = ''
    longest: float = 1800
    clients: tuple = OURS + PEERS
    servers: tuple = SERVERS
    goals: tuple = ()
    limits: tuple = ()
    x: float = 0

    @property
    def title(self):
        """Say in words what is measured."""
        unit = (
            f'{self.size // MIB} MiB' if self.size >= MIB
            else f'{self.size // KIB} KiB' if self.size >= KIB
            else f'{self.size} bytes'
        )  # fmt: skip
        if self.past:
            return _PAST[self.past].format(self.files)
        if self.wake:
            return f'{self.files} publications of {unit}, one after the other, no delay'
        parts = [
            f'{self.files:,} file{"s" * (self.files > 1)} of {unit}',
            f'{self.connections} connection{"s" * (self.connections > 1)}',
            f'{self.rtt * 1000:g} ms' if self.rtt else 'no delay',
        ]
        if self.max_files:
            parts.insert(1, f'{self.max_files} of them sent')
        parts += ['TLS'] * self.tls + ['spool on a disk'] * self.disk
        return ', '.join(parts)


def _delay(connections, *, rounds):
    return Row(
        name=f'delay-{connections}',
        group='delay',
        files=500,
        connections=connections,
        rtt=RTT,
        rounds=rounds,
        goals=(
            Goal(ours=SAFE, peer='lftp', ratio=1.25),
            Goal(ours=SAFE, peer='rclone', ratio=2),
            Goal(ours=DIRECT, peer='lftp', ratio=1.5, servers=('vsftpd',)),
            Goal(ours=DIRECT, peer='lftp', ratio=2, servers=('Pure-FTPd',)),
        ),
    )


def _large(connections):
    return Row(
        name=f'large-{connections}',
        group='large',
        files=4,
        size=512 * MIB,
        connections=connections,
        rounds=10,
        clients=(*OURS, DIGEST, *PEERS),
        goals=(Goal(ours=SAFE, peer='', ratio=0.95),),
    )


ROWS = (
    Row(
        name='trips', group='trips', files=60, rtt=RTT, traced=True, rounds=1,
        clients=OURS + PEERS,
        limits=(
            Limit(field='round_trips', most=5, unit='round trips', clients=(SAFE,)),
            Limit(
                field='round_trips', most=4, unit='round trips', clients=(DIRECT,),
                servers=('vsftpd',),
            ),
            Limit(
                field='round_trips', most=3, unit='round trips', clients=(DIRECT,),
                servers=('Pure-FTPd',),
            ),
        ),
    ),
    _delay(1, rounds=1),
    _delay(4, rounds=3),
    _delay(8, rounds=3),
    Row(
        name='small-4', group='small', files=5000, connections=4, rounds=10,
        clients=(*OURS, 'lftp', 'lftp, temporary files'),
        goals=(
            Goal(ours=DIRECT, peer='lftp', ratio=1),
            Goal(ours=SAFE, peer='lftp, temporary files', ratio=1),
        ),
        limits=(_peak(40),),
    ),
    Row(
        name='small-1', group='small', files=5000, rounds=10, clients=(*OURS, 'ftplib'),
        goals=(
            Goal(ours=DIRECT, peer='ftplib', ratio=1.4, servers=('Pure-FTPd',)),
            Goal(ours=DIRECT, peer='ftplib', ratio=0.95, servers=('vsftpd',)),
        ),
    ),
    _large(1),
    _large(4),
    Row(name='disk', group='disk', files=500, connections=4, rounds=3, disk=True, clients=OURS),
    Row(
        name='tls-trips', group='tls', files=60, rtt=RTT, tls=True, traced=True, rounds=1,
        clients=(*OURS, 'lftp'),
    ),
    Row(
        name='tls-8', group='tls', files=500, connections=8, rtt=RTT, tls=True, rounds=3,
        clients=(*OURS, 'lftp'), goals=(Goal(ours=SAFE, peer='lftp', ratio=1.2),),
    ),
    Row(
        name='import-4', group='import', files=500, connections=4, rtt=RTT, fetch=True,
        clients=('zeit.cds import', 'lftp mirror'),
        goals=(Goal(ours='zeit.cds import', peer='lftp mirror', ratio=1),),
    ),
    Row(
        name='replies', group='replies', files=100, rounds=10, clients=(SAFE, BEFORE),
        servers=(*WAITING, *SERVERS),
        goals=(
            Goal(ours=SAFE, peer=BEFORE, ratio=8, servers=WAITING[:2]),
            Goal(ours=SAFE, peer=BEFORE, ratio=3, servers=WAITING[2:]),
            Goal(ours=SAFE, peer=BEFORE, ratio=1),
        ),
    ),
    Row(
        name='wake', group='wake', files=50, wake=True, clients=WOKEN,
        limits=(Limit(field='seconds', most=1, unit='s', clients=WOKEN),),
        servers=('vsftpd',),
    ),
    *(
        Row(
            name=f'fsyncs-{number}', group='past', past='fsyncs', files=number, rounds=1,
            clients=(ALONE, EARLIER), servers=MEMORY,
            limits=(_past('fsyncs', most, 'fsyncs per file'),),
        )
        for number, most in ((1, 11), (100, 2.3), (500, 2.2))
    ),
    Row(
        name='runs', group='past', past='runs', files=20_000, rounds=1, clients=(ALONE,),
        servers=MEMORY,
        limits=(
            _past('times', 1.15, 'times the CPU'),
            _past('growth', 1, 'MB more memory', factor=1e-6),
        ),
    ),
    Row(
        name='looks', group='past', past='looks', files=1_000_000, rounds=1,
        clients=(*SEARCHES, *LOOKS), servers=MEMORY,
        limits=(
            _past('seconds', 500, 'ms above its start', factor=1000, clients=SEARCHES),
            _past('seconds', 50, 'ms above its start', factor=1000, clients=LOOKS),
            _past('peak', 42, 'MB', factor=1e-6, clients=(*SEARCHES, *LOOKS)),
        ),
    ),
    Row(
        name='1GiB', group='memory', files=1, size=1024 * MIB, rounds=1, clients=(SAFE, 'lftp'),
        limits=(_peak(40),),
    ),
    Row(
        name='waiting', group='memory', files=100_000, size=100, max_files=1, traced=True, rounds=1,
        clients=(SAFE,), limits=(_peak(100), Limit(field='until_first', most=2, unit='s')),
    ),
    *(
        Row(
            name=f'count-{number}', group='count', files=number, size=100, connections=4,
            rounds=1, clients=OURS, servers=('Pure-FTPd',), x=number,
            limits=(_peak(100),) if number == 100_000 else (),
        )
        for number in (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    ),
    *(
        Row(
            name=f'latency-{ms}', group='latency', files=100, connections=4, rtt=ms / 1000,
            rounds=1, clients=(*OURS, 'lftp', 'rclone', 'curl'), servers=('Pure-FTPd',), x=ms,
        )
        for ms in (1, 5, 10, 20, 50, 100)
    ),
)  # fmt: skip

#: The same in little: whether all of it works, not how fast anything is.
QUICK = tuple(
    dataclasses.replace(row, rounds=1, goals=(), limits=(), longest=30, **changes)
    for row in ROWS
    for changes in [
        {
            'trips': {'files': 24, 'clients': (*OURS, 'lftp'), 'servers': ('vsftpd',)},
            'delay-4': {'files': 20},
            'import-4': {'files': 20, 'connections': 1},
            'tls-8': {'files': 20},
            'small-4': {'files': 200},
            'large-4': {'size': 16 * MIB},
            'disk': {'files': 50, 'servers': ('vsftpd',)},
            'wake': {'files': 3},
            'replies': {'files': 10, 'servers': WAITING},
            'waiting': {'files': 2000, 'servers': ('vsftpd',)},
            'fsyncs-1': {},
            'fsyncs-100': {},
            'runs': {'files': 200},
            'looks': {'files': 20_000},
            'count-100': {},
            'count-300': {},
            'latency-5': {'files': 20},
            'latency-10': {'files': 20},
        }.get(row.name)
    ]
    if changes is not None
)
