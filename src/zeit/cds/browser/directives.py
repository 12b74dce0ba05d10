"""ZCML: `<cds:page />` says where the page has its facts from."""

import zope.configuration.fields
import zope.interface
import zope.schema
from zope.component.zcml import utility
from zope.configuration.exceptions import ConfigurationError

from zeit.cds.browser.interfaces import ISite
from zeit.cds.browser.responses import Site
from zeit.cds.browser.source import Local, Remote
from zeit.cds.browser.status_page import MAX_AGE
from zeit.cds.credentials import SecretFile
from zeit.cds.errors import Error


class IPageDirective(zope.interface.Interface):
    """The page shows the spools of this machine, or, with a `url`, those of another one."""

    url = zope.schema.TextLine(
        title='Address',
        description='Of what "zeit-cds serve" serves where the spools are: https://host:port/',
        required=False,
    )

    user = zope.schema.TextLine(
        title='User',
        description='Who asks there, if it wants to know that.',
        required=False,
    )

    password_file = zope.configuration.fields.Path(
        title='Password file',
        description='File with the password of the user in its first line; mode 600 or 640.',
        required=False,
    )

    max_age = zope.schema.Int(
        title='Age',
        description='What waits for longer than that, in seconds, is shown as trouble.',
        required=False,
        min=1,
        default=MAX_AGE,
    )


def page(_context, *, url=None, user=None, password_file=None, max_age=MAX_AGE):
    """Register the `ISite`; see the schema.  Raises `zope.configuration`'s `ConfigurationError`."""
    if (user is None) != (password_file is None) or (user is not None and url is None):
        raise ConfigurationError('user and password_file go together, and with a url')
    credentials = None if user is None else (user, SecretFile(password_file))
    try:
        source = Local() if url is None else Remote(url, credentials=credentials)
    except Error as error:
        raise ConfigurationError(f'{error.message}. {error.hint}') from None
    utility(_context, component=Site(source, max_age=max_age), provides=ISite)
