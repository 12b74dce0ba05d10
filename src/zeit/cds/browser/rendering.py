"""HTML of the page, by Chameleon, which escapes all that is not a template; texts by zope.i18n.

A fragment is what an application puts into its own layout; `document` makes a whole page of it.
"""

import functools
import hashlib
import pathlib

import zope.component
import zope.i18n
from chameleon import PageTemplateFile
from zope.i18n.gettextmessagecatalog import GettextMessageCatalog
from zope.i18n.interfaces import ITranslationDomain
from zope.i18n.translationdomain import TranslationDomain

from zeit.cds.browser import csrf
from zeit.cds.browser.actions import VIEWS


HERE = pathlib.Path(__file__).parent

#: What the page is written in, the first one where nothing else is wanted.
LANGUAGES = 'en', 'de'

#: The name of the page, of the same for programs, and of the folder with its files.
PAGE, DATA, RESOURCES = '@@cds.html', '@@cds.json', '@@/zeit.cds'

#: After this many seconds the page looks again.
REFRESH_SECONDS = 10


def language(preferred):
    """Return the first of the `preferred` languages (RFC 5646) that the page is written in."""
    for each in preferred:
        known = each.lower().partition('-')[0]
        if known in LANGUAGES:
            return known
    return LANGUAGES[0]


def register_translations():
    """Register the texts of the page, where no `configure.zcml` has done so."""
    if zope.component.queryUtility(ITranslationDomain, name='zeit.cds') is None:
        domain = TranslationDomain('zeit.cds', ['en'])
        for path in sorted(HERE.glob('locales/*/LC_MESSAGES/zeit.cds.mo')):
            domain.addCatalog(
                GettextMessageCatalog(path.parts[-3], 'zeit.cds', str(path))
            )
        zope.component.provideUtility(domain, ITranslationDomain, name='zeit.cds')


def prepare():
    """Compile the templates, so that the first one who asks does not wait for that."""
    for path in sorted(HERE.glob('*.pt')):
        _template(path.name).cook_check()


def status(page, *, language, token='', message='', failure=None):
    """Return the `Page` as a fragment of HTML.

    `token` is that of `zeit.cds.browser.csrf`, for the buttons.  `message` says what was done just
    now; `failure` why it was not, as `messages.failure` tells it, or None.
    """
    return _render(
        'status.pt', language, page=page, token=token, message=message, failure=failure
    )


def confirmation(task, *, language, token, name, where, locks=None):
    """Return the question whether a `Task` of `actions` is to be done, a fragment.

    `name` is that of the file, `where` that of its spool, or of the server, as they are shown;
    `locks` are what `actions.locks` returns.
    """
    about = {'task': task, 'token': token, 'name': name, 'where': where, 'locks': locks}
    return _render('confirmation.pt', language, **about)


def document(fragment, *, language, refreshes=False):
    """Return a whole page around a fragment; `refreshes` also in browsers without JavaScript."""
    return _render('document.pt', language, fragment=fragment, refreshes=refreshes)


def embedded(fragment, *, language):
    """Return a fragment for the layout of an application, with its styles and script."""
    return _render('embedded.pt', language, fragment=fragment)


def article(lines, *, language):
    """Return the `Line`s of `zeit.cds.browser.article` as a fragment, '' for none."""
    return _render('article.pt', language, lines=lines).strip()


def _render(template, language, /, **options):
    return _template(template)(
        **options,
        language=language,
        views=VIEWS,
        field=csrf.FIELD,
        here=PAGE,
        resources=RESOURCES,
        version=_version(),
        interval=REFRESH_SECONDS,
        translate=zope.i18n.translate,
        target_language=language,
    )


@functools.cache
def _template(name):
    return PageTemplateFile(str(HERE / name))


@functools.cache
def _version():
    """Return what changes with the files that browsers keep."""
    digest = hashlib.sha256()
    for path in sorted((HERE / 'static').iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
