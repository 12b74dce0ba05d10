"""`zeit-cds partners`: who gets the files of a spool, and who does not any more."""

import datetime
import io
import json
import os
import re
import unittest.mock

from zeit.cds import errors
from zeit.cds.check import local
from zeit.cds.cli.tests.test_command_line import ServerCase
from zeit.cds.run.exporter import Exporter
from zeit.cds.spool import sharing
from zeit.cds.spool.partner import Partner
from zeit.cds.spool.sharing import Sharing, Terms, known
from zeit.cds.testing.memory import MemoryTarget


class _Keyboard(io.StringIO):
    def isatty(self):
        return True


class PartnersCase(ServerCase):
    def setUp(self):
        super().setUp()
        url = self.url.removesuffix('/')
        self.terms = [Terms('agency', 'ftp://me@elsewhere:21/'), Terms('archive', url)]
        for each in self.terms:
            with self.partner(each).run():
                pass

    def partner(self, terms):
        return Partner(self.spool, terms, everybody=lambda: self.terms)


class Told(PartnersCase):
    def test_what_was_withdrawn_some_may_have_had(self):
        self.spool.withdraw('a.xml', 'It was wrong.')
        found = self.call('status', '--spool', self.path).out
        self.assertIn('1 file in withdrawn, not sent any more', found)
        self.assertNotIn('never sent', found)


    def test_what_is_embargoed_has_not_waited(self):
        for name in 'a.xml', 'b.xml':
            self.spool.withdraw(name, 'Another day.')
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        self.spool.put('c.xml', b'c', not_before=moment)
        found = self.call('partners', '--spool', self.path).out
        self.assertEqual(2, found.count('1 file waiting, 1 B, all embargoed'), found)


class Receipts(PartnersCase):
    def test_who_the_partners_are_cannot_be_read(self):
        for content in '{', '[]', '{"agency": {}}':
            with self.subTest(content):
                (self.path / sharing.REGISTRY).write_text(content)
                outcome = self.receipt()
                self.assertEqual(errors.SpoolError.exit_code, outcome.code, outcome.err)
                self.assertIn('is damaged', outcome.err)
        (self.path / sharing.REGISTRY).chmod(0)
        if os.geteuid():
            self.assertEqual(errors.SpoolError.exit_code, self.receipt().code)

    def receipt(self, *arguments):
        return self.call('receipt', '--spool', self.path, 'a.xml', *arguments)

    def deliver(self, name):
        terms = {each.name: each for each in self.terms}[name]
        exporter = Exporter(self.partner(terms), MemoryTarget())
        self.assertEqual(['a.xml', 'b.xml'], exporter.run_once().delivered)

    def test_each_names_its_partner(self):
        for each in self.terms:
            self.deliver(each.name)
        outcome = self.receipt()
        self.assertEqual(0, outcome.code, outcome.err)
        self.assertEqual(['agency', 'archive'], re.findall('partner  (.*)', outcome.out))

    def test_the_oldest_of_all_is_the_first(self):
        for name in 'archive', 'agency':
            self.deliver(name)
        self.spool.put('a.xml', b'newer')
        self.spool.withdraw('a.xml', 'It was wrong.')
        outcome = self.receipt()
        moments = [each.strip() for each in re.findall('^  (20.*),', outcome.out, re.MULTILINE)]
        self.assertEqual(sorted(moments), moments)
        found = json.loads(self.receipt('--json').out)
        whose = [each['spool'] or 'all' for each in found]
        self.assertEqual(['archive', 'agency', 'all'], list(dict.fromkeys(whose)))

    def test_those_of_one_who_was_removed_remain(self):
        self.deliver('archive')
        Sharing(self.path).leave('archive')
        outcome = self.receipt()
        self.assertEqual(['archive'], re.findall('partner  (.*)', outcome.out))
        (found,) = json.loads(self.receipt('--json').out)
        self.assertEqual('archive', found['spool'])


class ForAll(PartnersCase):
    """What is done in the spool is done for its partners, and once."""

    def setUp(self):
        super().setUp()
        self.use_own_registry()
        self.zcml_path = self.path.parent / 'cds.zcml'
        exporters = ''.join(
            f'<cds:target name="{each.name}" host="localhost" port="{number}" user="me" '
            f'password="secret" directory="/" />'
            f'<cds:exporter name="{each.name}" spool="articles" target="{each.name}" />'
            for number, each in enumerate(self.terms, start=1)
        )
        self.zcml_path.write_text(
            '<configure xmlns="http://namespaces.zope.org/zope" '
            'xmlns:cds="http://namespaces.zeit.de/cds"><include package="zeit.cds" />'
            f'<cds:spool name="articles" path="{self.path}" />{exporters}</configure>'
        )

    def told(self, *arguments):
        """Call a command; return what the log then says of each, and of each partner once."""
        outcome = self.call('--zcml', self.zcml_path, *arguments)
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        found = json.loads(self.call('--zcml', self.zcml_path, 'log', '--json').out)
        kinds = 'held', 'given_up'
        return outcome, sorted(each['spool'] for each in found if each['event'] in kinds)

    def test_the_partners_of_a_spool_that_has_had_no_run(self):
        os.unlink(self.path / sharing.REGISTRY)
        outcome = self.call('--zcml', self.zcml_path, 'partners')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertEqual(2, outcome.out.count('2 files waiting'), outcome.out)
        for each in self.terms:
            self.assertIn(f'  {each.name}: ftp://me@localhost', outcome.out)

    def test_a_hold_of_what_is_to_come(self):
        outcome, found = self.told('hold', 'c.xml')
        self.assertEqual(['agency', 'archive', 'articles'], found)
        self.assertEqual(1, outcome.out.count('is held'), outcome.out)

    def test_the_check_names_each_partner_as_status_does(self):
        for command in 'check', 'status':
            outcome = self.call('--zcml', self.zcml_path, command)
            for each in self.terms:
                self.assertIn(f'Partner {each.name}: {self.path}\n', outcome.out, command)

    def test_one_without_an_exporter_is_named_by_the_check(self):
        for present, named in ((self.terms, []), (self.terms[1:], ['agency'])):
            partner = Partner(self.spool, self.terms[1], everybody=lambda: present)  # noqa: B023
            found = [each for each in local.spool(partner) if each.name == 'partners']
            self.assertEqual(named, [each.found.split()[0] for each in found])

    def test_one_without_an_exporter_is_told_of_once_by_the_check(self):
        self.terms.append(Terms('third', 'ftp://me@third:21/'))
        with self.partner(self.terms[-1]).run():
            pass
        found = self.call('--zcml', self.zcml_path, 'check').out
        self.assertEqual(1, found.count('third gets files of this spool'), found)

    def test_one_without_an_exporter_has_a_status(self):
        text = self.zcml_path.read_text()
        self.zcml_path.write_text(re.sub('<cds:exporter name="archive".*?/>', '', text))
        for names in [], ['archive']:
            outcome = self.call('--zcml', self.zcml_path, 'status', '--json', *names)
            found = {each['name']: each['waiting']['files'] for each in json.loads(outcome.out)}
            self.assertEqual(2, found['archive'], outcome.out)
        self.assertEqual(64, self.call('--zcml', self.zcml_path, 'status', 'other').code)

    def test_a_hold_of_the_whole_spool(self):
        _, found = self.told('hold', '--all')
        self.assertEqual(['agency', 'archive', 'articles'], found)

    def test_what_one_has_failed_to_send_is_dropped_once(self):
        with self.partner(self.terms[1]).run() as run:
            (entry,) = run.entries(['a.xml'])
            with run.open(entry):
                pass
        outcome, found = self.told('drop', 'a.xml', '--yes')
        self.assertEqual(['archive', 'articles'], found)
        self.assertEqual(1, outcome.out.count('is not sent'), outcome.out)


class Removing(PartnersCase):
    def kill(self):
        """Leave what a killed run leaves; return its token."""
        with self.partner(self.terms[1]).run() as run:
            token = run.journal.new_token(self.terms[1].url)
        lock = self.server.root / 'write'
        lock.write_text(f'{token} zeit.cds, host here, pid 4711\n')
        lock.chmod(0o666)
        return token

    def remove(self, *arguments):
        found = 'partners', '--spool', self.path, '--remove', 'archive'
        return self.call(*found, *arguments, terminal=not arguments)

    def test_nothing_waits_for_it_then(self):
        outcome = self.remove('--yes')
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertEqual(['agency'], [*known(self.path)])

    def test_a_program_must_be_sure(self):
        outcome = self.call('partners', '--spool', self.path, '--remove', 'archive')
        self.assert_line(outcome, 64, 'no terminal')
        self.assertEqual(['agency', 'archive'], [*known(self.path)])

    def test_what_a_killed_run_has_left_on_the_server_is_told(self):
        token = self.kill()
        outcome = self.remove('--yes')
        self.assertEqual(73, outcome.code)
        self.assertEqual(['agency'], [*known(self.path)])
        self.assertIn(token, outcome.err)
        # What it says to do does it.
        command = re.search('"zeit-cds (unlock [^"]*)"', outcome.err)[1].split()
        done = self.call(*command, '--yes')
        self.assertEqual((0, ''), (done.code, done.err))
        self.assertFalse((self.server.root / 'write').exists())

    def test_a_person_is_told_before(self):
        self.kill()
        with unittest.mock.patch('sys.stdin', _Keyboard('n\n')):
            outcome = self.remove()
        self.assertEqual((75, ''), (outcome.code, outcome.err))
        self.assertIn('killed', outcome.out)
        self.assertEqual(['agency', 'archive'], [*known(self.path)])
