"""The files of a spool that are to be told of, in sections: failed, parked, held, waiting."""

from zeit.cds.browser import messages
from zeit.cds.browser.messages import _
from zeit.cds.browser.page_values import Row, Section
from zeit.cds.browser.source import SHOWN
from zeit.cds.browser.table_rows import NAME
from zeit.cds.publish.publisher import FIRST, LONGEST
from zeit.cds.text import printable
from zeit.cds.values.backoff import pause


class Sections:
    """Makes the `Section`s of what is `found` in a spool, by its `rows`, see `Rows`.

    What waits is told for each partner where it is `shared` by several.
    """

    def __init__(self, found, rows, *, shared):
        self._found = found
        self._rows = rows
        self._shared = shared

    def all(self):
        """Return the `Section`s that have any, a list."""
        return [each for each in self._each() if each.total]

    def _each(self):
        yield from (self._failed(), self._parked(given_up=False), self._unpublished())
        yield from (self._in_doubt(), self._ignored(), self._held(), self._unfetched())
        yield from (self._undeleted(), self._filing(), self._retracted())
        yield from () if self._shared else (self._waiting(),)
        yield self._parked(given_up=True)

    def _section(self, kind, title, found, row, *, bad=False, total=None, note=''):
        rows = [row(each) for each in found[:SHOWN]]
        return Section(kind, title, rows, len(found) if total is None else total, bad, note)

    def _attempts(self, each):
        last = self._rows.moment(each['last_attempt'])
        number = {'n': str(each['attempts'])}
        tried = _('Attempts: ${n}', mapping=number)
        if last:
            tried = _('Attempts: ${n}, the last one ${age} ago', mapping=number | {'age': last.age})
        return messages.said(each['reason']), tried

    def _next(self, each):
        """Return when a publication that failed is due: the publisher waits for that long."""
        number = {'n': str(each['attempts'])}
        last = self._rows.moment(each.get('last_attempt'))
        if last is None:
            return _('Attempts: ${n}', mapping=number)
        left = pause(each['attempts'], first=FIRST, longest=LONGEST) - last.seconds
        if left <= 0:
            return _('Attempts: ${n}, the next one is due', mapping=number)
        return _('Attempts: ${n}, the next one in ${age}', mapping=number | {
            'age': messages.age(left)
        })  # fmt: skip

    def _waiting(self):
        waiting, held = self._found['waiting'], self._held_names
        rest = [e for e in waiting['names'] if not e['attempts'] and e['name'] not in held]
        elsewhere = sum(each['name'] in held for each in waiting['names'])
        return self._section(
            'waiting',
            _('Waiting'),
            rest,
            lambda each: self._rows.row(each, since='arrived'),
            total=waiting['files'] - elsewhere - self._failed().total,
        )

    @property
    def _held_names(self):
        return {each['name'] for each in self._found['held']}

    def _failed(self):
        waiting, held = self._found['waiting'], self._held_names
        tried = [each for each in waiting['names'] if each['attempts']]
        # What is held is not tried again.
        failed = [each for each in tried if each['name'] not in held]
        total = waiting.get('failed', len(tried))
        return self._section(
            'failed',
            _('Failed'),
            failed,
            lambda each: self._rows.row(
                each, 'hold', 'park', texts=self._attempts(each), since='arrived'
            ),
            bad=True,
            total=total - (len(tried) - len(failed)),
            note=_('The next run tries again.'),
        )

    def _parked(self, *, given_up):
        found = [each for each in self._found['parked'] if each['given_up'] == given_up]
        return self._section(
            'given-up' if given_up else 'parked',
            _('Parked by hand') if given_up else _('Parked'),
            found,
            lambda each: self._rows.row(
                each,
                *('retry', 'give-up')[: 1 if given_up else 2],
                texts=[messages.said(each['reason'])],
                since='since',
            ),
            bad=not given_up,
            note=_('What is parked is not sent, until somebody presses “Retry”.'),
        )

    def _unpublished(self):
        return self._section(
            'unpublished',
            _('Not published'),
            self._found['unpublished'],
            lambda each: self._rows.row(
                {'name': each['id']},
                'retry',
                texts=[
                    _('It could not be retracted.') if each['retracts'] else '',
                    messages.said(each['reason']),
                    self._next(each),
                ],
            )._replace(since=self._rows.moment(each['since'])),
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
                since=self._rows.moment(each['since']),
                texts=tuple(filter(None, (messages.said(who), known))),
            )

        note = _('Transactions that did not end: the next run decides.')
        found = self._found['in_doubt']
        return self._section('in-doubt', _('In doubt'), found, row, bad=True, note=note)

    def _ignored(self):
        found = self._found['ignored']
        return self._section(
            'ignored',
            _('Never sent'),
            found,
            lambda each: self._rows.row(each, texts=[messages.said(each['reason'])]),
            bad=bool(self._found['delivered']),
        )

    def _held(self):
        def row(each):
            found = self._rows.row(
                each,
                'release',
                texts=[messages.said(each['reason'])],
                since='since',
            )
            return found if each['name'] else found._replace(name=_('The whole spool'))

        note = _('It is not sent until somebody releases it.')
        return self._section('held', _('Held'), self._found['held'], row, note=note)

    def _filing(self):
        filing = self._found['filing']
        return self._section(
            'filing',
            _('Sent, on the way to cur'),
            filing['names'],
            lambda each: self._rows.row(each, since='arrived'),
            total=filing['files'],
        )

    def _retracted(self):
        return self._section(
            'retracted',
            _('To be deleted on the server'),
            self._found['retracted'],
            lambda each: self._rows.row({'name': each['name'] or each['id'], **{
                key: each[key] for key in ('since',)}}, since='since'),
        )  # fmt: skip

    def _unfetched(self):
        found = (self._found['imported'] or {}).get('failed', [])
        return self._section(
            'unfetched',
            _('On the server, not fetched yet'),
            found,
            lambda each: self._rows.row(each, texts=self._attempts(each)),
            bad=True,
        )

    def _undeleted(self):
        found = (self._found['imported'] or {}).get('undeleted', [])
        return self._section(
            'undeleted',
            _('Fetched, but still on the server'),
            found,
            lambda each: self._rows.row(each, since='since'),
        )
