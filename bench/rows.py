"""What is measured, and what must be reached."""

import dataclasses


KIB, MIB = 1024, 1024 * 1024

#: The build that later ones are compared with, and what it is called where it takes part.
COMMIT = BEFORE = '38dcf7a'

SAFE = 'zeit.cds'
DIRECT = 'zeit.cds, temporary="no"'
IMPORT = 'zeit.cds import'
LOOKED_AT = 'zeit.cds, 50 browsers'
OURS = (SAFE, DIRECT)
#: Drivers that are woken by each publication: what they are called, today and in that build.
DRIVERS = {
    driver: (f'zeit.cds, {driver}', f'{BEFORE}, {driver}')
    for driver in ('thread', 'watch', 'celery')
}
WOKEN = tuple(now for now, _ in DRIVERS.values())
TEMPORARY, LOCK = 'lftp, temporary files', 'lftp, with the lock'
NEWEST = ('lftp, newest', 'rclone, newest')
PEERS = ('lftp', TEMPORARY, 'rclone', 'ncftpput', 'curl', 'ftplib')
SERVERS = ('vsftpd', 'Pure-FTPd')
SFTP, SFTP_LOCK = 'zeit.cds, SFTP', 'sftp -b, with the lock'
SFTP_LFTP, SFTP_RCLONE = 'lftp, SFTP', 'rclone, SFTP'
OPENSSH = ('OpenSSH',)
#: Without TCP_NODELAY, so that a reply waits for the acknowledgement of the one before (.ci/world).
WAITING = ('inetutils-13', 'twoftpd', 'ftp-srv')
MEMORY = ('memory',)

#: Who has no command of its own to send files with, and what is looked at.
ALONE = 'zeit.cds, in one process'
SEARCHES = ('receipt', 'receipt --id')
LOOKS = ('receipt --since 7d', 'status', 'status --prometheus')

#: Who gets the files of one spool.
#: Who sends the first of many files.
ONE_PUT, THREE_PARTNERS = WAIT = 'one, put by an application', 'three partners in one process'
TWO_PARTNERS, ONE_HANGS = 'two partners', 'three, one of them hangs'

#: What is started, to find nothing to do.
VERSION, EMPTY, ZCML = STARTS = ('--version', 'export', 'export with --zcml')

_PAST = {
    'runs': 'a run of one article after {:,} of them, beside one after a tenth of these',
    'starts': 'a command that finds nothing to do',
    'looks': 'a look at {:,} receipts, and a hundredth of open uploads',
    'waiting': '{:,} files wait, 1 of them is sent to a directory in memory',
    'partners': '{:,} files for each partner of one spool, by one command',
}

#: Round trip time of the rows that are about a partner far away, in seconds.
RTT = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """`peer` must need at least `ratio` times as long as `ours`; '' is the fastest of them.

    With `more`, `ours` may need so many seconds more in place of that.
    """

    ours: str = SAFE
    peer: str
    ratio: float = 0
    more: float = 0
    servers: tuple = SERVERS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limit:
    """`clients` must not go beyond `most`; `field` is one of a `Result`.

    No round may, but where `typical` asks for the median only.  `unit` says what the value is,
    `factor` turns that of the result into it.
    """

    field: str
    most: float
    unit: str
    factor: float = 1
    typical: bool = False
    clients: tuple = (SAFE,)
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

    `group` are rows that belong together, `x` is a point on their curve.  `rtt` in seconds, `size`
    in bytes; `first`: it is the first run on its server; `put`: an application has put the files,
    which otherwise come into the spool from outside; `disk`: spool and journal are on a disk, not
    in memory; `fsync`: the fsyncs are counted, and each takes so many seconds longer; `traced`:
    round trips are counted; `max_files`: only so many are sent; `fetch`: the other direction;
    `wake`: not a run, but from publishing to delivered, file by file; `past`: not clients and
    servers, but this of `bench.past`, or `bench.partners`.  A client that has not ended after
    `longest` seconds is given up.
    """

    name: str
    group: str
    files: int
    size: int = 4 * KIB
    connections: int = 1
    rtt: float = 0
    tls: bool = False
    first: bool = False
    put: bool = False
    disk: bool = False
    fsync: float | None = None
    traced: bool = False
    rounds: int = 3
    max_files: int | None = None
    fetch: bool = False
    wake: bool = False
    past: str = ''
    longest: float = 600
    clients: tuple = OURS + PEERS
    servers: tuple = SERVERS
    goals: tuple = ()
    limits: tuple = ()
    x: float = 0

    @property
    def title(self):
        """Say in words what is measured."""
        if self.past:
            return _PAST[self.past].format(self.files)
        unit = (
            f'{self.size // MIB} MiB' if self.size >= MIB
            else f'{self.size // KIB} KiB' if self.size >= KIB
            else f'{self.size} bytes'
        )  # fmt: skip
        delay = f'{self.rtt * 1000:g} ms' if self.rtt else 'no delay'
        if self.wake:
            parts = [f'publications of {unit}, one after the other', delay]
        else:
            parts = [
                f'{self.files:,} file{"s" * (self.files > 1)} of {unit}',
                f'{self.connections} connection{"s" * (self.connections > 1)}',
                delay,
            ]
        if self.max_files:
            parts.insert(1, f'{self.max_files} of them sent')
        parts += ['TLS'] * self.tls + ['the first run'] * self.first
        parts += ['put by an application'] * self.put
        parts += ['spool on a disk'] * self.disk
        if self.fsync:
            parts.append(f'fsyncs take {self.fsync * 1000:g} ms more')
        return ', '.join(parts)


def _few(name, files, *, goals):
    return Row(
        name=name, group='few', files=files, rtt=RTT, rounds=7, goals=goals,
        clients=(SAFE, BEFORE, 'lftp', LOCK, *NEWEST, 'curl'),
    )  # fmt: skip


def _far(ms, *, goals, files=500, servers=SERVERS):
    return Row(
        name=f'far-{ms}', group='far', files=files, connections=8, rtt=ms / 1000, goals=goals,
        clients=(SAFE, BEFORE, 'lftp', 'rclone, newest'), servers=servers,
    )  # fmt: skip


def _large(name, connections, *, tls=False):
    return Row(
        name=name, group='large', files=4, size=512 * MIB, connections=connections, tls=tls,
        rounds=3 if tls else 5, servers=('vsftpd',), goals=(Goal(peer='', ratio=0.95),),
        clients=(SAFE, BEFORE, *NEWEST, 'ncftpput', 'curl'),
    )  # fmt: skip


def _sftp(name, files, *, size=4 * KIB, rtt=RTT, connections=1, rounds=5, goals, limits=()):
    return Row(
        name=f'sftp-{name}', group='sftp', files=files, size=size, rtt=rtt, connections=connections,
        rounds=rounds, servers=OPENSSH, limits=limits,
        clients=(SFTP, SFTP_LOCK, SFTP_LFTP, SFTP_RCLONE),
        goals=tuple(dataclasses.replace(goal, ours=SFTP, servers=OPENSSH) for goal in goals),
    )  # fmt: skip


def _fsyncs(files, most):
    return Row(
        name=f'fsyncs-{files}', group='fsyncs', files=files, put=True, fsync=0, rounds=1,
        clients=(SAFE,), servers=('vsftpd',),
        limits=(Limit(field='fsyncs', most=most, unit='fsyncs per file'),),
    )  # fmt: skip


def _run_trips(name, *, vsftpd, pureftpd, first=False):
    return Row(
        name=name, group='trips', files=1, rtt=RTT, traced=True, rounds=1, first=first,
        clients=(SAFE, BEFORE) if first else (SAFE, BEFORE, 'lftp', LOCK, 'rclone, newest', 'curl'),
        limits=tuple(
            # Three of them are those of the file.
            Limit(field='round_trips', most=3 + most, unit='round trips', servers=(server,))
            for server, most in zip(SERVERS, (vsftpd, pureftpd), strict=True)
        ),
    )  # fmt: skip


ROWS = (
    _few(
        'one', 1,
        goals=(
            Goal(peer='lftp', ratio=0.75, servers=('vsftpd',)),
            Goal(peer='lftp', ratio=0.9, servers=('Pure-FTPd',)),
            Goal(peer=LOCK, ratio=0.75),
            Goal(peer=BEFORE, ratio=1 / 0.62),
        ),
    ),
    _few(
        'five', 5,
        goals=(Goal(peer='lftp', ratio=0.85), Goal(peer=LOCK, ratio=1.15)),
    ),
    Row(
        name='partner', group='wake', files=10, wake=True, rtt=RTT, tls=True, servers=('vsftpd',),
        clients=tuple(name for both in DRIVERS.values() for name in both),
        goals=tuple(
            Goal(ours=now, peer=before, ratio=1 / (0.6 if driver == 'celery' else 0.4))
            for driver, (now, before) in DRIVERS.items()
        ),
    ),
    Row(
        name='wake', group='wake', files=30, wake=True, clients=WOKEN, servers=('vsftpd',),
        limits=(Limit(field='seconds', most=1, unit='s', clients=WOKEN),),
    ),
    _far(1, files=1500, servers=('vsftpd',), goals=(Goal(peer='lftp', ratio=1.4),)),
    _far(2, files=1500, servers=('vsftpd',), goals=(Goal(peer='lftp', ratio=1.6),)),
    _far(
        20,
        goals=(
            Goal(peer='lftp', ratio=1.8, servers=('vsftpd',)),
            Goal(peer='lftp', ratio=2.1, servers=('Pure-FTPd',)),
            Goal(peer='rclone, newest', ratio=2),
        ),
    ),
    Row(
        name='tls', group='far', files=500, connections=8, rtt=RTT, tls=True,
        clients=(SAFE, 'lftp'), goals=(Goal(peer='lftp', ratio=1.2),), servers=('vsftpd',),
    ),
    Row(
        name='import', group='far', files=200, connections=4, rtt=RTT, fetch=True,
        clients=(IMPORT, 'lftp mirror'), servers=('vsftpd',),
        goals=(Goal(ours=IMPORT, peer='lftp mirror', ratio=1),),
    ),
    Row(
        name='trips', group='trips', files=40, rtt=RTT, traced=True, rounds=1,
        clients=(*OURS, *PEERS, *NEWEST),
        limits=(Limit(field='round_trips', most=3.1, unit='round trips', clients=OURS),),
    ),
    _run_trips('run-trips', vsftpd=22, pureftpd=18),
    _run_trips('first-trips', vsftpd=32, pureftpd=28, first=True),
    Row(
        name='tls-trips', group='trips', files=40, rtt=RTT, tls=True, traced=True, rounds=1,
        clients=(*OURS, 'lftp'), servers=('vsftpd',),
    ),
    Row(
        name='small-4', group='small', files=5000, connections=4,
        clients=(*OURS, BEFORE, 'lftp', TEMPORARY),
        goals=(Goal(peer=TEMPORARY, ratio=0.8),), limits=(_peak(40),),
    ),
    Row(
        name='small-1', group='small', files=5000, clients=(*OURS, BEFORE, 'ftplib'),
        servers=('vsftpd',),
        limits=(
            Limit(field='cpu', most=0.3, unit='ms of CPU per file', factor=1 / 5, typical=True),
        ),
    ),
    Row(
        name='browsers', group='small', files=5000, rounds=7, clients=(SAFE, LOOKED_AT),
        servers=('vsftpd',), goals=(Goal(ours=LOOKED_AT, peer=SAFE, ratio=0.95),),
        limits=(
            Limit(
                field='served', most=5, unit='% of a core to serve', factor=100, typical=True,
                clients=(LOOKED_AT,),
            ),
        ),
    ),
    Row(
        name='replies', group='small', files=100, clients=(SAFE, BEFORE),
        servers=WAITING + SERVERS,
        goals=(
            Goal(peer=BEFORE, ratio=8, servers=WAITING[:2]),
            Goal(peer=BEFORE, ratio=3, servers=WAITING[2:]),
            Goal(peer=BEFORE, ratio=1),
        ),
    ),
    _large('large-1', 1),
    _large('large-4', 4),
    _large('large-tls', 1, tls=True),
    Row(
        name='fsyncs-slow', group='fsyncs', files=500, connections=8, rtt=0.001, fsync=0.005,
        clients=(SAFE, BEFORE), servers=('vsftpd',), goals=(Goal(peer=BEFORE, ratio=3),),
        limits=(Limit(field='fsyncs', most=1.7, unit='fsyncs per file'),),
    ),
    Row(
        name='fsyncs-disk', group='fsyncs', files=500, connections=8, rtt=0.001, fsync=0, disk=True,
        clients=(SAFE, BEFORE), servers=('vsftpd',),
        limits=(Limit(field='fsyncs', most=3, unit='fsyncs per file'),),
    ),
    _fsyncs(1, 9),
    _fsyncs(100, 1.3),
    Row(
        name='starts', group='starts', past='starts', files=0, rounds=1, clients=STARTS,
        servers=MEMORY,
        limits=tuple(
            _past('cpu', most, 'ms above a bare Python', factor=1000, clients=(client,))
            for client, most in ((VERSION, 30), (EMPTY, 70), (ZCML, 110))
        ),
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
        name='partners', group='partners', past='partners', files=1000, rounds=7,
        clients=(TWO_PARTNERS, ONE_HANGS), servers=('vsftpd',), longest=200,
        goals=(
            Goal(ours=ONE_HANGS, peer=TWO_PARTNERS, ratio=1 / 1.1, servers=('vsftpd',)),
        ),
    ),
    Row(
        name='1GiB', group='memory', files=1, size=1024 * MIB, rounds=1, clients=(SAFE, 'lftp'),
        servers=('vsftpd',), limits=(_peak(40),),
    ),
    Row(
        name='waiting', group='memory', files=100_000, size=100, max_files=1, traced=True, rounds=1,
        clients=(SAFE,), servers=('vsftpd',),
        limits=(_peak(80), Limit(field='until_first', most=2, unit='s')),
    ),
    Row(
        name='waiting-here', group='memory', past='waiting', files=100_000, rounds=1, clients=WAIT,
        servers=MEMORY,
        limits=(
            _past('peak', 80, 'MB', factor=1e-6, clients=(ONE_PUT,)),
            _past('peak', 100 * 1.048576, 'MB', factor=1e-6, clients=(THREE_PARTNERS,)),
            _past('until_first', 2, 's', clients=WAIT),
        ),
    ),
    _sftp('one', 1, goals=(Goal(peer=SFTP_LOCK, ratio=0.9),)),
    _sftp('one-near', 1, rtt=0, goals=(Goal(peer=SFTP_LOCK, more=0.35),)),
    *(
        _sftp(
            name, 500, rtt=rtt, connections=8, rounds=3,
            goals=(Goal(peer=SFTP_RCLONE, ratio=2), Goal(peer=SFTP_LFTP, ratio=1.5)),
        )
        for name, rtt in (('500', RTT), ('500-near', 0))
    ),
    _sftp(
        '1GiB', 1, size=1024 * MIB, rtt=0, rounds=3, goals=(Goal(peer='', ratio=0.9),),
        limits=(dataclasses.replace(_peak(60 * 1.048576), clients=(SFTP,), servers=OPENSSH),),
    ),
    *(
        Row(
            name=f'count-{number}', group='count', files=number, size=100, connections=4,
            rounds=1, clients=(SAFE,), servers=('Pure-FTPd',), x=number,
        )
        for number in (100, 1000, 10_000, 30_000)
    ),
    *(
        Row(
            name=f'latency-{ms}', group='latency', files=100, connections=4, rtt=ms / 1000,
            rounds=1, clients=(*OURS, 'lftp', 'rclone, newest', 'curl'), servers=('Pure-FTPd',),
            x=ms,
        )
        for ms in (1, 5, 20, 50)
    ),
)  # fmt: skip

#: The same in little: whether all of it works, not how fast anything is.
_LITTLE = {
    'one': {'servers': ('vsftpd',)},
    'partner': {'files': 2, 'clients': DRIVERS['thread']},
    'wake': {'files': 2},
    'far-20': {'files': 20, 'servers': ('vsftpd',), 'clients': (SAFE, *NEWEST)},
    'tls': {'files': 20},
    'import': {'files': 20, 'connections': 1},
    'trips': {'files': 24, 'clients': (SAFE, 'lftp'), 'servers': ('vsftpd',)},
    'small-4': {'files': 200, 'servers': ('vsftpd',)},
    'browsers': {'files': 200},
    'run-trips': {'servers': ('vsftpd',)},
    'replies': {'files': 10},
    'large-4': {'size': 16 * MIB},
    'large-tls': {'size': 16 * MIB},
    'fsyncs-slow': {'files': 50},
    'fsyncs-disk': {'files': 50},
    'starts': {},
    'runs': {'files': 200},
    'looks': {'files': 20_000},
    'partners': {'files': 20},
    'waiting': {'files': 2000},
    'waiting-here': {'files': 2000},
    'count-100': {},
    'count-1000': {},
    'latency-1': {'files': 20},
    'latency-5': {'files': 20},
    'sftp-one': {},
    'sftp-500': {'files': 20},
}
QUICK = tuple(
    dataclasses.replace(row, rounds=1, goals=(), limits=(), longest=30, **_LITTLE[row.name])
    for row in ROWS
    if row.name in _LITTLE
)
