"""An application with zeit.cms and zeit.cds, for the drivers: its ZCML, and how it publishes."""

import zope.component.testing
import zope.interface

from zeit.cds.interfaces import IRetraction, IVersionedDeliverable
from zeit.cds.tests import cms
from zeit.cds.zcml import handlers


ZCML = """\
<configure
    xmlns="http://namespaces.zope.org/zope"
    xmlns:cds="http://namespaces.zeit.de/cds">

  <include package="zeit.cms" />
  <include package="zeit.cds" />

  <adapter
      for="zeit.content.article.article.Article"
      provides="zeit.cds.interfaces.IDeliverable"
      factory="zeit.cds.tests.application.Deliverable"
      name="articles"
      />

  <cds:spool name="articles" path="{folder}/spool" />
  <cds:target
      name="partner"
      host="{server.host}"
      port="{server.port}"
      user="{server.user}"
      password_file="{folder}/password"
      directory="/"
      {options}
      />
  <cds:exporter name="articles" spool="articles" target="partner" />
  {more}

</configure>
"""


@zope.interface.implementer(IVersionedDeliverable)
class Deliverable:
    """The adapter; the text of an article is its version."""

    wanted = True

    def __init__(self, article):
        self.name = f'{article.uuid}.xml'
        self.version = article.body.decode()
        self.open = article.open


@zope.interface.implementer(IRetraction)
class Retraction:
    """An adapter that wants to have deleted what was delivered, for who registers `DELETE`."""

    answer = 'delete'

    def __init__(self, article):
        pass


#: ZCML for that.
DELETE = """
  <adapter
      for="zeit.content.article.article.Article"
      provides="zeit.cds.interfaces.IRetraction"
      factory="zeit.cds.tests.application.Retraction"
      name="articles"
      />
"""


def write(folder, server, *, more='', options=''):
    """Write the ZCML and what it needs into `folder` (Path); return the path of the ZCML file."""
    for section in ('tmp', 'new', 'cur'):
        (folder / 'spool' / section).mkdir(parents=True)
    (folder / 'password').write_text(server.password)
    (folder / 'password').chmod(0o600)
    path = folder / 'site.zcml'
    path.write_text(ZCML.format(folder=folder, server=server, more=more, options=options))
    return path


def load(test, path):
    """Read the ZCML in this process, until the end of `test`."""
    zope.component.testing.setUp()
    test.addCleanup(zope.component.testing.tearDown)
    test.enterContext(cms.importable(cms.CMS))
    handlers.load(path)


def publish(name, *, text=None):
    """Publish an article in zeit.cms, with `text` or its name; return the name of its file."""
    from zeit.cms.workflow.interfaces import IPublish

    article = _article(name, name if text is None else text)
    IPublish(article).publish()
    return f'{article.uuid}.xml'


def retract(name):
    """Retract an article in zeit.cms."""
    from zeit.cms.workflow.interfaces import IPublish

    IPublish(_article(name, '')).retract()


def _article(name, text):
    from zeit.content.article.article import Article

    body = b'<article>%s</article>' % text.encode()
    return Article(name, uuid=f'{{urn:uuid:{name}}}', body=body)
