"""`--json`: what each parser takes, and docs/json.txt describes."""

import json
import os
import pathlib
import re
import unittest

from zeit.cds import text
from zeit.cds.cli.tests.test_command_line import CommandLine
from zeit.cds.tests.docs import TOP
from zeit.cds.tests.maincase import closed_port


DOCUMENT = TOP / 'docs' / 'json.txt'


def strict(data):
    """Parse JSON as strict parsers do: RFC 8259 section 8.2, RFC 7493."""

    def pairs(found):
        names = [name for name, _ in found]
        assert len(names) == len({*names}), names
        return dict(found)

    def constant(name):
        raise AssertionError(f'{name} is no JSON')

    found = json.loads(data, object_pairs_hook=pairs, parse_constant=constant)
    json.dumps(found, ensure_ascii=False).encode('utf-8')  # no lone surrogates
    return found


def keys(value):
    """Return the names in all objects of a value."""
    if isinstance(value, dict):
        return {*value}.union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def documented(section):
    """Return the words in double backquotes in a section of the document."""
    found = re.search(rf'(?s)\n{section}\n=+\n(.*?)(\n\n\n|\Z)', DOCUMENT.read_text('utf-8'))
    return {*re.findall(r'``(\w+)``', found[1])}


class StrictTests(unittest.TestCase):
    def test_what_strict_parsers_refuse(self):
        value = {
            'n\udcff': ['a\udc80b', 'x\ud83d', '\U0001f600'],
            'f': (float('nan'), float('inf'), -float('inf'), 1.5, 10**30),
            'o': {'none': None, 'true': True, 'deep': [{'\x00': 'ä\u2028'}]},
        }
        self.assertEqual(
            {
                'n\\xff': ['a\\x80b', 'x\\ud83d', '\U0001f600'],
                'f': [None, None, None, 1.5, 10**30],
                'o': {'none': None, 'true': True, 'deep': [{'\x00': 'ä\u2028'}]},
            },
            strict(text.strict_json(value)),
        )


class CommandTests(CommandLine):
    def setUp(self):
        super().setUp()
        for name in (b'bytes\xff.xml', b'.hidden\xfe'):
            pathlib.Path(os.fsdecode(bytes(self.path / 'new') + b'/' + name)).write_bytes(b'x')
        (self.path / 'new' / 'directory').mkdir()
        with self.spool.run():
            entry = next(e for e in self.spool.pending()[0] if e.name == 'b.xml')
            self.spool.park(entry, 'refused \udcff')
            view = self.spool.journal.at('ftp://h/')
            receipt = {'name': 'a\udcff', 'size': 1, 'sha256': '', 'reply': '226 \udc80'}
            view.receipt('delivered', {**receipt, 'filed_as': 'a\udcff'})
        self.spool.unpublished.add('http://xml.zeit.de/\udcff', 'no \udcff')
        with self.spool.batch() as batch:
            batch.put('c.xml', b'')
            batch.prepare(description='\udcff')

    def test_status(self):
        remote = ('--remote', 'ftp://test@127.0.0.1:1/in')
        for arguments in ((), remote):
            outcome = self.call('status', '--spool', self.path, '--json', *arguments)
            (found,) = strict(outcome.out)
            self.assertTrue(outcome.out.isascii())
            self.assertEqual(1, found['version'])
            self.assertIn('bytes\\xff.xml', [each['name'] for each in found['ignored']])
            self.assertEqual(set(), keys(found) - documented('status'))
        (found,) = strict(self.call('status', '--spool', '/no', '--json').out)
        self.assertEqual(1, found['version'])

    def test_receipt(self):
        outcome = self.call('receipt', '--spool', self.path, '--json', 'a\udcff')
        (found,) = strict(outcome.out)
        self.assertEqual((1, 'a\\xff'), (found['version'], found['name']))
        self.assertEqual({*found}, documented('receipt') - {'out', 'in', 'cur', 'new'})

    def test_run(self):
        url = f'ftp://test@127.0.0.1:{closed_port()}/in'
        for command, direction in (('export', 'out'), ('import', 'in')):
            outcome = self.call(command, '--spool', self.path, '--json', url)
            (found,) = strict(outcome.out)
            self.assertEqual((69, 69), (outcome.code, found['exit_code']))
            self.assertEqual((1, direction), (found['version'], found['direction']))
            self.assertEqual(url, found['server'])
            self.assertIn('refused', found['error']['message'])
            self.assertEqual(set(), keys(found) - documented('export and import'))
        # What never began is none.
        outcome = self.call('export', '--json')
        self.assertEqual((64, ''), (outcome.code, outcome.out))

    def test_log(self):
        outcome = self.call('log', '--spool', self.path, '--json', '--name', 'a*')
        (found,) = strict(outcome.out)
        self.assertEqual(('a\\xff', 'delivered'), (found['name'], found['event']))
        words = {'kind', 'null', 'cur', 'new', 'delivered', 'imported'}
        self.assertEqual({*found}, documented('log') - words)
