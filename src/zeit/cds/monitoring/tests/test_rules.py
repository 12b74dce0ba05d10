"""The alerts and the dashboard for Prometheus, as Prometheus reads them."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from zeit.cds.monitoring import metrics
from zeit.cds.spool.spool import Spool
from zeit.cds.testing import daemon, layers
from zeit.cds.tests import docs


FOLDER = docs.TOP / 'docs' / 'monitoring'
TIMEOUT = 60


class RulesCase(unittest.TestCase):
    layer = layers.QUIET

    def setUp(self):
        docs.require(self, 'README.txt')
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def promtool(self, *arguments, given=''):
        """Return exit code and output, or skip the test with one line."""
        try:
            path = daemon.find_program('prometheus', 'usr', 'bin', 'promtool')
        except daemon.ServerUnavailable as error:
            self.skipTest(str(error))
        process = subprocess.run(
            [path, *map(str, arguments)],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        return process.returncode, process.stdout


class RulesTests(RulesCase):
    def test_the_alerts(self):
        self.assertEqual(0, self.promtool('check', 'rules', FOLDER / 'rules.yml')[0])
        code, said = self.promtool('test', 'rules', FOLDER / 'rules_test.yml')
        self.assertEqual(0, code, said)

    def expressions(self):
        """Yield what the dashboard asks for."""
        for panel in json.loads((FOLDER / 'grafana.json').read_text())['panels']:
            for target in panel['targets']:
                yield target['expr'].replace('$spool', 'articles')

    def test_the_dashboard_asks_what_prometheus_understands(self):
        rules = [{'record': f'x{n}', 'expr': expr} for n, expr in enumerate(self.expressions())]
        path = self.folder / 'rules.yml'
        path.write_text(json.dumps({'groups': [{'name': 'x', 'rules': rules}]}))  # is YAML as well
        code, said = self.promtool('check', 'rules', path)
        self.assertIn(f'{len(rules)} rules found', said)

    def test_there_are_all_metrics_that_they_name(self):
        known = {family.name for family in metrics.families([], now=0)}
        texts = [*self.expressions(), (FOLDER / 'rules.yml').read_text()]
        named = {*re.findall(r'\bzeit_cds_\w+', '\n'.join(texts))}
        self.assertGreater(len(named), 15)
        self.assertEqual(set(), named - known)

    def test_prometheus_finds_nothing_wrong_with_the_metrics(self):
        spool = Spool(self.folder)
        spool.put('a.xml', b'1')
        text = metrics.as_text(metrics.families([('a', spool)], now=0))
        code, said = self.promtool('check', 'metrics', given=text)
        self.assertEqual((0, ''), (code, said))


class EachRuleTests(RulesCase):
    level = 2

    def test_each_alert_matters_to_the_tests(self):
        shutil.copy(FOLDER / 'rules_test.yml', self.folder)
        rules = self.folder / 'rules.yml'
        head, *alerts = re.split(r'(?=- alert: )', (FOLDER / 'rules.yml').read_text())
        for number, alert in enumerate(alerts):
            with self.subTest(alert):
                changed = re.sub('zeit_cds_|node_', 'no_', alert)
                rules.write_text(''.join([head, *alerts[:number], changed, *alerts[number + 1 :]]))
                code, said = self.promtool('test', 'rules', self.folder / 'rules_test.yml')
                self.assertNotEqual(0, code, said)
