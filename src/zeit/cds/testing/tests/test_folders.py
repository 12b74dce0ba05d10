"""What the tests see in a directory in which a server is still at work."""

import pathlib
import tempfile
import unittest

from zeit.cds.tests.folders import contents


class Changing:
    """A directory in which a file gets another name while it is looked at for the first time."""

    def __init__(self, path):
        self._path = path
        self.looks = 0

    def iterdir(self):
        self.looks += 1
        for entry in list(self._path.iterdir()):
            if self.looks == 1:
                entry.rename(entry.with_name('after'))
            yield entry


class ContentsTests(unittest.TestCase):
    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_files_and_directories(self):
        (self.path / 'a').write_bytes(b'text')
        (self.path / 'b').mkdir()
        self.assertEqual({'a': b'text', 'b': None}, contents(self.path))

    def test_what_changes_meanwhile_is_looked_at_anew(self):
        (self.path / 'before').write_bytes(b'text')
        changing = Changing(self.path)
        self.assertEqual({'after': b'text'}, contents(changing))
        self.assertEqual(2, changing.looks)
