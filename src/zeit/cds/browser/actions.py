"""What a button of the page does, to one file or server: by the same calls as the command line."""

import contextlib
import hashlib
import logging
import urllib.parse
from typing import NamedTuple

from zeit.cds.browser.messages import _, decoded, encoded
from zeit.cds.cli import file_actions, retry, unlock
from zeit.cds.errors import FileError, SpoolBusy, UsageError
from zeit.cds.lock import unlocking
from zeit.cds.text import printable
from zeit.cds.usable import require_usable


log = logging.getLogger(__name__)

RETRY, WITHDRAW, UNLOCK = PERMISSIONS = 'zeit.cds.Retry', 'zeit.cds.Withdraw', 'zeit.cds.Unlock'
VIEW = 'zeit.cds.ViewStatus'

#: What to do when somebody else, or a run, was faster.
RELOAD = _('Reload the page.')

#: Longest reason that is kept, in characters.
REASON_CHARACTERS = 300


class Action(NamedTuple):
    """A button: the `permission` that it takes, its `label`, and a `question`, '' for none.

    What has a question is done after a second look, and with a reason where it has one.
    """

    permission: str
    label: str
    question: str = ''
    has_reason: bool = False


ACTIONS = {
    'retry': Action(RETRY, _('Retry')),
    'resend': Action(RETRY, _('Send once more'), _('Send this file once more?')),
    'release': Action(RETRY, _('Release')),
    'hold': Action(
        RETRY, _('Hold'), _('Hold this file, so that no run sends it until it is released?'), True
    ),
    'park': Action(
        RETRY, _('Park'), _('Park this file, so that it is not sent, and raises no alarm?'), True
    ),
    # What is parked already: a person says that it is in order so.
    'give-up': Action(
        RETRY,
        _('Give up'),
        _('Give this file up, so that it stays parked, and raises no alarm any more?'),
        True,
    ),
    'withdraw': Action(
        WITHDRAW,
        _('Withdraw'),
        _('Withdraw this file? What waits is not sent; what was delivered is deleted on the '
          'server by the next run, if it is still ours.'),
        True,
    ),  # fmt: skip
    'unlock': Action(UNLOCK, _('Unlock')),
}

#: The page that a button of this permission posts to.
VIEWS = {RETRY: '@@cds-retry', WITHDRAW: '@@cds-withdraw', UNLOCK: '@@cds-unlock'}


class Task(NamedTuple):
    """What is to be done: an `action` on a file `name`, in the `spool` of that name or path.

    Of `unlock` the name is that of an exporter or importer, and `seen` tells which lock was shown.
    """

    action: str
    spool: str
    name: str
    seen: str = ''

    @property
    def about(self):
        """Its `Action`."""
        return ACTIONS[self.action]

    @property
    def view(self):
        """The page that does it."""
        return VIEWS[self.about.permission]

    @property
    def value(self):
        """What stands in a form, ASCII; see `parsed`."""
        fields = {'action': self.action, 'spool': encoded(self.spool), 'name': encoded(self.name)}
        return urllib.parse.urlencode(fields | ({'seen': self.seen} if self.seen else {}))


def parsed(value, *, permission):
    """Return the `Task` of a `value` that a form has sent to the page of a `permission`.

    Raises `UsageError` if it is none.
    """
    value = value if isinstance(value, str) else ''
    fields = dict(urllib.parse.parse_qsl(value, keep_blank_values=True))
    if fields.get('action') not in ACTIONS or not fields.keys() >= {'spool', 'name'}:
        raise UsageError(
            _('The form is incomplete'), hint=_('Go back to the page and try again.')
        )
    task = Task(
        fields['action'], decoded(fields['spool']), decoded(fields['name']), fields.get('seen', '')
    )
    if task.about.permission != permission:
        raise UsageError(
            _('The form was sent to the wrong page'), hint=_('Go back to the page and try again.')
        )
    return task


def perform(task, *, spools, reason='', who=''):
    """Do what the `task` says; return what was done, a message.

    `spools` are the `SelectedSpool`s of this machine, `who` is a person, for the log and receipts.
    Raises `Error`.
    """
    selected = _selected(task.spool, spools)
    if task.action in _BY_NAME:
        file_actions.require_names([task.name])
    said = ' '.join(reason.split())[:REASON_CHARACTERS] or 'no reason given'
    reason = printable(f'{who}: {said}' if who else said, limit=2 * REASON_CHARACTERS)
    where = printable(str(selected.spool.path))
    log.info('%s: %s %s in %s', printable(who), task.action, printable(task.name), where)
    return _DO[task.action](selected, task, reason)


def _selected(key, spools):
    for known in ('path', 'name'):  # an exporter may be called as its spool is
        for selected in spools:
            name = selected.name if known == 'name' else str(selected.spool.path)
            if key == name and key:
                return selected
    about = {'name': printable(key)}
    raise UsageError(_('There is no spool ${name} on this machine', mapping=about), hint=RELOAD)


def _retry(selected, task, reason):
    for _name, _path, error in retry.bring_back([task.name], [selected]):
        if error is not None:
            raise error
    return _('${name} waits again; the next run sends it.', mapping=_shown(task))


def _resend(selected, task, reason):
    selected.spool.resend(task.name)
    return _('${name} waits once more; the next run sends it.', mapping=_shown(task))


def _waits(selected, task):
    # What waits for one of several partners may be in the spool that they have in common.
    return any(each.name == task.name for each in selected.spool.status().waiting)


def _hold(selected, task, reason):
    if task.name and not _waits(selected, task):
        # It may have been delivered since the page was shown; the next file of that name is meant
        # by nobody here.
        raise FileError(_('${name} does not wait any more', mapping=_shown(task)), hint=RELOAD)
    if selected.spool.hold(task.name, reason):
        return _(
            '${name} is held, but a version of it is being delivered at this moment, and may go.',
            mapping=_shown(task),
        )
    return _('${name} is held until it is released.', mapping=_shown(task))


def _release(selected, task, reason):
    if not selected.spool.release(task.name):
        raise FileError(_('${name} is not held', mapping=_shown(task)), hint=RELOAD)
    return _('${name} is released; the next run sends it.', mapping=_shown(task))


def _park(selected, task, reason):
    if not selected.spool.drop(task.name, reason):
        raise FileError(
            _('${name} neither waits nor is parked', mapping=_shown(task)), hint=RELOAD
        )
    return _('${name} is parked, and not sent.', mapping=_shown(task))


def _give_up(selected, task, reason):
    # Somebody else may have retried it meanwhile: then it is sent.
    if _waits(selected, task) or not selected.spool.drop(task.name, reason):
        raise FileError(_('${name} is not parked any more', mapping=_shown(task)), hint=RELOAD)
    return _('${name} is given up: it stays parked, and raises no alarm.', mapping=_shown(task))


def _withdraw(selected, task, reason):
    if _waits(selected, task):
        if selected.spool.withdraw(task.name, reason):
            return _('${name} is withdrawn, and not sent.', mapping=_shown(task))
        raise _not_withdrawn(selected, task)
    urls = file_actions.take_back(selected.spool, task.name, reason)
    if not urls:
        raise FileError(
            _('${name} neither waits, nor is it known to be delivered', mapping=_shown(task)),
            hint=RELOAD,
        )
    return _(
        '${name} will be deleted on ${server} by the next run, if it is still ours.',
        mapping=_shown(task) | {'server': ', '.join(map(printable, urls))},
    )


def _not_withdrawn(selected, task):
    """Return the error of what waits, and yet was not withdrawn."""
    shown = _shown(task)
    if getattr(selected.spool, 'shared', None) is None or selected.spool.status().active:
        return SpoolBusy(
            _('${name} is being delivered at this moment', mapping=shown),
            hint=_('Try again when the run has ended.'),
        )
    return SpoolBusy(
        _('${name} cannot be withdrawn before the first run of this partner', mapping=shown),
        hint=_('Park it: then it is not sent either.'),
    )


def _shown(task):
    return {'name': printable(task.name) or _('The whole spool')}


# The lock


class SeenLock(NamedTuple):
    """A lock on a server: its `name`, what it says, whose it is ('' if not ours), and a `task`."""

    name: str
    description: str
    whose: str
    task: Task


def locks(task, *, spools):
    """Return the `SeenLock`s of the server of a `task`, a list: what there is to confirm.

    A lock that belongs to an active run has no task.  Raises `Error`.
    """
    selected = _selected(task.spool, spools)
    with _session(selected, task) as session:
        return [_seen(found, selected, task) for found in unlocking.find(session)]


def _seen(found, selected, task):
    ours = found.tokens & unlock.own_tokens(selected.spool)
    whose = unlock.of_a_run(selected.spool) if ours else ''
    free = not (ours and selected.spool.status().active)
    return SeenLock(
        found.name,
        found.description,
        whose,
        task._replace(seen=_digest(found)) if free else None,
    )


def _digest(found):
    shown = repr((found.name, found.content, found.inside, found.since))
    return hashlib.sha256(shown.encode('utf-8', 'backslashreplace')).hexdigest()


def where(task, *, spools):
    """Return how the spool of a `task` is called, of `unlock` the server.  Raises `Error`."""
    selected = _selected(task.spool, spools)
    if task.action == 'unlock':
        return _target(selected, task).title
    return selected.name or str(selected.spool.path)


def _target(selected, task):
    target = dict(selected.targets).get(task.name)
    if target is None:
        about = {'name': printable(task.name)}
        raise UsageError(_('There is no exporter ${name}', mapping=about), hint=RELOAD)
    return target


@contextlib.contextmanager
def _session(selected, task):
    target = _target(selected, task)
    require_usable(target)
    session = unlock.opened(target, spools=[selected.spool])
    try:
        yield session
    finally:
        session.close()


def _unlock(selected, task, reason):
    with _session(selected, task) as session:
        for found in unlocking.find(session):
            if _digest(found) == task.seen:
                if _seen(found, selected, task).task is None:
                    raise SpoolBusy(_('The lock belongs to a run that is active'))
                remover = unlocking.Remover(session)
                remover.remove(found)
                return _removed(found, exclusive=remover.exclusive)
    raise FileError(
        _('The lock that was shown is not there any more'),
        hint=_('Nothing was removed. Look again.'),
    )


def _removed(found, *, exclusive):
    about = {'lock': printable(found.name)}
    if exclusive:
        return _(
            'The lock “${lock}” was removed. Until the next run, this page shows what the last one '
            'has seen.',
            mapping=about,
        )
    return _(
        'The lock “${lock}” was removed. The server cannot rename it, so a new one made at that '
        'moment is gone as well. Until the next run, this page shows what the last one has seen.',
        mapping=about,
    )


_DO = {
    'retry': _retry,
    'resend': _resend,
    'hold': _hold,
    'release': _release,
    'park': _park,
    'give-up': _give_up,
    'withdraw': _withdraw,
    'unlock': _unlock,
}

#: What is done to a file, whose name no path may be.
_BY_NAME = 'resend', 'park', 'give-up', 'withdraw'
