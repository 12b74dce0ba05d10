#!/usr/bin/env bash
# ZCML: <include files="..."> of nothing is no error, not even of a directory that does not exist.
#
# Guess, written down before: `files` with a pattern that fits no file fails as `file` does with a
#   name that does not exist; at least if the directory in it is missing.
# Version: zope.configuration 7.1.
# Seen:
#   file="conf.d/export.zcml", missing: ZopeXMLConfigurationError (FileNotFoundError)
#   files="conf.d/*.zcml", directory missing: no error, nothing logged
#   files="conf.d/*.zcml", only export.zcml.disabled there: no error, nothing logged
#   files="conf.d/export.zcml", a plain name that is missing: no error, nothing logged
# Who meets it: a site that keeps what it delivers in files of their own. After a typing error in the
#   path, or with a volume that is not mounted, the process starts well, and has no exporter.
#   Ask at the start for a utility that must be there.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check zope.configuration==7.1 2>/dev/null
venv/bin/python --version

cat >look.py <<'PYTHON'
import logging, os, pathlib, sys
from zope.configuration import xmlconfig
logged = []
handler = logging.Handler()
handler.emit = logged.append
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)

def load(attribute):
    pathlib.Path('site.zcml').write_text(
        f'<configure xmlns="http://namespaces.zope.org/zope"><include {attribute} /></configure>')
    try:
        xmlconfig.file('site.zcml', execute=True)
    except Exception as error:
        return f'{attribute}: {type(error).__name__}'
    return f'{attribute}: no error, {len(logged)} logged'

seen = [load('file="conf.d/export.zcml"'), load('files="conf.d/*.zcml"')]
os.mkdir('conf.d')
pathlib.Path('conf.d/export.zcml.disabled').touch()
seen += [load('files="conf.d/*.zcml"'), load('files="conf.d/export.zcml"')]
print(*seen, sep='\n')
sys.exit(seen != [
    'file="conf.d/export.zcml": ZopeXMLConfigurationError',
    'files="conf.d/*.zcml": no error, 0 logged',
    'files="conf.d/*.zcml": no error, 0 logged',
    'files="conf.d/export.zcml": no error, 0 logged'])
PYTHON
venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
