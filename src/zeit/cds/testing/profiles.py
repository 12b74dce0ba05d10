"""Real servers, as far as their answers differ, for the fault server: `docs/servers.txt`, mirrored.

A profile is data.  Whoever wants another one makes a `Profile`; its name means nothing.
"""

import collections.abc
import dataclasses

from zeit.cds.testing.faults import FaultServer
from zeit.cds.testing.ftpanswers import ORDINARY, Answers


@dataclasses.dataclass(frozen=True)
class Profile:
    """A name, the `Answers`, and further switches of the `FaultServer`, by name."""

    name: str
    answers: Answers = ORDINARY
    switches: collections.abc.Mapping = dataclasses.field(default_factory=dict)

    def __str__(self):
        return self.name

    @property
    def merges(self):
        """Whether a directory can be renamed onto one that is not empty."""
        return self.switches.get('merges', False)

    def keeps(self, name):
        """Return whether a name stays as it is, and can be renamed and deleted."""
        whole = not self.answers.split or name.split() == [name]
        return whole and self.switches.get('stored_as', str)(name) == name

    @property
    def options(self):
        """The arguments of a `FaultServer` that behaves so, a dictionary."""
        return {'answers': self.answers, **self.switches}

    def server(self, **arguments):
        """Return a `FaultServer` that behaves so; `arguments` as for that."""
        return FaultServer(**self.options, **arguments)


def _without_blanks(name):
    return name.strip(' ') or name


def _without_trailing(name):
    return name.rstrip(' ') or name


def _underscore(name):
    """Return what Pure-FTPd makes of blanks at both ends."""
    inner = name.strip(' ')
    left = len(name) - len(name.lstrip(' '))
    right = len(name) - len(name.rstrip(' '))
    return '_' * left + inner + '_' * right if inner else name


def _ascii(name):
    """Return a name without leading blanks and bytes over 127."""
    return ''.join(each for each in name.lstrip(' ') if each.isascii())


def _again(name):
    """Return a name that is encoded once more."""
    return name.encode('utf-8', 'surrogateescape').decode('latin-1')


_OLD = 'MLSD MLST'

#: The profiles by name.
PROFILES = {
    profile.name: profile
    for profile in (
        Profile('vsftpd', Answers(unknown=_OLD, unknown_code=500)),
        Profile('proftpd', Answers(replaces=False)),
        Profile('ordinary'),
        Profile('proftpd-sid', Answers(existing=257)),
        Profile('pure-ftpd', Answers(full=451, reset=451), {'stored_as': _underscore}),
        Profile('pyftpdlib', Answers(reset=226)),
        Profile(
            'inetutils', Answers(unknown=_OLD, unknown_code=500, empty=550), {'prompt': False}
        ),
        Profile(
            'busybox',
            Answers(unknown=_OLD, unknown_code=500, absent={'RNFR': 350}, reset=451),
        ),
        Profile(
            'twoftpd',
            Answers(
                unknown=f'EPSV {_OLD}', absent={'RNFR': 450}, directory_size=4096, reset=451
            ),
            {'prompt': False},
        ),
        Profile(
            'globus',
            Answers(
                absent={'RETR': 500, 'RNFR': 500}, directory_size=4096, existing=553, full=451,
                reset=500,
            ),
            {'stored_as': _ascii},
        ),  # fmt: skip
        Profile(
            'twisted',
            Answers(
                unknown=_OLD, absent={'RNFR': 350}, directory_size=4096, bare=500, reset=226,
            ),
            {'holds': True, 'stored_as': _again},
        ),  # fmt: skip
        Profile(
            'aioftp',
            Answers(unknown='SIZE MDTM NLST', replaces=False, reset='closes', listed=200),
            {'stored_as': _without_trailing},
        ),
        Profile(
            'rclone',
            Answers(
                absent={'RETR': 551, 'SIZE': 450, 'MDTM': 450}, directory_size=0, existing=257,
                reset=450,
            ),
            {'merges': True},
        ),  # fmt: skip
        Profile(
            'ftp-srv',
            Answers(
                unknown=_OLD, absent={'RETR': 551}, empty_size='File status', directory_size=4096,
                existing=257, reset=550,
            ),
            {'prompt': False, 'stored_as': lambda name: name.replace('"', '')},
        ),  # fmt: skip
        Profile(
            'npm-ftpd',
            Answers(
                unknown=_OLD, absent={'RNFR': 350, 'SIZE': 450}, directory_size=4096,
                reset='silent',
            ),
            {'single': True, 'stored_as': _without_blanks},
        ),  # fmt: skip
        Profile(
            'zope.server',
            Answers(
                unknown=f'EPSV FEAT {_OLD}', unknown_code=500, size='{} Bytes', full=560, reset=226,
                sends_empty=False,
            ),
            {'stored_as': _without_trailing},
        ),  # fmt: skip
        Profile(
            'thinftp',
            Answers(
                unknown=f'EPSV MDTM {_OLD}', split='CWD DELE MKD RMD RNFR RNTO SIZE', size='{}.',
                reset='closes', full='closes',
            ),
            {'stored_as': _without_trailing},
        ),  # fmt: skip
        Profile(
            'anyevent-ftp',
            Answers(unknown=f'EPSV MDTM {_OLD}', unknown_code=500, replaces=False, reset=226),
            {'holds': True},
        ),
        # Accounts that lack a right.
        Profile('no-delete', Answers(denied='DELE')),
        Profile('no-rename', Answers(denied='RNFR RNTO')),
        Profile('no-directories', Answers(denied='MKD RMD')),
        Profile('no-size', Answers(denied='SIZE')),
    )
}
