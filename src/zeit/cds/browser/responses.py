"""What is answered to a request: whoever has one, of Zope or of `zeit-cds serve`, asks here.

The caller has found out who the person is, and what that person is allowed; that a form comes from
a page of ours is found out here, before anything is done.
"""

import functools
from typing import NamedTuple

import zope.interface

from zeit.cds.browser import actions, csrf, messages, rendering, status_page
from zeit.cds.browser.interfaces import ISite
from zeit.cds.browser.messages import _, decoded
from zeit.cds.browser.shared_look import Looks
from zeit.cds.browser.source import SEARCH_CHARACTERS
from zeit.cds.errors import Error
from zeit.cds.text import printable, strict_json


HTML, JSON = 'text/html;charset=utf-8', 'application/json'

OK, FORBIDDEN, CONFLICT, UNAVAILABLE = 200, 403, 409, 503


class Visitor(NamedTuple):
    """A person: `who`, '' for nobody known; the `language` of the answer; what is `allowed`.

    `allowed` are permissions, see `zeit.cds.browser.actions`; `cookie` is the value that the
    browser has for `csrf.cookie_name`, or None.
    """

    who: str = ''
    language: str = 'en'
    allowed: frozenset = frozenset()
    cookie: str | None = None


class Answer(NamedTuple):
    """A `status`, a `body` (str) of this `type`, the `token` to be set as a cookie, '' for none.

    The body of HTML is a fragment, see `rendering.document`, which takes `refreshes`.
    """

    body: str
    status: int = OK
    type: str = HTML
    token: str = ''
    refreshes: bool = False


@zope.interface.implementer(ISite)
class Site:
    """The pages that show a `source`, see `zeit.cds.browser.source`.

    What waits for longer than `max_age` seconds is trouble.  `also` are others that have looked,
    and `forget` when something was done.
    """

    def __init__(self, source, *, max_age=status_page.MAX_AGE, also=()):
        self.source = source
        self.max_age = max_age
        self._also = also
        self._made = _Made()
        self._whole = Looks(lambda: strict_json(self.source.everything()))

    def __repr__(self):
        return f'<{type(self).__name__} of {self.source!r}>'

    def page(self, query, visitor):
        """Answer GET `@@cds.html`; `query` is a mapping: `find` a text, or `file`, see `_text`."""
        return self._page(visitor, text=_text(query))

    def data(self, query):
        """Answer GET `@@cds.json`: what `status --json` prints.

        All who ask get the same for a while, see `Looks`.  With `short` it is what the page shows
        of each spool; with `find` what is found, and with `content` what is known of the content
        with that id.
        """
        try:
            if isinstance(query.get('content'), str):
                found = self.source.of(query['content'])
            elif query.get('find'):
                found = self.source.find(_text(query))
            elif query.get('short'):
                found = self.source.objects()
                body = self._made.get(found, JSON, lambda token: strict_json(found))
                return Answer(body, type=JSON)
            else:
                return Answer(self._whole.get(), type=JSON)
        except Error as error:
            body = strict_json({'error': printable(error.message), 'hint': error.hint})
            return Answer(body, UNAVAILABLE, JSON)
        return Answer(strict_json(found), type=JSON)

    def act(self, permission, form, visitor, *, url, origin='', site=''):
        """Answer POST to the page of a `permission`, see `zeit.cds.browser.actions.VIEWS`.

        `form` is a mapping; `url` is that of the request, `origin` and `site` are its headers
        Origin and Sec-Fetch-Site.
        """
        try:
            csrf.require(
                field=form.get(csrf.FIELD),
                cookie=visitor.cookie,
                url=url,
                origin=origin,
                site=site,
            )
            if permission not in visitor.allowed:
                raise csrf.Forged(_('That is not allowed'))
            task = actions.parsed(form.get('task'), permission=permission)
        except Error as error:
            return self._page(visitor, failure=error, status=FORBIDDEN)
        try:
            return self._act(task, form, visitor)
        except Error as error:
            self._forget()
            return self._page(visitor, failure=error, status=CONFLICT)

    def _forget(self):
        for each in (self.source, self._whole, *self._also):
            each.forget()

    def _act(self, task, form, visitor):
        spools = self.source.select()
        sure = form.get('confirmed') == 'yes'
        if task.action == 'unlock' and not (sure and task.seen):
            locks = actions.locks(task, spools=spools)
            return self._ask(task, visitor, spools, locks=locks)
        if task.about.question and not sure:
            return self._ask(task, visitor, spools)
        reason = form.get('reason')  # Zope makes a list of several
        reason = reason if isinstance(reason, str) else ''
        done = actions.perform(task, spools=spools, reason=reason, who=visitor.who)
        self._forget()
        return self._page(visitor, message=done)

    def _ask(self, task, visitor, spools, *, locks=None):
        token = csrf.token(visitor.cookie)
        body = rendering.confirmation(
            task,
            language=visitor.language,
            token=token,
            name=printable(task.name) or _('The whole spool'),
            where=printable(actions.where(task, spools=spools)),
            locks=locks,
        )
        return Answer(body, token=token)

    def _page(self, visitor, *, text='', message='', failure=None, status=OK):
        allowed = visitor.allowed if self.source.acts else frozenset()
        token = csrf.token(visitor.cookie) if allowed else ''
        # The name of a file, to which there is a link, may be no text.
        shown = printable(text, limit=SEARCH_CHARACTERS)
        about = {'text': shown, 'elsewhere': self.source.elsewhere or ''}
        failed = failure and messages.failure(failure)
        render = functools.partial(
            rendering.status, language=visitor.language, message=message, failure=failed
        )
        is_usual = not (text or message or failure)
        try:
            objects = self.source.objects()
            answer = self.source.find(text) if text else None
        except Error as error:
            body = render(status_page.unreadable(error, **about), token=token)
        else:
            about |= {'allowed': allowed, 'max_age': self.max_age}

            def made(token):
                return render(status_page.of(objects, answer, **about), token=token)

            key = visitor.language, allowed
            body = self._made.get(objects, key, made, token=token) if is_usual else made(token)
        return Answer(body, status, token=token, refreshes=is_usual)


class _Made:
    """What was made of the last look: all who ask until the next one get the same."""

    def __init__(self):
        self._known = None, {}

    def get(self, look, key, make, *, token=''):
        """Return what `make(token)` returns, a str, or has returned for this `look` and `key`."""
        known, texts = self._known
        if known is not look:
            texts = {}
            self._known = look, texts
        if key not in texts:
            # It is random, so that no text of others has it.
            stand_in = token and csrf.token(None)
            texts[key] = make(stand_in), stand_in
        text, stand_in = texts[key]
        return text.replace(stand_in, token) if token else text


def _text(query):
    """Return what is searched for: `find`, or the name of a `file`, which is encoded."""
    file = query.get('file')
    text = decoded(file) if isinstance(file, str) and file else query.get('find')
    return text.strip() if isinstance(text, str) else ''
