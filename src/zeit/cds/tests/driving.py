"""What the tests of drivers share: a spool, an exporter, and who is told about its runs."""

import pathlib
import queue
import tempfile
import unittest.mock

import zope.component
import zope.component.testing

from zeit.cds.interfaces import IExchangeFinished, IExporter, ISpool, ITarget
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.spool.source import Source
from zeit.cds.spool.spool import Spool
from zeit.cds.spool.wake import wake_exporters
from zeit.cds.testing.memory import MemoryTarget
from zeit.cds.zcml.handlers import ConfiguredExporter


#: Seconds after which a test gives up.
TIMEOUT = 20


class DriverCase:
    """Mixin for a TestCase: the exporter `articles` of `spool`; `runs` has its reports."""

    def setUp(self):
        super().setUp()
        zope.component.testing.setUp()
        self.addCleanup(zope.component.testing.tearDown)
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.spool = Spool(self.folder / 'spool')
        self.spool.path.mkdir()
        self.target = MemoryTarget()
        self.runs = queue.SimpleQueue()
        zope.component.provideUtility(self.spool, ISpool, name='articles')
        zope.component.provideUtility(self.target, ITarget, name='partner')
        zope.component.provideAdapter(Exporter)
        zope.component.provideHandler(wake_exporters)
        zope.component.provideHandler(
            lambda event: self.runs.put(event.report), (IExchangeFinished,)
        )
        self.exporter = ConfiguredExporter(spool='articles', target='partner', options=Options())
        zope.component.provideUtility(self.exporter, IExporter, name='articles')

    def next_run(self):
        """Wait for the end of a run; return its report."""
        return self.runs.get(timeout=TIMEOUT)

    def names(self, section):
        return sorted(path.name for path in (self.spool.path / section).iterdir())


def undigested():
    """Return a context manager: inside of it files get no digest, as large ones."""
    read = Source.readinto

    def readinto(source, buffer):
        count = read(source, buffer)
        source.skip_digest()
        return count

    return unittest.mock.patch.object(Source, 'readinto', readinto)
