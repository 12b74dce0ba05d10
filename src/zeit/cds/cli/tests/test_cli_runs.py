"""The command line at work: deliveries, ZCML, status."""

import contextlib
import functools
import io
import json
import logging
import os
import unittest
import unittest.mock

from zeit.cds import errors
from zeit.cds.cli import console as console_module
from zeit.cds.cli.tests.test_command_line import PASSWORD, ServerCase
from zeit.cds.run.exporter import Exporter, Options
from zeit.cds.tests.maincase import closed_port
from zeit.cds.values.report import Report, Result


LOG = logging.getLogger('zeit.cds.tests')

ZCML = """\
<configure xmlns="http://namespaces.zeit.de/cds">
  <spool name="articles" path="{path}" />
  <spool name="images" path="{images}" />
  <target name="partner" directory="/"
      host="{server.host}" port="{server.port}" user="{server.user}"
      password_env="ZEIT_CDS_PASSWORD" />
  <target name="nobody" directory="/"
      host="127.0.0.1" port="1" user="me" password_env="ZEIT_CDS_PASSWORD" />
  <exporter name="articles" spool="articles" target="partner" max_files="1" />
  <exporter name="images" spool="images" target="nobody" />
</configure>
"""


class Deliveries(ServerCase):
    def test_success_is_silent_where_nobody_looks(self):
        outcome = self.export()
        self.assertEqual((0, '', ''), (outcome.code, outcome.out, outcome.err))
        self.assertEqual(['a.xml', 'b.xml'], sorted(os.listdir(self.server.root)))
        self.assertEqual(['a.xml', 'b.xml'], self.names('cur'))

    def test_a_terminal_gets_a_summary(self):
        outcome = self.export(terminal=True)
        self.assertEqual('2 files delivered (10 B), 0 failed\n', outcome.out)
        self.assertEqual('Nothing to deliver.\n', self.export(terminal=True).out)
        self.assertEqual('', self.export('-q', terminal=True).out)

    def test_json(self):
        (found,) = json.loads(self.export('--json', '--max-files', '1').out)
        self.assertEqual((0, True), (found['exit_code'], found['limited']))
        self.assertIsNone(found['error'])
        (file,) = found['files']
        self.assertEqual(('a.xml', 'delivered', 5), (file['name'], file['status'], file['size']))
        outcome = self.export('--json', '--dry-run', terminal=True)
        (found,) = json.loads(outcome.out)
        self.assertEqual([('b.xml', 'planned')], [(f['name'], f['status']) for f in found['files']])

    def test_a_dry_run_counts_what_cannot_be_read(self):
        opened = os.open

        def refuse(path, *arguments, **kw):
            if os.fspath(path).endswith('b.xml'):
                raise PermissionError(13, 'Permission denied')
            return opened(path, *arguments, **kw)

        with unittest.mock.patch('os.open', refuse):
            outcome = self.export('--dry-run')
        self.assertIn('Not delivered: b.xml: ', outcome.err)
        self.assertIn('1 file would be delivered (5 B), 1 failed', outcome.out)
        self.assertEqual(1, outcome.code)

    def test_dry_run(self):
        (self.path / 'new' / 'c\x1b[2J.xml').touch()
        outcome = self.export('--dry-run', '--order', 'name', '--max-files', '2')
        self.assertEqual(1, outcome.code)
        self.assertIn(r'Not delivered: c\x1b[2J.xml: The name contains the control', outcome.err)
        self.assertEqual(1, len(outcome.err.splitlines()))
        self.assertEqual(
            'a.xml (5 B)\nb.xml (5 B)\n2 files would be delivered (10 B), 1 failed\n', outcome.out
        )
        self.assertEqual([], os.listdir(self.server.root))
        self.assertEqual([], self.names('cur'))

    def test_options_reach_the_run_and_the_target(self):
        seen = {}

        def run_once(exporter, options=None):
            seen.update(options=options, target=exporter.target)
            return Report()

        with unittest.mock.patch.object(Exporter, 'run_once', run_once):
            self.export(
                *('--order=name', '--strict', '--max-files=3', '--max-bytes=4', '--empty=skip'),
                *('--dry-run', '--no-temporary', '--no-size-check', '--exists=park'),
                *('--encoding=latin-1', '--connect-timeout=1.5', '--reply-timeout=2'),
                *('--data-timeout=3', '--park-after=2', '--deadline=0'),
                url=f'{self.url}/a%20b',
            )
        expected = Options(
            order='name', strict=True, max_files=3, max_bytes=4, empty='skip', dry_run=True,
            park_after=2, deadline=0,
        )  # fmt: skip
        self.assertEqual(expected, seen['options'])
        delivery, settings = seen['target'].delivery, seen['target'].settings
        self.assertEqual(
            (False, False, 'park'), (delivery.temporary, delivery.size_check, delivery.exists)
        )
        self.assertEqual(('/a b', 'latin-1'), (settings.directory, settings.encoding))
        timeouts = settings.connect_timeout, settings.reply_timeout, settings.data_timeout
        self.assertEqual((1.5, 2, 3), timeouts)

    def test_passwords_from_a_file_and_from_netrc(self):
        del self.environ['ZEIT_CDS_PASSWORD']
        path = self.folder / 'password'
        path.write_text(f'{PASSWORD}\n')
        path.chmod(0o644)
        outcome = self.export('--max-files', '1', '--password-file', path)
        self.assert_line(outcome, 0, 'warning: The password file .* can be read by everybody')
        netrc = self.folder / '.netrc'
        netrc.write_text(f'machine {self.server.host} login test password {PASSWORD}\n')
        netrc.chmod(0o644)
        said = r'warning: ~/.netrc can be read by everybody: chmod o-r .*/.netrc$'
        self.assert_line(self.export(), 0, said)
        netrc.chmod(0o600)
        self.assertEqual((0, ''), (self.export().code, self.export().err))
        self.assertEqual(['a.xml', 'b.xml'], self.names('cur'))

    def test_the_password_is_nowhere(self):
        log = self.folder / 'log'
        outcome = self.export('-vv', '--log-file', log)  # looks through both outputs
        self.assertIn('> PASS ***', outcome.err)
        self.assertIn('Exiting with success.', log.read_text())
        self.assertNotIn(PASSWORD, log.read_text())
        self.assertNotIn(PASSWORD, ' '.join(self.names('cur')))

    def test_verbosity_before_and_behind_the_command(self):
        log = 'INFO    Exiting with success.'
        self.assertIn(log, self.export('-v').err)
        outcome = self.call('-v', 'export', '--spool', self.path, self.url)
        self.assertIn('INFO    No new files to export.', outcome.err)
        self.assertEqual('', self.call('-q', 'export', '-v', '--spool', self.path, self.url).err)

    def test_a_report_of_somebody_else(self):
        """An `IReport` need not have the attribute `errors`."""

        class Foreign:
            error = errors.LockLeftBehind('The lock stays', hint='Delete it.')
            exit_code, delivered, failed = 73, [], [('x', 'why')]
            results = (Result(name='x', status='failed'),)

        with unittest.mock.patch.object(Exporter, 'run_once', lambda self, options: Foreign()):
            outcome = self.export()
        self.assertEqual(73, outcome.code)
        self.assertEqual(
            'zeit-cds: The lock stays. Delete it.\nzeit-cds: 0 files delivered (0 B), 1 failed\n',
            outcome.err,
        )


class Console(unittest.TestCase):
    """What it remembers of a run, it forgets with the next one."""

    def told(self, *reports):
        """Return the lines about these, of which each is that of a run."""
        out = io.StringIO()
        with contextlib.redirect_stderr(out):
            console = console_module.Console()

            def run(report):
                for name, reason in report.failed:
                    LOG.error('Not delivered: %s: %s', name, reason)
                for error in report.errors:
                    if isinstance(error, errors.Interrupted):
                        LOG.warning('%s', error.message)  # as the log of a run does
                console.tell_report(report)
                return 0

            def all_of_them():
                for report in reports:
                    console.guarded(functools.partial(run, report), about='a')
                return len(console._handler.shown) > 1

            self.assertFalse(console.run(all_of_them), 'it grows')
        return out.getvalue().splitlines()

    def test_another_run_fails_for_the_same_reason(self):
        refused = errors.FTPOSError(111, 'Connection refused')
        refused.while_connecting = True
        result = Result(name='a.xml', status='failed', reason='Connection refused')
        failed = Report(results=[result])
        told = self.told(failed, failed, *3 * [Report(errors=[refused])])
        self.assertEqual(3, len([line for line in told if 'Could not connect' in line]), told)
        both = Report(results=failed.results, errors=[refused])
        self.assertIn('Could not connect', str(self.told(both)))

    def test_what_was_told_with_a_file_is_told_once(self):
        full = errors.SpoolFull('No space left', hint='Make room.')
        result = Result(name='a.xml', status='failed', reason='No space left. Make room.')
        told = self.told(Report(results=[result], errors=[full]))
        self.assertEqual(1, str(told).count('No space left'), told)

    def test_what_the_log_has_told_is_told_once_in_each_run(self):
        report = Report(errors=[errors.Interrupted('This run was ended.')])
        told = self.told(report, report)
        self.assertEqual(2, str(told).count('This run was ended'), told)

    def test_a_holder_that_is_not_known(self):
        told = self.told(
            Report(
                results=[Result(name='a.xml', status='failed', reason='550 No.')],
                errors=[errors.Locked('write')],
            )
        )
        self.assertIn("'write' lockfile exists", str(told))


class ZcmlCase(ServerCase):
    """A ZCML file with two spools and two exporters."""

    def setUp(self):
        super().setUp()
        self.use_own_registry()
        (self.folder / 'images').mkdir()
        self.file = self.folder / 'cds.zcml'
        images = self.folder / 'images'
        self.file.write_text(ZCML.format(path=self.path, images=images, server=self.server))


class Zcml(ZcmlCase):
    def test_one_exporter_by_name(self):
        self.spool.put('c.xml', b'')
        outcome = self.call('--zcml', self.file, 'export', 'articles', terminal=True)
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        # max_files="1" of the exporter is not forgotten when another option is given.
        outcome = self.call('export', '--order', 'name', 'articles', '--zcml', self.file)
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertEqual(['a.xml', 'b.xml'], self.names('cur'))

    def test_several(self):
        from zeit.cds.spool.spool import Spool

        Spool(self.folder / 'images').put('i.png', b'i')
        outcome = self.call('--zcml', self.file, 'export', 'images', 'articles', terminal=True)
        self.assertEqual(69, outcome.code)
        self.assertEqual('articles: 1 file delivered (5 B), 0 failed\n', outcome.out)
        self.assertRegex(outcome.err, '(?s)^zeit-cds: images: Could not .* refused.*runs.\n$')

    def test_an_unknown_name(self):
        outcome = self.call('--zcml', self.file, 'export', 'x')
        self.assert_line(outcome, 64, "no exporter 'x' in .* Known: articles, images.")
        outcome = self.call('--zcml', self.file, 'export')
        self.assert_line(outcome, 64, 'has 2 exporters; name one, .*all. Known: articles, images.')
        outcome = self.call('--zcml', self.file, 'status', 'x')
        self.assert_line(outcome, 64, "no spool or exporter 'x' in .* Known: articles, images.")

    def test_a_bad_file(self):
        self.file.write_text('<configure xmlns="http://namespaces.zeit.de/cds"><nonsense/>')
        self.assert_line(self.call('--zcml', self.file, 'export'), 78, 'cds.zcml.*line 1')
        outcome = self.call('--zcml', self.folder / 'no', 'export')
        self.assert_line(outcome, 78, 'No such file')

    def test_a_password_in_a_bad_file(self):
        for mistake in ('bogus="1"', 'connect_timeout="x"', 'password_env="Y"'):
            self.file.write_text(
                '<configure xmlns="http://namespaces.zeit.de/cds">\n'
                f'<target name="t" host="h" password="{PASSWORD}" {mistake} />\n</configure>'
            )
            # `call` looks for it in the traceback as well.
            self.assertEqual(78, self.call('-vv', '--zcml', self.file, 'export').code)

    def test_none_at_all(self):
        self.assert_line(
            self.call('--zcml', self.file, 'import'), 64, r'There is no importer in .*\.zcml$'
        )
        self.assert_line(
            self.call('--zcml', self.file, 'unlock'), 64, 'has 2 exporters or importers; name'
        )

    def test_status(self):
        self.call('--zcml', self.file, 'export', 'articles')
        outcome = self.call('--zcml', self.file, 'status', 'articles', '--remote')
        self.assertEqual(0, outcome.code, outcome.err)
        self.assertRegex(outcome.out, r'(?s)^Spool articles: .*1 file, 5 B.*b.xml.*not locked\n$')
        Spool = self.spool.__class__
        Spool(self.folder / 'images').put('i.png', b'i')
        outcome = self.call('--zcml', self.file, 'status', '--remote')
        self.assertEqual(69, outcome.code)
        self.assertRegex(outcome.out, r'(?s)Spool images: .*i.png.*images: host.*refused.*listens')


class Status(ServerCase):
    def status(self, *arguments):
        return self.call('status', '--spool', self.path, *arguments)

    def test_everything(self):
        self.export('--max-files', '1')
        (self.path / 'new' / 'sub').mkdir()
        for number in range(12):
            (self.path / 'new' / f'{number:02}\u202e.xml').write_bytes(b'x' * 1024)
        for name in ('write', 'a\nb', '.xml'):
            (self.path / 'new' / name).write_bytes(b'x')
        with self.spool.run():
            entry = self.spool.pending()[0][0]
            self.spool.park(entry, 'refused\nfor ever\x1b')
            before = sorted(self.path.rglob('*'))
            outcome = self.status()
            found = json.loads(self.status('--json').out)
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertEqual(before, sorted(self.path.rglob('*')))
        for line in (
            r'waiting    12 files, 12.0 KiB, the oldest for \d s:',
            r' +\d s +1.0 KiB  00\\u202e.xml',
            r' +and 2 more',
            r'delivered  1 file in cur, latest \d s ago:',
            r'parked     1 file, not retried until "zeit-cds retry NAME":',
            r' +b.xml for \d s: refused\\nfor ever\\x1b',
            r'ignored    4 in new, never sent:',
            r" +a\\nb is refused: the name contains the control character '\\n'",
            r' +write is refused: the name is the one of a lock file',
            r'last run   \d s ago, successful',
            r' +sub is a directory, not a regular file',
            r' +.xml begins with a dot, like a temporary file',
            rf'run        active: process {os.getpid()} on .*',
        ):
            self.assertRegex(outcome.out, f'(?m)^  {line}$')
        self.assertLessEqual(max(map(len, outcome.out.splitlines())), 80)
        (found,) = found
        self.assertEqual((12, 12 * 1024), (found['waiting']['files'], found['waiting']['bytes']))
        self.assertRegex(found['waiting']['names'][0]['arrived'], r'T\d\d:\d\d:\d\d\+00:00$')
        self.assertEqual('b.xml', found['parked'][0]['name'])
        self.assertRegex(found['parked'][0]['since'], r'T\d\d:\d\d:\d\d\+00:00$')
        self.assertEqual('a.xml', found['delivered']['newest']['name'])
        self.assertEqual(['.xml'], found['hidden'])

    def test_nothing(self):
        self.export()
        for name in self.names('cur'):
            (self.path / 'cur' / name).unlink()
        outcome = self.status()
        self.assertRegex(outcome.out, 'waiting    nothing\n  delivered  nothing in cur\n')
        found = self.found()['delivered']
        self.assertEqual((0, None), (found['files'], found['newest']))
        self.assertEqual(0, found['last_run']['exit_code'])

    def found(self, *arguments):
        return json.loads(self.status('--json', *arguments).out)[0]

    def test_a_run_without_a_server(self):
        self.call('export', '--spool', self.path, f'ftp://me@127.0.0.1:{closed_port()}//')
        self.assertRegex(
            self.status().out,
            r'last run   \d s ago, exit code 69\n +server: ftp://me@127.0.0.1:\d+/\n'
            r' +reason: Connection refused. Nothing listens there: [^\n]+\n +[^\n]+\n'
            r' +last success: none yet\n',
        )

    def test_why_a_file_waits(self):
        (self.server.root / 'b.xml').mkdir()  # a file is not renamed onto that
        for _ in range(2):
            self.export()
        text = self.status().out
        self.assertRegex(
            text,
            r' 5 B  b.xml\n +failed in 2 runs, the last \d s ago:\n +.*[Ii]s a directory',
        )
        self.assertRegex(text, r'ago, exit code 1\n +server: .*\n +reason: 1 file not delivered\n')
        (waiting,) = self.found()['waiting']['names']
        self.assertEqual(2, waiting['attempts'])
        self.assertIn('directory', waiting['reason'])
        self.assertRegex(waiting['last_attempt'], r'T\d\d:\d\d:\d\d')
        # Of another version nothing is known.
        self.spool.put('b.xml', b'another')
        self.assertNotIn('failed in', self.status().out)
        (waiting,) = self.found()['waiting']['names']
        self.assertEqual((0, None), (waiting['attempts'], waiting['reason']))

    def test_what_a_limit_has_left(self):
        self.call('export', '--spool', self.path, '--max-files', '1', self.url)
        self.assertIn('left the rest for the next run', self.status().out)
        self.assertIs(True, self.found()['delivered']['last_run']['limited'])
        self.export()
        self.assertNotIn('left the rest', self.status().out)

    def test_a_lock_that_a_killed_run_has_left(self):
        with self.spool.run():
            token = self.spool.journal.new_token(self.url.removesuffix('/'))
        content = f'{token} zeit.cds, host there, pid 7, since 2026-01-01T00:00:00+00:00\n'
        (self.server.root / 'write').write_text(content)
        outcome = self.status('--remote', self.url)
        self.assertRegex(
            outcome.out,
            rf"locked by 'write'\n +It says: {token} zeit.cds, host there, pid 7 \(since [^)]+\)\n"
            rf' +made by a run of {self.path}, which is over; the next run removes it\n',
        )
        lock = self.found('--remote', self.url)['servers'][0]['lock']
        self.assertNotIn('\\n', lock['holder'])
        self.assertIn('which is over', lock['whose'])
        (self.server.root / 'write').write_text('somebody\nelse\n')
        self.assertNotIn('of a run of', self.status('--remote', self.url).out)
        self.assertRegex(self.export().err, r'It says: somebody else \(since')

    def test_a_fresh_spool_is_empty(self):
        fresh = self.folder / 'fresh'
        fresh.mkdir()
        outcome = self.call('status', '--spool', fresh)
        self.assertEqual((0, ''), (outcome.code, outcome.err))
        self.assertRegex(outcome.out, 'waiting    nothing\n  delivered  nothing in cur\n')
        self.assertEqual([], os.listdir(fresh))

    def test_no_spool(self):
        outcome = self.call('status', '--spool', self.folder / 'no')
        self.assertEqual(78, outcome.code)
        self.assertIn('error      There is no spool at ', outcome.out)

    def test_who_holds_the_lock(self):
        remote = '--remote', self.url
        self.assertIn('\n             not locked\n', self.status(*remote).out)
        self.assertIn('it lists no files', self.status(*remote).out)
        found = self.found(*remote)['servers'][0]
        self.assertEqual((False, False), (found['locked'], found['listed']))
        (self.server.root / 'a.xml').write_text('an article')
        self.assertNotIn('it lists no files', self.status(*remote).out)
        self.assertIs(True, self.found(*remote)['servers'][0]['listed'])
        (self.server.root / 'a.xml').unlink()
        (self.server.root / 'read').write_text('the partner\x1b')
        outcome = self.status(*remote)
        self.assertEqual(0, outcome.code)
        self.assertRegex(outcome.out, r"locked by 'read'\n +It says: the partner\\x1b \(since 2")
        self.assertEqual('read', self.found(*remote)['servers'][0]['lock']['name'])
        self.assertEqual(['read'], os.listdir(self.server.root))

    def test_what_cannot_be_asked(self):
        self.environ['ZEIT_CDS_PASSWORD'] = 'wrong'
        outcome = self.status('--remote', self.url)
        self.assertEqual((77, ''), (outcome.code, outcome.err))
        self.assertRegex(outcome.out, '(?s)a.xml.*530 .*Check user and password')
        self.assertEqual(77, self.found('--remote', self.url)['servers'][0]['error']['exit_code'])
        outcome = self.call('status', '--spool', self.folder / 'no')
        self.assertEqual(78, outcome.code)
        self.assertIn('error', outcome.out)
