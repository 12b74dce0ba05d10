"""An application with zeit.cms and zeit.cds, for the drivers: its ZCML, and how it publishes."""

import zope.component.testing
import zope.interface

from zeit.cds import zcml
from zeit.cds.tests import cms


#: What an integrator writes: all of it, but for the adapter.
ZCML = """\
<configure
    xmlns="http://namespaces.zope.org/zope"
    xmlns:cds="http://namespaces.zeit.de/cds">

  <include package="zeit.cms" />
  <include package="zeit.cds" />

  <adapter
      for="zeit.cms.content.Article"
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


class Deliverable:
    """The adapter."""

    wanted = True

    def __init__(self, article):
        self.name = f'{article.uuid}.xml'
        self.open = article.open


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
    zcml.load(path)


def publish(name):
    """Publish an article in zeit.cms; return the name of its file."""
    from zeit.cms.content import Article
    from zeit.cms.workflow.interfaces import IPublish

    article = Article(
        name, uuid=f'{{urn:uuid:{name}}}', body=b'<article>%s</article>' % name.encode()
    )
    IPublish(article).publish()
    return f'{article.uuid}.xml'
