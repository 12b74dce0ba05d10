"""The files of a spool that are to be told of, in sections: failed, parked, held, waiting."""

from zeit.cds.browser import messages
from zeit.cds.browser.messages import _
from zeit.cds.browser.page_values import Row, Section
from zeit.cds.browser.source import SHOWN
from zeit.cds.browser.table_rows import NAME_CHARACTERS
from zeit.cds.publish.publisher import pause_after
from zeit.cds.text import printable


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
        """Yield the sections in the order of the page; those of the same kind are one method."""
        found, row, imported = self._found, self._rows.row, self._found['imported'] or {}
        failed, waiting = self._waiting()
        given_up, parked = self._parked()
        yield failed
        yield parked
        yield _section(
            'unpublished',
            _('Not published'),
            found['unpublished'],
            self._unpublished,
            bad=True,
            note=_('The application tries again by itself.'),
        )
        yield _section(
            'in-doubt',
            _('In doubt'),
            found['in_doubt'],
            self._in_doubt,
            bad=True,
            note=_('Transactions that did not end: the next run decides.'),
        )
        yield _section(
            'ignored',
            _('Never sent'),
            found['ignored'],
            lambda each: row(each, texts=[messages.said(each['reason'])]),
            bad=bool(found['delivered']),
        )
        note = _('It is not sent until somebody releases it.')
        yield _section('held', _('Held'), found['held'], self._held, note=note)
        yield _section(
            'unfetched',
            _('On the server, not fetched yet'),
            imported.get('failed', []),
            lambda each: row(each, texts=self._attempts(each)),
            bad=True,
        )
        yield _section(
            'undeleted',
            _('Fetched, but still on the server'),
            imported.get('undeleted', []),
            lambda each: row(each, since='since'),
        )
        yield _section(
            'filing',
            _('Sent, on the way to cur'),
            found['filing']['names'],
            lambda each: row(each, since='arrived'),
            total=found['filing']['files'],
        )
        yield _section(
            'retracted',
            _('To be deleted on the server'),
            found['retracted'],
            lambda each: row({**each, 'name': each['name'] or each['id']}, since='since'),
        )
        if not self._shared:
            yield waiting
        yield given_up

    def _waiting(self):
        """Return the sections of what has failed, and of what has not been tried yet."""
        waiting = self._found['waiting']
        held = {each['name'] for each in self._found['held']}
        tried = [each for each in waiting['names'] if each['attempts']]
        # What is held is not tried again.
        failed = [each for each in tried if each['name'] not in held]
        rest = [e for e in waiting['names'] if not e['attempts'] and e['name'] not in held]
        all_failed = waiting.get('failed', len(tried)) - (len(tried) - len(failed))
        all_held = sum(each['name'] in held for each in waiting['names'])
        return (
            _section(
                'failed',
                _('Failed'),
                failed,
                lambda each: self._rows.row(
                    each, 'hold', 'park', texts=self._attempts(each), since='arrived'
                ),
                bad=True,
                total=all_failed,
                note=_('The next run tries again.'),
            ),
            _section(
                'waiting',
                _('Waiting'),
                rest,
                lambda each: self._rows.row(each, since='arrived'),
                total=waiting['files'] - all_held - all_failed,
            ),
        )

    def _parked(self):
        """Yield the sections of what was given up by hand, and of what is to be looked after."""
        note = _('What is parked is not sent, until somebody presses “Retry”.')
        for kind, title, actions, given_up in (
            ('given-up', _('Parked by hand'), ['retry'], True),
            ('parked', _('Parked'), ['retry', 'give-up'], False),
        ):
            yield _section(
                kind,
                title,
                [each for each in self._found['parked'] if each['given_up'] == given_up],
                lambda each, actions=actions: self._row_with_reason(each, *actions),
                bad=not given_up,
                note=note,
            )

    # Rows

    def _row_with_reason(self, each, *actions):
        texts = [messages.said(each['reason'])]
        return self._rows.row(each, *actions, texts=texts, since='since')

    def _held(self, each):
        row = self._row_with_reason(each, 'release')
        return row if each['name'] else row._replace(name=_('The whole spool'))

    def _unpublished(self, each):
        texts = [
            _('It could not be retracted.') if each['retracts'] else '',
            messages.said(each['reason']),
            self._next(each),
        ]
        about = {'name': each['id'], 'since': each['since']}
        return self._rows.row(about, 'retry', texts=texts, since='since')

    def _in_doubt(self, each):
        # A page of another machine may be of an older version.
        names = [*each['names'], *each.get('retracts', ())]
        names = [printable(name, limit=NAME_CHARACTERS) for name in names]
        known = _('It is committed.') if each['committed'] else ''
        who = ', '.join(filter(None, (each['description'], each['user'])))
        return Row(
            ', '.join(names[:SHOWN]),
            '',
            since=self._rows.moment(each['since']),
            texts=tuple(filter(None, (messages.said(who), known))),
        )

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
        left = pause_after(each['attempts']) - last.seconds
        if left <= 0:
            return _('Attempts: ${n}, the next one is due', mapping=number)
        return _('Attempts: ${n}, the next one in ${age}', mapping=number | {
            'age': messages.age(left)
        })  # fmt: skip


def _section(kind, title, found, row, *, bad=False, total=None, note=''):
    """Return the `Section` of what is `found`, by `row(each)`; `total` if that is not all."""
    rows = [row(each) for each in found[:SHOWN]]
    return Section(kind, title, rows, len(found) if total is None else total, bad, note)
