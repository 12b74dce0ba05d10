"""Where the page has its facts from: the objects of `zeit-cds status --json`, and some more."""

import base64
import functools
import http.client
import itertools
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request

import zope.component
import zope.interface

from zeit.cds.browser.interfaces import ISource
from zeit.cds.browser.shared_look import Looks
from zeit.cds.cli import events, receipts, selection, snapshot, status_json
from zeit.cds.errors import UNAVAILABLE, Error, SpoolError
from zeit.cds.interfaces import ITarget
from zeit.cds.journal import journal
from zeit.cds.monitoring.verify import require_there
from zeit.cds.spool.filing import PRIVATE
from zeit.cds.system import files
from zeit.cds.text import printable


#: How many of each kind are shown; the search finds the others.
SHOWN = 20

#: How many deliveries are shown, of all spools together.
DELIVERIES = 50

#: How long to wait for another machine, in seconds.
ANSWER_SECONDS = 5

#: How long the history is searched at most, in seconds.
SEARCH_SECONDS = 3

#: Largest answer of another machine, in bytes.
ANSWER_BYTES = 4 * 1024 * 1024

#: Longest text that is searched for, in characters.
SEARCH_CHARACTERS = 1000


class SourceError(Error):
    """Nothing can be shown, as the spools, or another machine, cannot be asked."""

    exit_code = UNAVAILABLE
    transient = True

    @classmethod
    def strange(cls, url, error):
        """Return the one for an `error` in reading what the page at `url` has said."""
        where = urllib.parse.urljoin(url, '/')
        what = f'{where} has said something strange: {error!r}'
        return cls(what, hint='It may be of another version.')


@zope.interface.implementer(ISource)
class Local:
    """The spools of this machine.

    `select` is called without arguments, returns a list of
    `zeit.cds.cli.selection.SelectedSpool`, and may raise `Error`.
    """

    #: Where else there is a page; None: here.
    elsewhere = None

    def __init__(self, select=selection.registered, *, clock=time.monotonic):
        self.select = select
        self._clock = clock
        self._looks = Looks(self._look, clock=clock)

    def __repr__(self):
        return f'<{type(self).__name__} {self.select!r}>'

    @property
    def acts(self):
        """Whether something can be done here: there is a spool on this machine."""
        return any(_is_here(selected.spool) for selected in self.select())

    def objects(self):
        """Return what the page shows of each spool: dictionaries as of `status --json`.

        Of long lists they have the first `SHOWN`, and their `deliveries` as of `receipt --json`.
        All who ask get the same for a while, see `Looks`; their `at` says when it was so, in
        seconds since the epoch.  Raises `Error`.
        """
        return self._looks.get()

    def forget(self):
        """See `Looks`."""
        self._looks.forget()

    def _look(self):
        return [
            {
                **status_json.as_object(snapshot.take(selected, remote=False), shown=SHOWN),
                'targets': _targets(selected),
                'here': _is_here(selected.spool),
                'deliveries': _deliveries(selected),
                'at': time.time(),
            }
            for selected in self.select()
        ]

    def everything(self):
        """Return the same objects as `status --json`, complete."""
        taken = [snapshot.take(selected, remote=False) for selected in self.select()]
        return [status_json.as_object(each) for each in taken]

    def find(self, text):
        """Return what is known of a file, by a part of its name or of the id of its content.

        That is `events` as of `log --json`, the newest first, at most `DELIVERIES`; and `there`, a
        list of what waits, is on its way or is parked now: `spool`, `path`, `name`, `content`,
        `state`, `since`, `reason`.  `cut` is true if it took too long, and older events may be
        missing.  Raises `Error`.
        """
        text = text[:SEARCH_CHARACTERS]
        return self._found(
            text, lambda name, content: text in name or text in content, containing=text
        )

    def of(self, content):
        """Return the same of what is of the content with this id, exactly.  Raises `Error`."""
        return self._found(content, lambda name, found: found == content, content=content)

    def _found(self, text, fits, **wanted):
        there, found, end = [], [], self._clock() + SEARCH_SECONDS
        wanted['enough'] = lambda: self._clock() > end
        for selected in self.select():
            if text and _is_here(selected.spool):
                there += _there(selected, fits)
                found += itertools.islice(events.of_spool(selected, **wanted), DELIVERIES)
        cut = wanted['enough']()
        found = [events.as_object(*each) for each in found]
        found.sort(key=lambda event: str(event['at']), reverse=True)
        about = {'there': there[:DELIVERIES], 'events': found[:DELIVERIES]}
        return {'text': text, 'cut': cut, **about}


def _is_here(spool):
    # What a partner of several has is made by its first run.
    spool = getattr(spool, 'shared', None) or spool
    try:
        return files.is_directory(spool.path)
    except OSError:
        return True  # it is, and cannot be read: that is told


def _targets(selected):
    """Return who delivers where: the name of an exporter, that of its target, and its URL."""
    partners = {id(target): name for name, target in zope.component.getUtilitiesFor(ITarget)}
    return [
        {'name': name, 'partner': partners.get(id(target), ''), 'server': target.url}
        for name, target in selected.targets
    ]


def _deliveries(selected):
    """Return the last receipts of a spool, the newest first; none if it cannot be looked at."""
    try:
        require_there(selected.spool)
        history = journal.history(selected.spool.path / PRIVATE)
        kinds = ['delivered'] * selected.exports + ['imported'] * selected.imports
        found = [
            itertools.islice(history.find(kind=kind), DELIVERIES)
            for kind in kinds or ['delivered', 'imported']
        ]
        lines = sorted(itertools.chain(*found), key=lambda line: str(line.get('at')), reverse=True)
    except SpoolError:
        return []  # which the snapshot tells
    return [receipts.as_object(selected, line) for line in lines[:DELIVERIES]]


def _there(selected, fits):
    found = selected.spool.status()

    def described(name, content, state, *, since=None, reason=None, **more):
        about = {'spool': selected.name, 'path': str(selected.spool.path)}
        about |= {'name': name, 'content': content, 'state': state}
        return about | {'since': status_json.utc(since), 'reason': reason} | more

    for state, entries in (('waiting', found.waiting), ('filing', found.filing)):
        for entry in entries:
            if fits(entry.name, entry.content):
                held = found.held.get('') or found.held.get(entry.name)
                yield described(
                    entry.name,
                    entry.content,
                    'held' if held and state == 'waiting' else state,
                    since=entry.arrived,
                    reason=held[0] if held else None,
                    not_before=entry.not_before or None,
                    not_after=entry.not_after or None,
                )
    for name, reason in found.parked:
        content = found.parked_content[name].get('content', '')
        if fits(name, content):
            state = 'given up' if name in found.given_up else 'parked'
            yield described(name, content, state, reason=reason)
    for each in found.unpublished:
        if fits('', each.unique_id):
            about = {'since': each.since, 'reason': each.reason}
            yield described(None, each.unique_id, 'unpublished', **about)


@zope.interface.implementer(ISource)
class Remote:
    """The spools of another machine, where `zeit-cds serve` runs: nothing can be done from here.

    `url` is that of its page `@@cds.html` or of its root.  `credentials` is (user, secret), a
    `zeit.cds.credentials` secret, or None.
    """

    acts = False

    def __init__(self, url, *, credentials=None, clock=time.monotonic):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ('http', 'https') or not parts.hostname or '@' in parts.netloc:
            raise SourceError(
                f'{printable(url)} is not the address of a status page',
                hint='Write http://host:port/ or https://host:port/, without a password.',
            )
        loopback = parts.hostname in ('localhost', '127.0.0.1', '::1')
        if credentials is not None and parts.scheme == 'http' and not loopback:
            raise SourceError(
                f'A password for {printable(url)} would be readable on its way',
                hint='Use https://.',
            )
        self.elsewhere = urllib.parse.urljoin(url, '@@cds.html')
        self._url = urllib.parse.urljoin(url, '@@cds.json')
        self._where = printable(urllib.parse.urljoin(url, '/'))
        self._credentials = credentials
        self._clock = clock
        # What takes time there is no load here.
        self._looks = Looks(functools.partial(self._ask, short=1), share=0, clock=clock)
        self._down = -math.inf, None

    def __repr__(self):
        return f'<{type(self).__name__} {self.elsewhere!r}>'

    def _open(self, url):
        request = urllib.request.Request(url, headers={'Accept': 'application/json'})  # noqa: S310
        if self._credentials is not None:
            request.add_unredirected_header('Authorization', _basic(*self._credentials))
        return _OPENER.open(request, timeout=ANSWER_SECONDS)

    def select(self):
        """See `ISource`."""
        return []

    def objects(self):
        """See `Local`."""
        return self._looks.get()

    def everything(self):
        """See `Local`."""
        return self._ask()

    def find(self, text):
        """See `Local`."""
        return self._ask(find=text[:SEARCH_CHARACTERS])

    def of(self, content):
        """See `Local`."""
        return self._ask(content=content)

    def forget(self):
        """See `Local`."""
        self._looks.forget()

    def _ask(self, **query):
        if self._clock() < self._down[0]:
            raise self._down[1]
        try:
            return self._answer(query)
        except SourceError as error:
            # Whoever edits an article does not wait again and again for what is away.
            self._down = self._clock() + ANSWER_SECONDS, error
            raise

    def _answer(self, query):
        url = self._url
        if query:
            url += '?' + urllib.parse.urlencode(query, errors='surrogateescape')
        try:
            with self._open(url) as answer:
                found = json.loads(answer.read(ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise self._unreadable(f'it has answered {error.code} {error.reason}') from None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise self._unreadable(getattr(error, 'reason', None) or error) from None
        if type(found) is not (dict if {'find', 'content'} & {*query} else list):
            raise self._unreadable('it is not the status of spools')
        return found

    def _unreadable(self, reason):
        return SourceError(
            f'{self._where} cannot be read: {printable(str(reason))}',
            hint='See whether "zeit-cds serve" runs there, and what it has logged.',
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A status page is where it was said to be."""

    def redirect_request(self, *_, **__):
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _basic(user, secret):
    """Return what the header Authorization says (RFC 7617); no variable has the password."""
    return 'Basic ' + base64.b64encode(
        b':'.join([user.encode('utf-8'), secret.reveal().encode('utf-8')])
    ).decode('ascii')
