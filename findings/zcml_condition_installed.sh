#!/usr/bin/env bash
# ZCML: `installed package` is false for a package that is installed, and cannot be imported.
#
# Guess, written down before: zcml:condition="installed acme" leaves a directive out if there is no acme; if it is
#   there, and what it imports is missing, ZCML fails as it does without the condition.
# Version: zope.configuration 7.1.
# Seen, with a package acme whose first line imports what is not there:
#   <include package="acme" />: ModuleNotFoundError, "No module named 'what_acme_needs'"
#   the same with zcml:condition="installed acme": no error, nothing logged as INFO or above, nothing
#     configured
#   zcml:condition="not-installed acme": what is meant for those who have no acme is configured
#   With what it needs: configured, and not-installed leaves out.
# Who meets it: a site with optional parts (an exporter, metrics, a cache) that are included under a condition:
#   after an upgrade of a library of theirs, or in a new environment, the process starts well and does
#   without them, or with the substitute. Include without a condition what has to be there, or ask at the
#   start for a utility that it registers.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check zope.configuration==7.1 2>/dev/null
venv/bin/python --version

mkdir -p acme needed
echo 'import what_acme_needs' >acme/__init__.py
cat >acme/configure.zcml <<'ZCML'
<configure xmlns:meta="http://namespaces.zope.org/meta">
  <meta:provides feature="acme-is-configured" />
</configure>
ZCML
touch needed/what_acme_needs.py

cat >look.py <<'PYTHON'
import logging, sys
from zope.configuration import xmlconfig
records = []
handler = logging.Handler()
handler.emit = records.append
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)

def configured(condition):
    if 'acme' in sys.modules:
        del sys.modules['acme']
    try:
        context = xmlconfig.string(f'''
            <configure xmlns="http://namespaces.zope.org/zope"
                       xmlns:zcml="http://namespaces.zope.org/zcml"
                       xmlns:meta="http://namespaces.zope.org/meta">
              {condition}
            </configure>''')
    except Exception as error:
        return str(error).split()[-1]
    return ' '.join(
        name for name in ('acme-is-configured', 'substitute') if context.hasFeature(name)) or 'nothing'

include = '<include package="acme" />'
installed = '<include package="acme" zcml:condition="installed acme" />'
substitute = '<meta:provides feature="substitute" zcml:condition="not-installed acme" />'
seen = []
for needs in 'without', 'with':
    if needs == 'with':
        sys.path.append('needed')
    seen.append(f'{needs} what it needs: {configured(include)}; '
                f'installed: {configured(installed)}; not-installed: {configured(substitute)}')
seen.append(f'{len(records)} records logged')
print(*seen, sep='\n')
sys.exit(seen != [
    "without what it needs: 'what_acme_needs'; installed: nothing; not-installed: substitute",
    'with what it needs: acme-is-configured; installed: acme-is-configured; not-installed: nothing',
    '0 records logged'])
PYTHON
venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
