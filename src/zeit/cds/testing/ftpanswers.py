"""What servers answer where RFC 959 leaves it to them, as switches of the fault server."""

import collections.abc
import dataclasses
import re

from zeit.cds.testing import actions, ftpverbs


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers of a server; those that are not given are the ordinary ones.

    A code may also be 'closes', which ends the session, or 'silent'.
    unknown: a blank-separated list of verbs that are answered with `unknown_code` and left out of
    FEAT; denied: verbs that the account has no right to, 550; split: verbs whose argument is what
    stands between two blanks; 501 if that is not all of it.
    absent: the code for what is not there, by verb; 350 for RNFR lets RNTO find that out.
    size, empty_size: the text of the reply to SIZE, with `{}` for the number.
    directory_size: what SIZE tells of a directory; None: it refuses.
    replaces: RNTO replaces a file; False refuses, for directories, too.
    renames: False is a server that knows no RNTO.
    existing: the code of MKD for a directory that is there.
    full: the code of RNTO for a directory that is not empty.
    empty: the code of NLST for an empty directory; bare: its code without an argument.
    reset: the code for an upload whose data connection was reset.
    listed: the code behind what MLSD has sent.
    binary: False refuses TYPE I.
    sends_empty: False does not answer RETR of an empty file at all.
    """

    _: dataclasses.KW_ONLY
    unknown: str = ''
    unknown_code: int = 502
    denied: str = ''
    split: str = ''
    absent: collections.abc.Mapping = dataclasses.field(default_factory=dict)
    size: str = '{}'
    empty_size: str = ''
    directory_size: int | None = None
    replaces: bool = True
    existing: int = 550
    full: int | str = 550
    empty: int = 226
    bare: int = 226
    reset: int | str = 426
    listed: int = 226
    binary: bool = True
    sends_empty: bool = True

    def allows(self, verb):
        """Return whether a command is known, and the account may use it."""
        return verb not in self.unknown.split() + self.denied.split()

    def execute(self, session, verb, argument):
        """Execute one command; return the reply."""
        if verb in self.unknown.split():
            return f'{self.unknown_code} {verb} not understood.'
        if not session.logged_in:
            return self._features(ftpverbs.execute(session, verb, argument))
        if verb in self.denied.split():
            return '550 Permission denied.'
        if verb in self.split.split():
            argument, *more = argument.split() or ['']
            if more:
                return '501 Syntax error in parameters.'
        own = getattr(self, f'_{verb.lower()}', None)
        reply = own and own(session, argument)
        if reply is None:
            reply = ftpverbs.execute(session, verb, argument)
        if reply[:3] == '550' and verb in self.absent and self._kind(session, argument) is None:
            reply = f'{self.absent[verb]}{reply[3:]}'
        return self._features(reply) if verb == 'FEAT' else reply

    def _features(self, reply):
        return re.sub(rf'\n ({"|".join(self.unknown.split()) or "$."})( [^\n]*)?(?=\n)', '', reply)

    def _kind(self, session, argument):
        """Return 'file', 'dir' or None."""
        try:
            node = session.tree.stat(session.resolve(argument))
        except OSError:
            return None
        return 'dir' if node.is_directory else 'file'

    def _size(self, session, argument):
        if self._kind(session, argument) == 'dir':
            number = self.directory_size
            return None if number is None else f'213 {number}'
        reply = ftpverbs.execute(session, 'SIZE', argument)
        if reply[:3] != '213':
            return reply
        number = reply.partition(' ')[2]
        return f'213 {self.empty_size if number == "0" and self.empty_size else self.size}'.format(
            number
        )

    def _mkd(self, session, argument):
        if self.existing != 550 and self._kind(session, argument):
            return f'{self.existing} "{argument}" created.'
        return None

    def _rnfr(self, session, argument):
        if self.absent.get('RNFR') == 350:
            session.rename_source = session.resolve(argument)
            return '350 Ready for RNTO.'
        return None

    def _rnto(self, session, argument):
        if not self.replaces and self._kind(session, argument):
            return f'550 {argument}: File exists.'
        reply = ftpverbs.execute(session, 'RNTO', argument)
        if self.full != 550 and self._is_full(session, argument, reply):
            return _instead(self.full, reply)
        return reply

    def _is_full(self, session, argument, reply):
        return reply[:3] == '550' and bool(
            self._kind(session, argument) == 'dir' and session.tree.names(session.resolve(argument))
        )

    def _nlst(self, session, argument):
        if not argument and self.bare != 226:
            return f'{self.bare} NLST wants an argument.'
        if self.empty != 226 and not session.tree.names(session.resolve(argument)):
            return f'{self.empty} No files found.'
        return None

    def _retr(self, session, argument):
        if not self.sends_empty and self._kind(session, argument) == 'file':
            return None if session.tree.read(session.resolve(argument)) else ''
        return None

    def _stor(self, session, argument):
        reply = ftpverbs.execute(session, 'STOR', argument)
        return _instead(self.reset, reply) if reply[:3] == '426' else reply

    def _mlsd(self, session, argument):
        reply = ftpverbs.execute(session, 'MLSD', argument)
        return _instead(self.listed, reply) if reply[:3] == '226' else reply

    def _type(self, session, argument):
        if argument.upper() == 'I' and not self.binary:
            return '500 Only TYPE A is supported.'
        return None


def _instead(code, reply):
    if code == 'closes':
        raise actions.Disconnect
    return '' if code == 'silent' else f'{code}{reply[3:]}'


#: A server without peculiarities.
ORDINARY = Answers()
