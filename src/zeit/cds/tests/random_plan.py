"""Random scenarios as values: what is put, what goes wrong, when; all of it out of one seed.

A `Plan` says what a scenario does.  `zeit.cds.tests.random_world` carries it out; a plan from which
faults are removed is a plan as well, so a failure can be shrunk.
"""

import dataclasses
import random
from typing import NamedTuple


#: Odd, and legal.
NAMES = (
    'a.xml',
    'A.XML',
    'b.xml',
    '{urn:uuid:347b85e0-1f0c-4d3e-9e3c-5f1d0f2f7a10}.xml',
    ' leading and trailing ',
    '-rf',
    '*?[a-z].xml',
    'quo"te\'s.xml',
    'back\\slash',
    '%41.xml',
    'gr\xfc\xdfe.xml',
    'gru\u0308\xdfe.xml',
    '\U0001f4f0.xml',
    'write.xml',
    'read.me',
    'a.xml.part.xml',
    'tilde~x',
    'x' * 140 + '.xml',
    'y' * 250,
)

#: Of the fault server, what a run asks it for.
VERBS = {
    'export': (
        'GREETING USER PASS TYPE CWD EPSV STOR SIZE RNFR RNTO DELE MLSD RETR MKD RMD MDTM QUIT *'
    ).split(),
    'import': (
        'GREETING USER PASS TYPE CWD EPSV RETR SIZE RNFR RNTO DELE MLSD MDTM MKD RMD STOR QUIT *'
    ).split(),
}
TRANSFERS = ('STOR', 'RETR', 'MLSD')

#: Codes that are no success of the command that they answer: refusals, and what answers others.
REFUSALS = (
    '421 Going down.', '425 No data connection.', '426 Aborted.', '450 Busy.', '451 Local error.',
    '452 No space.', '500 What?', '501 Syntax.', '502 Not implemented.', '503 Bad sequence.',
    '530 Not logged in.', '550 No.', '550 Disk quota exceeded.', '552 Full.', '553 Name refused.',
)  # fmt: skip
#: By the first verb that has them as its own.
FOREIGN = {
    '202 Superfluous.': (),
    '211 Status.': ('FEAT',),
    '213 17': ('SIZE', 'MDTM'),
    '221 Goodbye.': ('QUIT',),
    '225 Open.': ('ABOR', 'STOR', 'RETR', 'MLSD', 'NLST'),
    '226 Done.': ('ABOR', 'STOR', 'RETR', 'MLSD', 'NLST'),
    '227 Entering Passive Mode (127,0,0,1,4,1)': ('PASV', 'EPSV'),
    '229 Entering (|||1025|)': ('EPSV', 'PASV'),
    '331 Password?': ('USER',),
    '350 Go on.': ('RNFR', 'REST'),
    'hello': (),
    '': (),
}


class Fault(NamedTuple):
    """From the `nth` (from 0) command `verb` on, `times` times: do `kind`, with `value`."""

    verb: str
    nth: int
    times: int
    kind: str
    value: object = None


class Put(NamedTuple):
    """A new version comes: `how` is 'put', 'rename' (bare), 'batch', 'partner', 'take', ...

    `at`: 0 before the run, else when its command of that number comes.
    """

    how: str
    name: str
    at: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run, what happens before and during it, and what goes wrong.

    `kill`: None or (what, nth): the process is killed at its nth 'local' or 'wire' step, or when
    the server gets its nth 'command'; 'signal' is one that is handled, 'disk' a full one.
    """

    puts: tuple = ()
    faults: tuple = ()
    kill: tuple | None = None
    options: tuple = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One scenario; `server` are names of what the server is like."""

    seed: int
    direction: str
    target: tuple = ()
    server: tuple = ()
    runs: tuple = ()

    def __str__(self):
        lines = [f'seed {self.seed}: {self.direction}, {dict(self.target)}, {self.server}']
        for number, run in enumerate(self.runs):
            lines.append(f'  run {number}: {dict(run.options)}, killed: {run.kill}')
            lines += [f'    {each}' for each in (*run.puts, *run.faults)]
        return '\n'.join(lines)

    def smaller(self):
        """Yield plans with less in them, the largest steps first."""
        for number in range(len(self.runs)):
            yield self._with(number)
        for number, run in enumerate(self.runs):
            if run.kill is not None:
                yield self._with(number, dataclasses.replace(run, kill=None))
            for field in ('faults', 'puts'):
                for index in range(len(getattr(run, field))):
                    rest = getattr(run, field)
                    rest = rest[:index] + rest[index + 1 :]
                    yield self._with(number, dataclasses.replace(run, **{field: rest}))
            if run.options:
                yield self._with(number, dataclasses.replace(run, options=()))
        for field in ('server', 'target'):
            values = getattr(self, field)
            for index in range(len(values)):
                yield dataclasses.replace(self, **{field: values[:index] + values[index + 1 :]})

    def _with(self, number, *instead):
        runs = (*self.runs[:number], *instead, *self.runs[number + 1 :])
        return dataclasses.replace(self, runs=runs)


def plan(seed):
    """Return the `Plan` of a seed."""
    return _Maker(seed).plan()


class _Maker:
    def __init__(self, seed):
        self.seed = seed
        self.random = random.Random(seed)
        self.chance = lambda share: self.random.random() < share

    def plan(self):
        self.direction = self.random.choice(('export', 'export', 'import'))
        self.server = tuple(
            name
            for name, share in (
                ('keeps what exists', 0.15),
                ('no MLSD', 0.1),
                ('no EPSV', 0.1),
                ('no MDTM', 0.05),
                ('few connections', 0.1),
                ('no guard', 0.1),
            )
            if self.chance(share)
        )
        target = {'connections': self.random.choice((1, 1, 1, 4))}
        if self.chance(0.1):
            target['size_check'] = False
        if self.direction == 'export':
            if self.chance(0.3):
                target['temporary'] = False
            if self.chance(0.3):
                target['exists'] = 'park'
            if self.chance(0.2):
                target['digest_limit'] = 0
        self.target = target
        self.names = self.random.sample(NAMES, self.random.randint(1, 5))
        return Plan(
            seed=self.seed,
            direction=self.direction,
            target=tuple(target.items()),
            server=self.server,
            runs=tuple(self._run() for _ in range(self.random.randint(1, 4))),
        )

    def _run(self):
        options = {}
        if self.chance(0.15):
            options['max_files'] = self.random.randint(1, 3)
        if self.chance(0.1):
            options['max_bytes'] = self.random.choice((1, 2000, 70000))
        if self.chance(0.15):
            options['deadline'] = self.random.choice((0.05, 0.5, 5.0))
        if self.direction == 'export':
            if self.chance(0.15):
                options['strict'] = True
            if self.chance(0.2):
                options['park_after'] = self.random.choice((0, 1, 2))
            if self.chance(0.3):
                options['order'] = 'name'
        elif self.chance(0.2):
            options['occupied'] = 'unique'
        return Run(
            puts=tuple(self._puts()),
            faults=tuple(self._fault() for _ in range(self.random.choice((0, 1, 1, 2, 2, 3, 6)))),
            kill=self._kill(),
            options=tuple(options.items()),
        )

    def _puts(self):
        if self.direction == 'export':
            hows = ('put', 'put', 'put', 'rename', 'rename', 'batch', 'withdraw', 'their lock')
            hows += ('retry',)
        else:
            hows = ('partner', 'partner', 'partner', 'partner', 'take', 'their lock')
        for _ in range(self.random.choice((0, 1, 2, 3, 5))):
            at = 0 if self.chance(0.7) else self.random.randint(1, 60)
            how = self.random.choice(hows)
            yield Put(how, self.random.choice(self.names), 0 if how == 'retry' else at)

    def _kill(self):
        if not self.chance(0.4):
            return None
        what = self.random.choice(('local', 'wire', 'command', 'signal', 'signal at send', 'disk'))
        return what, self.random.randint(1, 60)

    def _fault(self):
        verb = self.random.choice(VERBS[self.direction])
        nth = self.random.choice((0, 0, 0, 1, 1, 2, 3, self.random.randint(0, 30)))
        times = self.random.choice((1, 1, 1, 2, 5, 1000))
        kinds = ['refuse', 'refuse', 'foreign', 'lie', 'cut', 'cut', 'late', 'twice', 'extra']
        kinds += ['silence', 'delay', 'chop', 'linefeed']
        if verb in TRANSFERS:
            kinds += ['cut data', 'cut data', 'stall', 'no mark', 'early', 'late reply']
            if self.target.get('size_check', True) and verb != 'MLSD':
                kinds += ['alter']
        if verb == 'EPSV':
            kinds += ['port', 'port']
        kind = self.random.choice(kinds)
        if kind in ('silence', 'delay', 'stall', 'port', 'late reply'):
            times = min(times, 2)  # each of them takes a time-out
        return Fault(verb, nth, times, kind, self._value(kind, verb))

    def _value(self, kind, verb):
        choice = self.random.choice
        if kind in ('refuse', 'lie'):
            return choice(REFUSALS)
        if kind in ('foreign', 'extra', 'lie'):
            texts = [text for text, verbs in FOREIGN.items() if verb not in verbs]
            return choice(texts if kind == 'foreign' else [*filter(None, texts)])
        if kind == 'cut':
            return choice(('before', 'executed', 'replied')), choice((False, True))
        if kind == 'late':
            return self.random.randint(1, 25), choice((False, True))
        if kind == 'silence':
            return choice(('before', 'executed'))
        if kind == 'delay':
            return choice((0.01, 0.05, 0.4)), choice(('before', 'executed'))
        if kind in ('cut data', 'stall', 'alter'):
            size = choice((0, 1, 100, 1000, 70000))
            return size, choice((False, True)), choice((False, True))
        if kind == 'early':
            return choice(('226 Done.', '426 No.', '451 Disk.', '552 Full.'))
        if kind == 'port':
            return choice(('refused', 'silent', 'black hole'))
        return None
