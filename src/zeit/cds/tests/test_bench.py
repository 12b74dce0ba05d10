"""What bin/bench counts, draws and calls; all of it together is tried by `bin/bench --quick`."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import types
import unittest
import unittest.mock
import xml.etree.ElementTree

import zeit.cds
from zeit.cds.cli import main
from zeit.cds.testing import layers


ROOT = pathlib.Path(zeit.cds.__file__).parents[3]
RTT = 0.02

FIN, SYN = 1, 2


class BenchCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        if not (ROOT / 'bench').is_dir():
            self.skipTest('bench belongs to the checkout, which is not here')
        self.addCleanup(sys.path.remove, str(ROOT))
        sys.path.append(str(ROOT))


class TraceTests(BenchCase):
    """Round trips: the longest chain of messages, each sent after the one before had come in."""

    def packets(self, *rows):
        """Return packets from rows (ms, port of the server, negative: from there, data, flags)."""
        from bench.trace import Packet

        return [
            Packet(ms / 1000, port > 0, 40000, abs(port), flags, len(data), data)
            for ms, port, data, flags in rows
        ]

    def count(self, *rows):
        from bench.trace import depths

        return [depth for _, depth in depths(self.packets(*rows), rtt=RTT)]

    def test_a_question_and_its_answer(self):
        rows = (0, 21, b'EPSV', 0), (20, -21, b'229', 0), (20, 21, b'STOR', 0)
        self.assertEqual([0, 1], self.count(*rows))

    def test_what_is_sent_along_costs_nothing(self):
        rows = (0, 21, b'RNTO', 0), (1, 21, b'EPSV', 0), (20, -21, b'250', 0), (21, -21, b'229', 0)
        self.assertEqual([0, 0, 1], self.count(*rows, (22, 21, b'STOR', 0)))

    def test_a_connection_is_one(self):
        rows = (0, 2000, b'', SYN), (20, -2000, b'', SYN), (20, 2000, b'data', 0)
        self.assertEqual([0, 1], self.count(*rows))

    def test_what_was_under_way_already_was_not_waited_for(self):
        rows = (0, 21, b'NOOP', 0), (15, 2000, b'', SYN), (20, -21, b'200', 0), (20, 21, b'X', 0)
        self.assertEqual([0, 0, 1], self.count(*rows))
        rows += (35, -2000, b'', SYN), (35, 2000, b'data', 0)
        self.assertEqual([0, 0, 1, 1], self.count(*rows))

    def test_a_server_that_waits_for_an_acknowledgement(self):
        """As vsftpd does: the reply comes when the FIN that it sent was acknowledged."""
        rows = (
            (0, 2000, b'', FIN),
            (20, -2000, b'', FIN),
            (20, 2000, b'', 0),
            (40, -21, b'226', 0),
            (40, 21, b'SIZE', 0),
        )
        self.assertEqual([0, 1, 2], self.count(*rows))

    def test_an_acknowledgement_of_the_server_is_waited_for_by_nobody(self):
        rows = (0, 2000, b'data', 0), (20, -2000, b'', 0), (20, 2000, b'data', 0)
        self.assertEqual([0, 0], self.count(*rows))

    def test_per_file(self):
        from bench.trace import steady

        rows = []
        for number in range(10):
            at = number * 60
            rows += [
                (at, 21, b'STOR a\r\n', 0),
                (at, 2000, b'', SYN),
                (at + 20, -2000, b'', SYN),
                (at + 20, 2000, b'data', FIN),
                (at + 40, -21, b'226', 0),
                (at + 40, 21, b'SIZE a\r\nEPSV\r\n', 0),
                (at + 60, -21, b'229', 0),
            ]
        found = steady(self.packets(*rows), port=21, rtt=RTT, first=2, last=8)
        self.assertEqual((3, 3), (found.round_trips, found.commands))
        self.assertAlmostEqual(0.06, found.seconds)
        with self.assertRaisesRegex(ValueError, 'There are 10 files'):
            steady(self.packets(*rows), port=21, rtt=RTT, first=2, last=10)


class FigureTests(BenchCase):
    def result(self, client, turn, seconds, **details):
        from bench.figures import Result

        return Result(row='r', server='s', client=client, turn=turn, seconds=seconds, **details)

    def test_ratios_are_those_of_one_round(self):
        from bench import figures

        results = [self.result('a', 0, 1), self.result('b', 0, 2), self.result('a', 1, 10)]
        results += [self.result('b', 1, 30), self.result('a', 2, 5)]
        results += [self.result('b', 2, 0, error='no')]
        self.assertEqual([2, 3], figures.ratios(results, 'r', 's', ours='a', peer='b'))
        self.assertEqual('a', figures.fastest(results, 'r', 's', except_for=()))

    def test_the_spread_is_around_the_median_and_of_few_values_all_of_them(self):
        from bench import figures

        values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 9.0]
        low, high = figures.interval(values)
        self.assertTrue(1.0 <= low < 1.3 < high <= 9.0, (low, high))
        self.assertEqual((low, high), figures.interval(values))
        self.assertEqual((1.0, 1.3), figures.interval(values[:4]))
        self.assertIsNone(figures.interval(values[:1]))

    def test_results_survive_a_file(self):
        from bench import figures

        result = self.result('a', 0, 1.5, peak=7, round_trips=3.0)
        self.assertEqual([result], figures.load([figures.dump(result), '']))

    def test_rounds_of_several_calls_are_kept_apart(self):
        from bench import figures

        results = [self.result('a', 0, 1), self.result('b', 0, 2)]
        results += [self.result('b', 0, 30), self.result('a', 0, 10)]
        loaded = figures.load(map(figures.dump, results))
        self.assertEqual([2, 3], figures.ratios(loaded, 'r', 's', ours='a', peer='b'))

    def test_a_table(self):
        from bench import table
        from bench.rows import Goal, Row

        row = Row(
            name='r', group='g', files=5, clients=('zeit.cds', 'lftp'), rounds=1,
            goals=(Goal(peer='lftp', ratio=3, servers=('s',)),),
        )  # fmt: skip
        results = [self.result('zeit.cds', 0, 1, peak=2**20), self.result('lftp', 0, 2)]
        lines = table.row_table(row, 's', results)
        self.assertEqual('s: 5 files of 4 KiB, 1 connection, no delay; 1 round', lines[0])
        self.assertRegex('\n'.join(lines), r'\nlftp +2\.00 +2\.00 +0\.00 +0\.0\n')
        self.assertRegex(lines[-2], r'^lftp / zeit\.cds +2 +3\.00 at least +NOT reached$')

    def test_a_table_of_publications_has_the_worst(self):
        from bench import table
        from bench.rows import Limit, Row

        clients = ('thread', 'watch', 'celery')
        limit = Limit(field='seconds', most=1, unit='s', clients=clients, servers=('s',))
        row = Row(name='r', group='g', files=3, wake=True, clients=clients, limits=(limit,))
        results = [self.result('thread', turn, seconds) for turn, seconds in enumerate((1, 2, 9))]
        results += [self.result('watch', 0, 0.5), self.result('celery', 0, 0, error='no Redis')]
        lines = table.row_table(row, 's', results)
        self.assertEqual('s: publications of 4 KiB, one after the other, no delay', lines[0])
        self.assertRegex('\n'.join(lines), r'\nthread +2\.000 +9\.000\nwatch +0\.500 +0\.500\n')
        self.assertIn('celery                      no Redis', lines)
        self.assertRegex(lines[-3], r'^thread: s +2 \[1, 9\] +1 at most +NOT reached$')
        self.assertRegex(lines[-2], r'^watch: s +0\.5 +1 at most +reached$')

    def test_what_is_typical_may_be_missed_once(self):
        from bench import table
        from bench.rows import Limit, Row

        results = [self.result('a', turn, seconds) for turn, seconds in enumerate((1, 2, 9))]
        told = {'field': 'seconds', 'most': 5, 'unit': 's', 'clients': ('a',), 'servers': ('s',)}
        limits = Limit(**told), Limit(**told, typical=True)
        row = Row(name='r', group='g', files=1, clients=('a',), limits=limits)
        worst, typical = table.goals(row, 's', results)
        self.assertRegex(worst, 'NOT reached$')
        self.assertRegex(typical, ' {2}reached$')

    def test_the_matrix_has_a_line_for_each_row_and_server(self):
        from bench import table
        from bench.rows import Row

        clients = ('zeit.cds', 'lftp', 'curl')
        row = Row(name='r', group='g', files=1, clients=clients, servers=('s', 't'))
        results = [self.result(c, 0, n + 1) for n, c in enumerate(clients)]
        title, line = table.matrix([row], results)
        self.assertEqual('r s 1.00 2.00 3.00'.split(), line.split())
        for column, figure in ('lftp', '2.00'), ('curl', '3.00'):
            end = title.index(f' {column}') + len(column) + 1
            self.assertEqual(figure, line[end - 4 : end])

    def test_every_goal_is_about_clients_that_take_part(self):
        from bench.main import CLIENTS
        from bench.rows import QUICK, ROWS

        self.assertEqual(len(ROWS), len({row.name for row in ROWS}))
        self.assertTrue(QUICK)
        for row in ROWS:
            self.assertEqual(set(), set(row.clients) - set(CLIENTS), row.name)
            for goal in row.goals:
                self.assertEqual(set(), {goal.ours, goal.peer} - {''} - set(row.clients), row.name)
            for limit in row.limits:
                self.assertTrue(set(limit.clients) & set(row.clients), row.name)


class PlotTests(BenchCase):
    def test_it_is_xml_with_all_names_inside_of_the_picture(self):
        from bench import plot

        curves = {'a <b>': [(100, 0.5), (100_000, 70)], 'c': [(100, 0.5), (100_000, 70)]}
        text = plot.plot(
            'Title & more',
            curves,
            x=plot.axis('files', [100, 100_000], logarithmic=True),
            y=plot.axis('seconds', [0.5, 70], logarithmic=True),
        )
        root = xml.etree.ElementTree.fromstring(text)
        texts = {e.text: e for e in root.iter('{http://www.w3.org/2000/svg}text')}
        self.assertLessEqual({'a <b>', 'c', 'Title & more', '0.1', '100,000'}, set(texts))
        heights = {float(texts[name].get('y')) for name in ('a <b>', 'c')}
        self.assertEqual(2, len(heights))
        self.assertTrue(all(0 < height < plot.HEIGHT for height in heights))

    def test_an_axis_ends_at_round_numbers(self):
        from bench import plot

        self.assertEqual([0, 20, 40, 60, 80], plot.axis('', [3, 71]).ticks())
        self.assertEqual([1, 10, 100], plot.axis('', [2, 71], logarithmic=True).ticks())


class ClientTests(BenchCase):
    """A client that does not do its job is complained about, in its own words."""

    def complaint(self, script, *, longest):
        from bench import measure, network

        client = types.SimpleNamespace(
            name='sh', command=lambda job: ['sh', '-c', script], environment=lambda job: None
        )
        job = types.SimpleNamespace(
            work=pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        )
        with self.assertRaises(measure.Failed) as caught:
            measure.run(client, job, namespace=network.Here(), longest=longest)
        return str(caught.exception)

    def test_a_client_that_fails_is_quoted(self):
        said = self.complaint('echo No.; exit 3', longest=60)
        self.assertEqual('sh has failed, exit code 3: No.', said)

    def test_it_does_not_end(self):
        said = self.complaint('exec sleep 600', longest=0.1)
        self.assertEqual('sh has not ended after 0.1 s: it said nothing', said)


class FsyncTests(BenchCase):
    def test_they_are_counted_and_take_longer(self):
        with tempfile.TemporaryDirectory() as folder:
            program, counted = pathlib.Path(folder, 'program'), pathlib.Path(folder, 'counted')
            program.write_text(
                'import os, sys, time\n'
                'before = time.perf_counter()\n'
                'for call in os.fsync, os.fdatasync:\n'
                '    with open(sys.argv[1], "w") as file:\n'
                '        call(file.fileno())\n'
                'print(time.perf_counter() - before)\n'
                'sys.exit(3)\n'
            )
            words = [ROOT / 'bench' / 'fsyncs.py', counted, '0.1', program, f'{folder}/file']
            done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True)
            self.assertEqual((3, '2'), (done.returncode, counted.read_text().strip()))
            self.assertGreaterEqual(float(done.stdout), 0.2)


class CallTests(layers.ServerTests, BenchCase):
    """The commands of this package that are measured, as the bench words them."""

    layer = layers.PYFTPD

    def call(self, name):
        """Let a client do its job in this process; return the folder that it fills or empties."""
        from bench import clients

        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for section in 'tmp', 'new', 'cur':
            (folder / section).mkdir()
        moment = time.time() - 3600
        begin = self.server.root if name == 'zeit.cds import' else folder / 'new'
        (begin / 'a.xml').write_bytes(b'1')
        os.utime(begin / 'a.xml', (moment, moment))
        job = clients.Job(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=self.server.password,
            files=folder / 'new',
            work=folder,
        )
        client, out = clients.CLIENTS[name], io.StringIO()
        words = [str(word) for word in client.command(job)[1:]]
        with (
            unittest.mock.patch.dict(os.environ, client.environment(job), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            code = main.main(words)
        self.assertEqual(0, code, out.getvalue())
        return folder / 'new'

    def test_exports(self):
        for name in 'zeit.cds', 'zeit.cds, temporary="no"':
            self.server.clear()
            self.assertEqual([], os.listdir(self.call(name)), name)
            self.assertEqual(['a.xml'], os.listdir(self.server.root), name)

    def test_an_import(self):
        self.assertEqual(['a.xml'], os.listdir(self.call('zeit.cds import')))


class DocumentTests(BenchCase):
    def test_the_document_has_its_marks(self):
        from bench import report

        text = (ROOT / 'docs' / 'performance.txt').read_text('utf-8')
        self.assertEqual((1, 1), (text.count(report.BEGIN), text.count(report.END)))
