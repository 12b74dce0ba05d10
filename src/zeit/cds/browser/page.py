"""What the page shows, made of the objects of `zeit-cds status --json`: trouble first.

Whether they are from here or from another machine makes no difference, and all texts in them are
foreign: made harmless here, escaped by the template.
"""

import dataclasses
import time
from typing import NamedTuple

from zeit.cds import errors
from zeit.cds.browser import messages
from zeit.cds.browser.actions import Task
from zeit.cds.browser.messages import Moment, _, encoded
from zeit.cds.browser.source import DELIVERIES, SHOWN, SourceError
from zeit.cds.publish.publisher import FIRST, LONGEST
from zeit.cds.text import printable
from zeit.cds.values.backoff import pause


#: What waits for longer than that, in seconds, is trouble.
MAX_AGE = 900

#: Others lock a server for some minutes each day; for longer than that, in seconds, is trouble.
LOCKED = 300

#: So many characters of a name are shown; all of it where the name is the only one.
NAME = 120

#: So many characters of what servers, partners and applications have said.
SAID = 500


class Button(NamedTuple):
    """A `label`, and what it does: a `Task`."""

    label: str
    task: Task


class Row(NamedTuple):
    """A file or content: `name` as shown, `link` to what is known of it, what `about` it is said.

    `texts` are further lines, `since` is a `Moment` or None, `where` is said if spools are several.
    """

    name: str
    link: str
    content: str = ''
    since: Moment | None = None
    texts: tuple = ()
    buttons: tuple = ()
    size: str = ''
    state: str = ''
    where: str = ''


class Section(NamedTuple):
    """Files of a spool that are in one state, for the same reason: `total`, of which `rows`."""

    kind: str
    title: str
    rows: list
    total: int
    bad: bool
    note: str = ''

    @property
    def more(self):
        """How many are not shown."""
        return self.total - len(self.rows)


class Partner(NamedTuple):
    """Whom a spool exchanges files with: how the last run in this direction went.

    `direction` is 'out' or 'in'; `bad` if the last run has failed, `partly` for some files only;
    `buttons` are for the lock.
    """

    name: str
    server: str
    direction: str
    last: Moment | None = None
    took: str = ''
    outcome: str = ''
    reason: str = ''
    bad: bool = False
    partly: bool = False
    success: Moment | None = None
    newest: Moment | None = None
    lock: str = ''
    holder: str = ''
    locked: Moment | None = None
    buttons: tuple = ()


class Trouble(NamedTuple):
    """A sentence, what somebody has `said` about it, and where to read on: an `anchor`."""

    text: str
    said: str = ''
    hint: str = ''
    anchor: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spool:
    """A spool, or what one of several partners has `of` it; `group` is the same for all of these.

    `trouble` is a list of `Trouble`, empty if all is well.
    """

    key: str
    anchor: str
    title: str
    path: str
    group: str
    of: str | None = None
    error: Trouble | None = None
    elsewhere: bool = False
    waiting: int = 0
    size: str = ''
    oldest: Moment | None = None
    late: bool = False
    partners: list = ()
    sections: list = ()
    trouble: list = ()
    active: str = ''
    counts: dict = dataclasses.field(default_factory=dict)
    held: bool = False

    @property
    def bad(self):
        return bool(self.trouble)


class Event(NamedTuple):
    """What has happened to a file: see the template."""

    at: Moment | None
    what: str
    spool: str
    name: str
    link: str
    content: str
    size: str
    texts: tuple = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The answer to a search for `text`: `rows` of what is there now, and `events`.

    `cut`: older events may be missing.
    """

    text: str
    rows: list
    events: list
    buttons: tuple = ()
    cut: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """All of it: `spools`, those in trouble first; the last `deliveries`; `found`, or None.

    `nowhere`: no spool is on this machine, and no other one is configured.  `error`: why there is
    nothing to show.  `elsewhere` is the URL of the page where something can be done.
    """

    at: Moment
    spools: list = ()
    deliveries: list = ()
    found: Found | None = None
    error: Trouble | None = None
    nowhere: bool = False
    elsewhere: str = ''
    text: str = ''

    @property
    def trouble(self):
        """The spools that somebody has to look after."""
        return [spool for spool in self.spools if spool.trouble]

    @property
    def quiet(self):
        """The others."""
        return [spool for spool in self.spools if not spool.trouble]

    @property
    def locked(self):
        """Whose servers the last runs have found locked, a text: perhaps no trouble yet."""
        partners = [each for spool in self.spools for each in spool.partners if each.lock]
        return ', '.join(dict.fromkeys(each.name or each.server for each in partners))

    @property
    def bad(self):
        return bool(self.error or self.nowhere or self.trouble)


def look(source, *, allowed=frozenset(), text='', max_age=MAX_AGE, now=None):
    """Return the `Page` of a `source`, see `zeit.cds.browser.source`.

    `allowed` are the permissions of the person, `text` is searched for, what waits for longer than
    `max_age` seconds is trouble, `now` is in seconds since the epoch, by default when it was so.
    """
    given, now = now, time.time() if now is None else now
    about = {'at': messages.before(0, now), 'text': text}
    about['elsewhere'] = source.elsewhere or ''
    allowed = allowed if source.acts else frozenset()
    try:
        objects = source.objects()
        answer = source.find(text) if text else None
    except errors.Error as error:
        return Page(**about, error=_said(error.message, error.hint))
    try:
        if given is None:
            now = _when(objects, now)
            about['at'] = messages.before(0, now)
        return _page(objects, answer, about, now=now, allowed=allowed, max_age=max_age)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if source.acts:
            raise
        strange = SourceError(f'{source!r} has said something strange: {error!r}')
        return Page(**about, error=_said(strange.message, 'It may be of another version.'))


def _when(objects, now):
    """Return when it was so; where that is not told, or strange, it is so now."""
    told = [each.get('at') for each in objects]
    return min((at for at in told if type(at) is float and abs(now - at) < 3600), default=now)


def _page(objects, answer, about, *, now, allowed, max_age):
    titles = {each['path']: _title(each) for each in objects}
    shared = {each.get('partner_of') for each in objects}
    makers = [
        _Maker(
            each,
            f'spool-{number}',
            titles,
            shared=each['path'] in shared,
            now=now,
            allowed=allowed,
            max_age=max_age,
        )
        for number, each in enumerate(objects)
    ]
    spools = [maker.spool() for maker in makers]
    # Partners stand below the spool that they have in common.
    bad = {spool.group for spool in spools if spool.bad}
    known = [*dict.fromkeys(spool.group for spool in spools)]
    spools.sort(key=lambda each: (each.group not in bad, known.index(each.group), bool(each.of)))
    nowhere = bool(objects) and not about['elsewhere'] and all(each.elsewhere for each in spools)
    deliveries = [each for found in objects for each in found.get('deliveries', ())]
    deliveries.sort(key=lambda each: str(each.get('delivered')), reverse=True)
    return Page(
        **about,
        spools=spools,
        deliveries=[_delivery(each, now) for each in deliveries[:DELIVERIES]],
        found=answer and _found(answer, makers, now),
        nowhere=nowhere,
    )


def _said(message, hint='', text=None):
    text = _('The status cannot be read.') if text is None else text
    return Trouble(text, printable(str(message), limit=SAID), printable(str(hint), limit=SAID))


def _title(found):
    return printable(found['name'] or found['path'])


def _schedule(each, now):
    """Return when what waits goes, as far as the application has told: texts."""
    begin = messages.moment(each.get('not_before'), now)
    end = messages.moment(each.get('not_after'), now)
    texts = []
    if begin and begin.seconds < 0:
        texts.append(_('Embargo until ${time}.', mapping={'time': begin.local}))
    if end:
        text = _('Is not sent after ${time}.', mapping={'time': end.local})
        texts.append(text)
    return tuple(texts)


def _link(name):
    return f'?file={encoded(name)}' if name else ''


class _Maker:
    """Makes the `Spool` of one object."""

    def __init__(self, found, anchor, titles, *, shared, now, allowed, max_age):
        self.found = found
        self.anchor = anchor
        self.titles = titles
        # What waits is shown for each partner, if a spool has several.
        self.shared = shared or bool(found.get('partners'))
        self.now = now
        self.allowed = allowed if found.get('here', True) else frozenset()
        self.max_age = max_age
        # An exporter may be called as its spool is.
        self.key = found['path']
        self.common = found.get('partner_of')

    def moment(self, text):
        return messages.moment(text, self.now)

    @property
    def where(self):
        """Its title; of a partner also that of the spool that several have in common."""
        title, common = _title(self.found), self.common
        return f'{self.titles.get(common, printable(common))} → {title}' if common else title

    def buttons(self, name, *actions):
        """Return the `Button`s for a file, as far as this person may press them."""
        tasks = [Task(action, self.key, name) for action in actions]
        return tuple(
            Button(task.about.label, task)
            for task in tasks
            if task.about.permission in self.allowed
        )

    def spool(self):
        found = self.found
        about = {
            'key': self.key,
            'anchor': self.anchor,
            'title': _title(found),
            'path': printable(found['path']),
            'group': self.common or found['path'],
            'of': self.common and self.titles.get(self.common, printable(self.common)),
        }
        if found['error']:
            return self._unreadable(about)
        waiting = found['waiting']
        sections = [each for each in self._sections() if each.total]
        oldest = messages.before(waiting['oldest_seconds'], self.now)
        if not waiting['oldest_seconds'] and all(map(self._is_embargoed, waiting['names'])):
            oldest = None  # nothing is to go yet
        # What a person holds is late because of that person.
        late = oldest is not None and oldest.seconds > self.max_age and not self._is_held()
        late = late and bool(found['delivered']) and not self.shared
        partners = self._partners()
        return Spool(
            **about,
            waiting=waiting['files'],
            size=messages.size(waiting['bytes']) if waiting['files'] else '',
            oldest=oldest,
            late=late,
            partners=partners,
            sections=sorted(sections, key=lambda each: not each.bad),
            trouble=[*self._trouble(oldest if late else None, partners, sections)],
            active=printable(found['active'] or ''),
            counts={each.kind: each.total for each in sections},
            held=self._is_held(),
        )

    def _is_embargoed(self, each):
        begin = self.moment(each.get('not_before'))
        return begin is not None and begin.seconds < 0

    def _is_held(self):
        return any(not each['name'] for each in self.found['held'])

    def _unreadable(self, about):
        error = self.found['error']
        away = self.found.get('here', True) is False
        text = _('The spool is not on this machine.') if away else _('The spool cannot be read.')
        trouble = _said(error['message'], error['hint'], text)
        return Spool(**about, error=trouble, elsewhere=away, trouble=[trouble])

    # Partners

    def _partners(self):
        """Return the `Partner`s: of each direction one; several have a spool for each of them."""
        if self.shared:
            return []
        return [
            self._partner(self.found[key], direction)
            for key, direction in (('delivered', 'out'), ('imported', 'in'))
            if self.found[key]
        ]

    def _partner(self, about, direction):
        last = about['last_run'] or {}
        targets = self.found.get('targets') or []
        name = targets[0]['name'] if targets else ''
        server = targets[0]['server'] if targets else last.get('server') or ''
        code, took = last.get('exit_code'), last.get('seconds')
        locked = self.found.get('locked') if code == errors.COME_BACK_LATER else None
        newest = about['newest'] or {}
        task = Task('unlock', self.key, name)
        return Partner(
            name=printable(name),
            server=printable(server),
            direction=direction,
            last=self.moment(last.get('ended')),
            took='' if took is None else messages.duration(took),
            outcome=messages.outcome(code) if last else _('no run yet'),
            reason=printable(last.get('reason') or '', limit=SAID),
            bad=bool(last) and code not in (errors.DONE, errors.COME_BACK_LATER),
            partly=code == errors.FILES_FAILED,
            success=self.moment(about['last_success']),
            newest=self.moment(newest.get('filed') or newest.get('received')),
            lock=printable(locked['lock']) if locked else '',
            holder=printable(locked['holder'], limit=SAID) if locked else '',
            locked=self.moment(locked['since']) if locked else None,
            buttons=(Button(task.about.label, task),)
            if locked and name and task.about.permission in self.allowed
            else (),
        )

    # Trouble

    def _trouble(self, late, partners, sections):
        told = {section.kind for section in sections if section.bad}
        for partner in partners:
            # Which files have failed is told by themselves.
            if partner.bad and not (partner.partly and told):
                said = _('The last run failed: ${outcome}.', mapping={'outcome': partner.outcome})
                yield Trouble(said, partner.reason, anchor=self.anchor)
            if partner.lock and (partner.locked is None or partner.locked.seconds > LOCKED):
                about = {'lock': partner.lock, 'age': partner.locked.age if partner.locked else '?'}
                text = _('The server has been locked by “${lock}” for ${age}.', mapping=about)
                yield Trouble(text, partner.holder, anchor=self.anchor)
        if late:
            text = _('The oldest file has waited for ${age}.', mapping={'age': late.age})
            yield Trouble(text, anchor=self.anchor)
        for section in sections:
            if section.bad:
                about = {'title': section.title, 'n': str(section.total)}
                text = _('${title}: ${n}', mapping=about)
                yield Trouble(text, anchor=f'{self.anchor}-{section.kind}')
        found = self.found
        if found['killed'] and not found['active']:
            yield Trouble(_('The last run was killed. The next one cleans up after it.'))
        if found['damaged'] or found['missing']:
            text = _('The journal is damaged, or parts of the history are missing.')
            hint = f'zeit-cds journal verify --acknowledge --spool {printable(found["path"])}'
            yield Trouble(text, hint=hint)
        if found['disowned']:
            text = _('This spool is a copy: what its original left on servers is not removed.')
            hint = f'zeit-cds adopt --spool {printable(found["path"])}'
            yield Trouble(text, ', '.join(map(printable, found['disowned'])), hint)

    # Sections

    def _sections(self):
        yield from (self._failed(), self._parked(given_up=False), self._unpublished())
        yield from (self._in_doubt(), self._ignored(), self._held(), self._unfetched())
        yield from (self._undeleted(), self._filing(), self._retracted())
        yield from () if self.shared else (self._waiting(),)
        yield self._parked(given_up=True)

    def _section(self, kind, title, found, row, *, bad=False, total=None, note=''):
        rows = [row(each) for each in found[:SHOWN]]
        return Section(kind, title, rows, len(found) if total is None else total, bad, note)

    def _row(self, each, *actions, texts=(), since=None):
        name = each['name'] or ''
        return Row(
            name=printable(name, limit=NAME),
            link=_link(name),
            content=printable(each.get('content') or '', limit=NAME),
            since=self.moment(each.get(since)) if since else None,
            texts=(*_schedule(each, self.now), *filter(None, texts)),
            buttons=self.buttons(name, *actions),
            size=messages.size(each.get('size')),
        )

    def _attempts(self, each):
        last = self.moment(each['last_attempt'])
        number = {'n': str(each['attempts'])}
        tried = _('Attempts: ${n}', mapping=number)
        if last:
            tried = _('Attempts: ${n}, the last one ${age} ago', mapping=number | {'age': last.age})
        return printable(each['reason'] or '', limit=SAID), tried

    def _next(self, each):
        """Return when a publication that failed is due; who tries it is told to wait so long."""
        number = {'n': str(each['attempts'])}
        last = self.moment(each.get('last_attempt'))
        if last is None:
            return _('Attempts: ${n}', mapping=number)
        left = pause(each['attempts'], first=FIRST, longest=LONGEST) - last.seconds
        if left <= 0:
            return _('Attempts: ${n}, the next one is due', mapping=number)
        return _('Attempts: ${n}, the next one in ${age}', mapping=number | {
            'age': messages.age(left)
        })  # fmt: skip

    def _waiting(self):
        waiting = self.found['waiting']
        held = {each['name'] for each in self.found['held']}
        rest = [e for e in waiting['names'] if not e['attempts'] and e['name'] not in held]
        elsewhere = len(waiting['names']) - len(rest)
        return self._section(
            'waiting',
            _('Waiting'),
            rest,
            lambda each: self._row(each, since='arrived'),
            total=waiting['files'] - elsewhere,
        )

    def _failed(self):
        failed = [each for each in self.found['waiting']['names'] if each['attempts']]
        return self._section(
            'failed',
            _('Failed'),
            failed,
            lambda each: self._row(
                each, 'hold', 'park', texts=self._attempts(each), since='arrived'
            ),
            bad=True,
            note=_('The next run tries again.'),
        )

    def _parked(self, *, given_up):
        found = [each for each in self.found['parked'] if each['given_up'] == given_up]
        return self._section(
            'given-up' if given_up else 'parked',
            _('Parked by hand') if given_up else _('Parked'),
            found,
            lambda each: self._row(
                each,
                *('retry', 'give-up')[: 1 if given_up else 2],
                texts=[printable(each['reason'] or '', limit=SAID)],
                since='since',
            ),
            bad=not given_up,
            note=_('What is parked is not sent, until somebody presses “Retry”.'),
        )

    def _unpublished(self):
        return self._section(
            'unpublished',
            _('Not published'),
            self.found['unpublished'],
            lambda each: self._row(
                {'name': each['id']},
                'retry',
                texts=[
                    _('It could not be retracted.') if each['retracts'] else '',
                    printable(each['reason'] or '', limit=SAID),
                    self._next(each),
                ],
            )._replace(since=self.moment(each['since'])),
            bad=True,
            note=_('The application tries again by itself.'),
        )

    def _in_doubt(self):
        def row(each):
            names = [printable(name, limit=NAME) for name in each['names']]
            known = _('It is committed.') if each['committed'] else ''
            who = ', '.join(filter(None, (each['description'], each['user'])))
            return Row(
                ', '.join(names[:SHOWN]),
                '',
                since=self.moment(each['since']),
                texts=tuple(filter(None, (printable(who, limit=SAID), known))),
            )

        note = _('Transactions that did not end: the next run decides.')
        found = self.found['in_doubt']
        return self._section('in-doubt', _('In doubt'), found, row, bad=True, note=note)

    def _ignored(self):
        found = self.found['ignored']
        return self._section(
            'ignored',
            _('Never sent'),
            found,
            lambda each: self._row(each, texts=[printable(each['reason'], limit=SAID)]),
            bad=bool(self.found['delivered']),
        )

    def _held(self):
        def row(each):
            found = self._row(
                each,
                'release',
                texts=[printable(each['reason'] or '', limit=SAID)],
                since='since',
            )
            return found if each['name'] else found._replace(name=_('The whole spool'))

        note = _('It is not sent until somebody releases it.')
        return self._section('held', _('Held'), self.found['held'], row, note=note)

    def _filing(self):
        filing = self.found['filing']
        return self._section(
            'filing',
            _('Sent, on the way to cur'),
            filing['names'],
            lambda each: self._row(each, since='arrived'),
            total=filing['files'],
        )

    def _retracted(self):
        return self._section(
            'retracted',
            _('To be deleted on the server'),
            self.found['retracted'],
            lambda each: self._row({'name': each['name'] or each['id'], **{
                key: each[key] for key in ('since',)}}, since='since'),
        )  # fmt: skip

    def _unfetched(self):
        found = (self.found['imported'] or {}).get('failed', [])
        return self._section(
            'unfetched',
            _('On the server, not fetched yet'),
            found,
            lambda each: self._row(each, texts=self._attempts(each)),
            bad=True,
        )

    def _undeleted(self):
        found = (self.found['imported'] or {}).get('undeleted', [])
        return self._section(
            'undeleted',
            _('Fetched, but still on the server'),
            found,
            lambda each: self._row(each, since='since'),
        )


# What has happened


def _delivery(receipt, now):
    what = 'imported' if receipt['direction'] == 'in' else 'delivered'
    name = receipt['name'] or ''
    return Event(
        at=messages.moment(receipt['delivered'], now),
        what=messages.EVENTS[what],
        spool=printable(receipt['spool'] or receipt['path']),
        name=printable(name, limit=NAME),
        link=_link(name),
        content=printable(receipt['content'] or '', limit=NAME),
        size=messages.size(receipt['size']),
        texts=(printable(receipt['server'] or ''),),
    )


def _found(answer, makers, now):
    """Return the `Found` of what a source has answered."""
    by_path = {maker.found['path']: maker for maker in makers}
    where = {path: maker.where for path, maker in by_path.items()} if len(by_path) > 1 else {}
    rows = [
        _there(each, by_path.get(each['path']), now, where=where.get(each['path'], ''))
        for each in answer['there']
    ]
    return Found(
        text=printable(answer['text'], limit=SAID),
        rows=rows,
        events=[_event(each, now) for each in answer['events']],
        buttons=_of_delivered(answer, by_path),
        cut=answer.get('cut') is True,
    )


#: What can be done with a file in this state.
_POSSIBLE = {
    'waiting': ('hold', 'park', 'withdraw'),
    'held': ('release', 'park', 'withdraw'),
    'parked': ('retry', 'give-up'),
    'given up': ('retry',),
    'unpublished': ('retry',),
}


def _there(each, maker, now, *, where=''):
    name = each['name'] or each['content'] or ''
    buttons = maker.buttons(name, *_POSSIBLE.get(each['state'], ())) if maker else ()
    return Row(
        name=printable(name, limit=SAID),
        link=_link(name),
        content=printable(each['content'] or '', limit=SAID) if each['name'] else '',
        since=messages.moment(each['since'], now),
        texts=(*_schedule(each, now), printable(each['reason'] or '', limit=SAID)),
        buttons=buttons,
        state=messages.STATES.get(each['state'], ''),
        where=where,
    )


def _of_delivered(answer, by_path):
    """Return the buttons for a file that was delivered, if there is only one of that name."""
    names = {each['name'] for each in answer['events'] if each['event'] == 'delivered'}
    if len(names) != 1 or any(each['name'] in names for each in answer['there']):
        return ()
    (name,) = names
    paths = {each['path'] for each in answer['events'] if each['name'] == name}
    found = [by_path[path].buttons(name, 'resend', 'withdraw') for path in paths if path in by_path]
    return tuple(button for several in found for button in several)


def _event(each, now):
    name = each['name'] or ''
    reply = each['reply'] if each['event'] == 'delivered' else None
    texts = (each['server'], each['reason'], reply)
    return Event(
        at=messages.moment(each['at'], now),
        what=messages.EVENTS.get(each['event'], printable(str(each['event']))),
        spool=printable(each['spool'] or each['path']),
        name=printable(name, limit=SAID),
        link=_link(name),
        content=printable(each['content'] or '', limit=SAID),
        size=messages.size(each['size']),
        texts=tuple(printable(str(text), limit=SAID) for text in texts if text),
    )
