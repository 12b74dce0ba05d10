"""A profile answers as the real server has answered, of which docs/servers.txt tells."""

import pathlib
import re
import unittest

import zeit.cds
from zeit.cds.testing import layers
from zeit.cds.testing.profiles import PROFILES
from zeit.cds.tests import probe


DOCUMENT = pathlib.Path(zeit.cds.__file__).parents[3] / 'docs' / 'servers.txt'
#: What is asked of one connection while another command runs, and what is no answer.
OTHER = {'port in STOR', 'names changed', 'server'}
#: The row of a profile that has not the name of one.
ROWS = {'inetutils': 'inetutils-12', 'ordinary': 'proftpd-13'}


def rows():
    """Return what the tables tell, a dictionary by name of the server."""
    found = {}
    text = DOCUMENT.read_text('utf-8').split(probe.BEGIN)[1].split(probe.END)[0]
    heads = []
    for line in text.splitlines():
        cells = re.split(' {2,}', line.strip())
        if cells[0] == 'server':
            heads = cells
        elif len(cells) == len(heads):
            row = found.setdefault(cells[0].split(' ')[0], {})
            row.update(zip(heads, cells, strict=True))
    return found


class Probe(probe.Probe):
    """The same questions to a fault server, which has no disk."""

    def client(self):
        for path in self.server.files:
            self.server.delete(path)
        for path in reversed(self.server.directories):
            self.server.remove_directory(path)
        return super().client()

    def plant(self, *names, content=b'1234'):
        for name in names:
            self.server.put(f'/{name}', content)

    def make(self, *names):
        for name in names:
            self.server.make_directory(f'/{name}')

    def stored(self, name):
        return len(self.server.files.get(f'/{name}', b''))

    def there(self):
        return [path[1:] for path in (*self.server.files, *self.server.directories)]


class MirrorTests(unittest.TestCase):
    layer = layers.QUIET
    level = 2

    def test_answers_are_those_of_the_real_server(self):
        told = rows()
        for name, profile in PROFILES.items():
            if profile.answers.denied:
                continue
            row = told[ROWS.get(name, name)]
            with self.subTest(name), profile.server() as server:
                server.clear = bool
                found = Probe(server).answers()
                expected = {head: row[head] for head in found if head not in OTHER}
                self.assertEqual(expected, {head: found[head] for head in expected})
