#!/usr/bin/env bash
# zope.testrunner never calls setUpClass, tearDownClass or setUpModule; a test of nothing is a success.
#
# Guess, written down before: a runner of unittest's tests honours unittest's fixtures of classes and
#   modules, and a name that fits no test is an error, as it is for `python -m unittest`.
# Version: zope.testrunner 8.3; unittest as installed, for comparison.
# Seen:
#   unittest: setUpModule setUpClass test tearDownClass tearDownModule
#   zope.testrunner: test
#   zope.testrunner -t NO_SUCH_TEST: exit 0, 0 tests
#   zope.testrunner -j2, the same: test
#   (unittest calls these fixtures in its TestSuite, which
#   zope.testrunner takes apart to sort the tests by layers.)
# Who meets it: who brings tests from elsewhere: what setUpClass should start is not there, or worse,
#   its check (`if not server: raise SkipTest`) is not made; and CI stays green after a test that it
#   names has been renamed. Use layers, and look at the number of tests.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check zope.testrunner==8.3 2>/dev/null
venv/bin/python --version

mkdir -p src/sample
touch src/sample/__init__.py
cat >src/sample/tests.py <<'PYTHON'
import os
import unittest

def note(word):
    with open(os.environ['CALLS'], 'a') as calls:
        calls.write(word + ' ')

def setUpModule():
    note('setUpModule')

def tearDownModule():
    note('tearDownModule')

class SampleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        note('setUpClass')

    @classmethod
    def tearDownClass(cls):
        note('tearDownClass')

    def test_it(self):
        note('test')
PYTHON
seen=
# run NAME COMMAND...
run() {
    local name=$1 status=0 line
    shift
    : >calls
    CALLS=$work/calls PYTHONPATH=src timeout 60 "$@" >words 2>&1 || status=$?
    line="$name: exit $status, $(cat calls)"
    echo "$line"
    seen+="$line;"
}
run unittest venv/bin/python -m unittest sample.tests
run zope.testrunner venv/bin/zope-testrunner --path src
run zope.testrunner-j2 venv/bin/zope-testrunner --path src -j2
run zope.testrunner-none venv/bin/zope-testrunner --path src -t NO_SUCH_TEST
wanted='unittest: exit 0, setUpModule setUpClass test tearDownClass tearDownModule ;'
wanted+='zope.testrunner: exit 0, test ;zope.testrunner-j2: exit 0, test ;zope.testrunner-none: exit 0, ;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
