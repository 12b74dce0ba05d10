"""A spool and its partners in one look: what waits, the last runs, the lock, and what is wrong."""

from zeit.cds import errors
from zeit.cds.browser import messages
from zeit.cds.browser.messages import _
from zeit.cds.browser.page_values import Partner, Spool, Trouble
from zeit.cds.browser.sections import Sections
from zeit.cds.browser.table_rows import Rows
from zeit.cds.text import printable


#: Others lock a server for some minutes each day; for longer than that, in seconds, is trouble.
LOCKED_SECONDS = 300

#: How many of the files in trouble are named on top.
NAMED_FILES = 3

#: Sections that are no trouble, but may have what the last run has failed to do.
_LEFT = 'retracted', 'undeleted', 'filing'


def title(found):
    """Return how people call the spool of an object of `status --json`."""
    return printable(found['name'] or found['path'])


def _names(section):
    """Return the first names in a `Section`, and why if there is one only: a text."""
    names = [row.name for row in section.rows[:NAMED_FILES]]
    why = next((text for text in section.rows[0].texts if text), '') if len(names) == 1 else ''
    if why:
        return _('${what}: ${why}', mapping={'what': names[0], 'why': why})
    return ', '.join(names) + (', …' if section.total > len(names) else '')


class Overview:
    """Makes the `Spool` of an object of `zeit-cds status --json`, `found`.

    `titles` are those of all spools, by path; `shared`: others have it in common; `allowed` is what
    a person may do, `now` in seconds since the epoch; what waits for more than `max_age` seconds is
    trouble.
    """

    def __init__(self, found, anchor, titles, *, shared, now, allowed, max_age):
        self.found = found
        self._anchor = anchor
        self._titles = titles
        # What waits is shown for each partner, if a spool has several.
        self._shared = shared or bool(found.get('partners'))
        self._now = now
        self._max_age = max_age
        self._common = found.get('partner_of')
        # An exporter may be called as its spool is: the path tells them apart.
        allowed = allowed if found.get('here', True) else frozenset()
        self.rows = Rows(found['path'], now=now, allowed=allowed)

    @property
    def where(self):
        """Its title; of a partner also that of the spool that several have in common."""
        own = title(self.found)
        return f'{self._of} → {own}' if self._common else own

    @property
    def _of(self):
        return self._titles.get(self._common, printable(self._common))

    def spool(self):
        """Return the `Spool`."""
        found = self.found
        about = {
            'anchor': self._anchor,
            'title': title(found),
            'path': printable(found['path']),
            'group': self._common or found['path'],
            'of': self._common and self._of,
        }
        if found['error']:
            return self._unreadable(about)
        waiting = found['waiting']
        sections = Sections(found, self.rows, shared=self._shared).all()
        oldest = messages.before(waiting['oldest_seconds'], self._now)
        if not waiting['oldest_seconds'] and all(map(self._is_embargoed, waiting['names'])):
            oldest = None  # nothing is to go yet
        # What a person holds is late because of that person.
        late = oldest is not None and oldest.seconds > self._max_age and not self._is_held()
        late = late and bool(found['delivered']) and not self._shared
        partners = self._partners(sections)
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
            held=self._is_held(),
        )

    def _is_embargoed(self, each):
        begin = self.rows.moment(each.get('not_before'))
        return begin is not None and begin.seconds < 0

    def _is_held(self):
        return any(not each['name'] for each in self.found['held'])

    def _unreadable(self, about):
        error = self.found['error']
        away = self.found.get('here', True) is False
        text = _('The spool is not on this machine.') if away else _('The spool cannot be read.')
        trouble = Trouble(text, messages.said(error['message']), messages.said(error['hint']))
        return Spool(**about, error=trouble, elsewhere=away, trouble=[trouble])

    # Partners

    def _partners(self, sections):
        """Return the `Partner`s: of each direction one; several have a spool for each of them."""
        if self._shared:
            return []
        return [
            self._partner(self.found[key], direction, sections)
            for key, direction in (('delivered', 'out'), ('imported', 'in'))
            if self.found[key]
        ]

    def _partner(self, about, direction, sections):
        last = about['last_run'] or {}
        target = next(iter(self.found.get('targets') or ()), {})
        # Who delivers there: that is what a button is about.
        exporter = target.get('name') or ''
        server = target.get('server') or last.get('server') or ''
        code, took = last.get('exit_code'), last.get('seconds')
        locked = self.found.get('locked') if code == errors.COME_BACK_LATER else None
        newest = about['newest'] or {}
        partly = code == errors.FILES_FAILED
        settled = partly and not any(each.bad or each.kind in _LEFT for each in sections)
        return Partner(
            name=printable(target.get('partner') or exporter),
            server=printable(server),
            direction=direction,
            last=self.rows.moment(last.get('ended')),
            took='' if took is None else messages.duration(took),
            outcome=messages.outcome(code) if last else _('no run yet'),
            reason=messages.said(last.get('reason')),
            bad=bool(last) and not settled and code not in (errors.DONE, errors.COME_BACK_LATER),
            partly=partly,
            settled=settled,
            success=self.rows.moment(about['last_success']),
            newest=self.rows.moment(newest.get('filed') or newest.get('received')),
            lock=printable(locked['lock']) if locked else '',
            holder=messages.said(locked['holder']) if locked else '',
            locked=self.rows.moment(locked['since']) if locked else None,
            buttons=self.rows.buttons(exporter, 'unlock') if locked and exporter else (),
        )

    # Trouble

    def _trouble(self, late, partners, sections):
        has_bad_files = any(section.bad for section in sections)
        for partner in partners:
            # The files that have failed are shown themselves.
            if partner.bad and not (partner.partly and has_bad_files):
                text = _('The last run failed: ${outcome}.', mapping={'outcome': partner.outcome})
                yield Trouble(text, partner.reason, anchor=self._anchor)
            if partner.lock and (partner.locked is None or partner.locked.seconds > LOCKED_SECONDS):
                about = {'lock': partner.lock, 'age': partner.locked.age if partner.locked else '?'}
                text = _('The server has been locked by “${lock}” for ${age}.', mapping=about)
                yield Trouble(text, partner.holder, anchor=self._anchor)
        if late:
            text = _('The oldest file has waited for ${age}.', mapping={'age': late.age})
            yield Trouble(text, anchor=self._anchor)
        for section in sections:
            if section.bad:
                about = {'title': section.title, 'n': str(section.total)}
                text = _('${title}: ${n}', mapping=about)
                yield Trouble(text, _names(section), anchor=f'{self._anchor}-{section.kind}')
        found = self.found
        if found['killed'] and not found['active']:
            yield Trouble(_('The last run was killed. The next one cleans up after it.'))
        hint = f'zeit-cds journal verify --acknowledge --spool {printable(found["path"])}'
        if found['damaged'] or found['missing']:
            text = _('The journal is damaged, or parts of the history are missing.')
            yield Trouble(text, hint=hint)
        if found['restored']:
            text = _('This spool was copied, or restored from a backup.')
            yield Trouble(text, hint=hint)
        if found['disowned']:
            text = _('This spool is a copy: what its original left on servers is not removed.')
            hint = f'zeit-cds adopt --spool {printable(found["path"])}'
            yield Trouble(text, ', '.join(map(printable, found['disowned'])), hint)
