"""What a server is asked under the lock, with files of our own: one question each.

Each gets its name and a `Probe`, and yields `Finding`s.  What it does not foresee is said by who
asks it, and the next one is asked.
"""

import io

from zeit.cds import names
from zeit.cds.check.finding import CAN, CANNOT, FAILED, Finding
from zeit.cds.errors import CONFIGURATION, Error, FileError, PermanentError, ServerError
from zeit.cds.ftp.capabilities import LISTINGS, Listing
from zeit.cds.text import age, printable


#: What a server might change in a file that it takes for a text, or in the last bytes.
CONTENT = b'zeit.cds check\r\n\n\r\xff\x00\n'
OTHER = b'zeit.cds check, the newer one\n'

#: Names of files in the kinds that servers change.
NAMES = {
    'umlauts': ('M\xe4rz.xml', '\u20ac.xml'),
    'blanks': ('a b.xml',),
    'blanks at ends': (' a.xml', 'a.xml '),
    'quotes': ('a"b.xml', "a'b.xml"),
    'brackets': ('a[1](2).xml',),
    'signs': ('a+b=c,d;e&f%20#g.xml', '~a.xml'),
}

#: A server whose times are not of UTC is off by a multiple of so many seconds: there are zones of
#: 45 minutes.
ZONE_SECONDS = 900

#: So much two clocks may differ, in seconds: times are whole seconds.
SLACK_SECONDS = 3


class Probe:
    """What the questions share: a `session`, and names that carry `token`.

    `now()` tells seconds since the epoch.
    """

    def __init__(self, session, *, token, now):
        self.session = session
        self.token = token
        self.now = now
        self._made = []
        self._name = ''
        #: When the file `name` was made.
        self.since = 0

    def __repr__(self):
        return f'<Probe {self.token}>'

    @property
    def name(self):
        """The name of a file that is there; if nobody has brought one about, it is made."""
        if not self._name:
            name = self.new()
            self.session.store(name, CONTENT)
            self.there(name)
        return self._name

    def there(self, name):
        """From now on the questions are about this file of ours, which has just been made."""
        self._name, self.since = name, self.now()

    def new(self, about='check'):
        """Return the name of a file that is going to be made, and disposed of in the end."""
        name = names.temporary(about, token=self.token, number=len(self._made))
        self._made.append(name)
        return name

    def upload(self, name, content):
        """Send a file as a run does that has another one to send: the renaming is next."""
        self.session.upload(name, _Source(content), rename_follows=True)

    def tidy(self):
        """Delete what is there: some servers end the session where there is nothing."""
        for name in sorted(self.session.names().intersection(self._made)):
            self.session.dispose_of(name)

    def abandon(self):
        """Leave what may be there to the end of the session."""
        self.session.garbage += self._made


class _Source(io.BytesIO):
    """What an upload takes of an `ISource`."""

    def __init__(self, content):
        super().__init__(content)
        self.size = len(content)


def send(name, probe):
    """Whether a file arrives as it is, gets another name, and can be read."""
    session, old, new = probe.session, probe.new(), probe.new()
    with session.during(None, followed=True):
        probe.upload(old, CONTENT)
        try:
            session.rename(old, new)
        except PermanentError as error:
            probe.there(old)
            yield Finding(
                'rename', CANNOT, printable(str(error)), '', 'temporary="no" (--no-temporary)'
            )
        else:
            probe.there(new)
            yield Finding('rename', CAN, 'what is complete gets its name')
    if session.read(probe.name) == CONTENT:
        yield Finding(name, CAN, 'they arrive as they are')
    else:
        advice = 'Ask its operator: perhaps it takes files for texts.'
        yield Finding(name, FAILED, 'they are changed on the way', '', advice, CONFIGURATION)


def replace(name, probe):
    """Whether a file replaces another one by its renaming."""
    session, newer = probe.session, probe.new()
    with session.during(None, followed=True):
        probe.upload(newer, OTHER)
        try:
            session.rename(newer, probe.name)
        except PermanentError as error:
            yield Finding(
                name,
                CANNOT,
                printable(str(error)),
                'the old file gets another name, and is deleted when the new one is there: a '
                'reader may see neither for a moment',
                'exists="park" keeps the old one; AllowOverwrite on, for ProFTPD',
            )
            return
    if session.read(probe.name) == OTHER:
        yield Finding(name, CAN, 'an older file, by renaming')
    else:
        yield Finding(name, FAILED, 'the older file is there still', code=CONFIGURATION)


def size(name, probe):
    """Whether the size of a file is told."""
    (told,) = probe.session.sizes(probe.name)
    if isinstance(told, int):
        yield Finding(name, CAN, f'by {probe.session.terms.size}: each upload is compared')
        return
    listed, _ = probe.session.facts().get(probe.name, (None, None))
    why = printable(told.message) if isinstance(told, ServerError) else 'no such file, it says'
    if listed is not None:
        yield Finding(name, CANNOT, why, 'the listing tells sizes')
    else:
        instead = 'the final reply alone says that a file is complete'
        yield Finding(name, CANNOT, why, instead, 'size_check="no" (--no-size-check)')


def time(name, probe):
    """Whether the time of a file is told, in which zone, and what the server's clock says."""
    session, why = probe.session, 'no time, it says'
    try:
        told = session.modified(probe.name)
    except ServerError as error:
        told, why = None, printable(str(error))
    if told is None:
        _, told = session.facts().get(probe.name, (None, None))
        instead = 'the listing tells times'
        if told is None:
            asks = session.terms.long_listing and f'asks {session.terms.long_listing}, and '
            instead = f'an import {asks}waits two seconds for what may be growing'
        yield Finding(name, CANNOT, why, instead)
    else:
        yield Finding(name, CAN, f'by {session.terms.time}')
    if told is not None:
        yield _clock(told.timestamp() - probe.since)


def _clock(ahead):
    """Return what there is to say of a server whose clock is so many seconds ahead of ours."""
    off = round(ahead / ZONE_SECONDS) * ZONE_SECONDS
    instead = 'its times are compared with its times only'
    if abs(ahead) <= SLACK_SECONDS:
        return Finding('keep time', CAN, 'in UTC, as this machine does')
    way = 'ahead' if ahead > 0 else 'behind'
    if off and abs(ahead - off) <= SLACK_SECONDS:
        hours, minutes = divmod(abs(off) // 60, 60)
        zone = f'{"+" if off > 0 else "-"}{hours:02}:{minutes:02}'
        return Finding('tell UTC', CANNOT, f'its times are UTC{zone}', instead)
    about = f'it is {age(abs(ahead))} {way} of this machine'
    return Finding('keep time', CANNOT, about, instead, 'see which of the two keeps time by NTP')


def listings(name, probe):
    """Which listings show the file, where the session can tell."""
    if not hasattr(probe.session, 'list_by'):
        return
    found = {}
    for listing in (*LISTINGS, Listing('LIST')):
        if found.get(listing.verb) != '':
            found[listing.verb] = _refused(probe, listing)
    instead = {
        'MLSD': 'names by NLST; sizes and times are asked for, file by file',
        'NLST': '' if found['MLSD'] else 'MLSD',
        'LIST': '',
    }
    for verb, why in found.items():
        if why:
            yield Finding(f'{name} by {verb}', CANNOT, why, instead[verb])
        else:
            yield Finding(f'{name} by {verb}', CAN, 'which shows the file')


def _refused(probe, listing):
    """Return why a way to list is of no use, '' if it is."""
    try:
        return '' if probe.name in probe.session.list_by(listing) else 'it does not show the file'
    except ServerError as error:
        return printable(str(error))


def spelling(name, probe):
    """Which names are kept as they are."""
    known = {candidate for several in NAMES.values() for candidate in several}
    refused = probe.session.misspelt(known, token=probe.token)
    for kind, several in NAMES.items():
        wrong = [refused[each] for each in several if each in refused]
        if wrong:
            instead = 'such a file stays in new, and is reported; others go'
            setting = 'rename it' if kind != 'umlauts' else 'encoding (--encoding), or rename it'
            said = printable(wrong[0].message, limit=300)
            yield Finding(f'{name} {kind}', CANNOT, said, instead, setting)
        else:
            yield Finding(f'{name} {kind}', CAN, 'in names')
    yield _braces(f'{name} braces', probe)


def _braces(name, probe):
    """Return whether braces, which each server is expected to keep, are kept."""
    braced = probe.new('{check}')
    try:
        probe.session.store(braced, CONTENT)
        if braced in probe.session.names():
            return Finding(name, CAN, 'in names')
        why = 'the file has another name'
    except (FileError, ServerError) as error:
        why = printable(str(error))
    return Finding(name, CANNOT, why, '', 'rename such files')


def delete(name, probe):
    """Whether a file is deleted, and gone then."""
    try:
        probe.session.delete(probe.name)
    except ServerError:
        if probe.name in probe.session.names():
            raise  # else only the answer to the first one was lost
    if probe.name in probe.session.names():
        yield Finding(name, FAILED, 'said to be deleted, the file is there', code=CONFIGURATION)
    else:
        yield Finding(name, CAN, 'what the account has made')


def beside(name, probe):
    """Whether several files can be on their way at the same time."""
    other = probe.session.sibling()
    try:
        other.connect()
        other.enter()
    except Error as error:
        why = printable(error.message)
        yield Finding(name, CANNOT, why, 'one after the other', 'connections="1" saves to try')
    else:
        yield Finding(name, CAN, other.terms.beside)
    finally:
        other.leave()


def pipelining(name, probe):
    """What was found out meanwhile about commands that are sent before their turn."""
    capabilities = getattr(probe.session, 'capabilities', None)
    if capabilities is None:
        return
    # That a server stands the others shows only where it is slow.
    for what, about, capability, always in (
        ('two commands', 'in one packet', 'together', True),
        ('commands early', 'before the final reply', 'prompt', False),
        ('data early', 'before the reply to STOR', 'early', False),
    ):
        if getattr(capabilities, capability):
            if always:
                yield Finding(f'{name} {what}', CAN, about)
        else:
            if capability in capabilities.once:
                about += ', as it seems: the connection broke; the next run tries once more'
            yield Finding(f'{name} {what}', CANNOT, about, 'more round trips for each file')


#: In this order: the first one makes the file that the others are about.
QUESTIONS = {
    'send files': send,
    'replace': replace,
    'tell sizes': size,
    'tell times': time,
    'list': listings,
    'keep': spelling,
    'delete': delete,
    'send at once': beside,
    'take': pipelining,
}
