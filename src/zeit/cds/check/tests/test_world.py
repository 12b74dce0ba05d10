"""The table of a check beside docs/servers.txt: on each server of the world, in clear and TLS."""

import contextlib
import os
import pathlib
import re
import unittest

from zeit.cds.check.finding import CAN, CANNOT, FAILED
from zeit.cds.check.tests.test_server import check, results
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import layers
from zeit.cds.testing.certificates import Certificates
from zeit.cds.testing.daemon import ServerUnavailable
from zeit.cds.testing.tls import TLS
from zeit.cds.testing.world import SERVERS
from zeit.cds.tests import docs
from zeit.cds.tests.folders import in_memory
from zeit.cds.tests.test_contract import target
from zeit.cds.tests.tour import AT_ONCE, IN_TLS, OF_NO_USE


#: Names that are changed, as the document calls them, and as a finding does.
KINDS = {
    'leading': 'blanks at ends',
    'trailing': 'blanks at ends',
    'quote': 'quotes',
    'utf-8': 'umlauts',
}

#: It stores the name, and lists question marks: the document says what is stored.
LISTS_MARKS = 'busybox'


def known():
    """Return what the document says of each server: the cells of both tables by column."""
    tables = docs.find('docs/servers.txt').partition('answers begin')[2]
    found = {}
    for table in re.findall(r'\n\n((?:  \S.*\n)+)', tables.partition('answers end')[0]):
        head, *rows = (re.split(r' {2,}', row.strip()) for row in table.splitlines())
        for row in rows:
            found.setdefault(row[0].split()[0], {}).update(zip(head, row, strict=True))
    return found


def expected(told):
    """Return what the server can (True) or cannot, by the names of findings, as far as is told."""
    changed = told['names changed']
    wrong = {kind for word, kind in KINDS.items() if word in changed}
    return {
        'replace': told['onto file'] == '250',
        'guard locks': 'merged' not in told['onto dir'],
        'tell sizes': told['SIZE'].startswith('213'),
        'tell times': told['MDTM'] == '213',
        'list by MLSD': told['MLSD'][0] == '2',
        **{f'keep {kind}': kind not in wrong for kind in KINDS.values()},
    }


class WorldTests(unittest.TestCase):
    layer = layers.QUIET
    level = 2

    def setUp(self):
        super().setUp()
        docs.require(self, 'docs/servers.txt')

    def test_each_is_known(self):
        self.assertEqual({*SERVERS}, {*known()})

    def test_in_clear(self):
        for name, told in known().items():
            with self.subTest(name), contextlib.suppress(ServerUnavailable):
                with SERVERS[name]() as server:
                    self.compare(name, told, server)

    def test_in_tls(self):
        with Certificates() as certificates:
            for name in IN_TLS:
                implicit = name in AT_ONCE
                tls = TLS(certificate=certificates.server, implicit=implicit)
                options = {
                    'tls': 'implicit' if implicit else 'explicit',
                    'ca_file': str(certificates.ca_file),
                }
                with self.subTest(name), contextlib.suppress(ServerUnavailable):
                    with SERVERS[name](tls=tls) as server:
                        found = self.compare(name, known()[name], server, **options)
                        self.assertEqual(CAN, found['speak TLS'])
                        self.assertEqual('ok', found['certificate'])

    def compare(self, name, told, server, **options):
        directory = getattr(server, 'home', '/').replace('//', '/')
        findings = check(Spool(in_memory(self)), target(server, directory=directory, **options))
        found = results(findings)
        self.assertEqual([], os.listdir(pathlib.Path(server.root)))
        self.assertEqual(name in OF_NO_USE, FAILED in found.values(), findings)
        wanted = expected(told)
        if name == LISTS_MARKS:
            wanted['keep umlauts'] = False
        for about in wanted.keys() & found.keys():
            self.assertEqual(CAN if wanted[about] else CANNOT, found[about], findings[about])
        if told['EPSV'] != '229':
            self.assertEqual(CANNOT, found.get('use EPSV', CANNOT))
        elif found.get('take two commands') == CAN:
            self.assertNotIn('use EPSV', found)
        if (told['one packet'], told['behind port']) != ('all', 'answered'):
            self.assertNotEqual(CAN, found.get('take two commands'))
        if name not in OF_NO_USE:
            self.assertLessEqual(wanted.keys(), found.keys())
        return found
