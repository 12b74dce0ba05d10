#!/usr/bin/env bash
# zope.browsermenu: who imports its directives has a module zope.app, though none is installed.
#
# Guess, written down before: "try: import zope.app except ImportError" tells whether there is
#   anything of zope.app in this process, whatever else was imported.
# Version: zope.browsermenu 6.0, zope.configuration 7.1.
# Seen:
#   before: import zope.app: ModuleNotFoundError
#   after importing zope.browsermenu.metaconfigure: import zope.app: no error, no __path__
#   then, with a distribution zope.app.appsetup put on sys.path: import zope.app.appsetup:
#   "No module named 'zope.app.appsetup'; 'zope.app' is not a package"
# Who meets it: an application with optional support for zope.app.*, which is asked in another order
#   by ZCML than by tests; and whoever adds to sys.path late, such as a test, or a plug-in.
#   Ask for the very module that is needed, and have all paths before ZCML is read.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check zope.browsermenu==6.0 \
    zope.configuration==7.1 2>/dev/null
venv/bin/python --version
mkdir -p late/zope/app/appsetup
touch late/zope/app/appsetup/__init__.py

cat >look.py <<'PYTHON'
import importlib, sys

def load(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return f'{name}: {type(error).__name__}: {error}'
    return f'{name}: no error, {"a" if hasattr(module, "__path__") else "no"} package'

seen = [load('zope.app')]
importlib.import_module('zope.browsermenu.metaconfigure')
seen.append(load('zope.app'))
sys.path.append('late')
importlib.invalidate_caches()
seen.append(load('zope.app.appsetup'))
print(*seen, sep='\n')
sys.exit(seen != [
    "zope.app: ModuleNotFoundError: No module named 'zope.app'",
    'zope.app: no error, no package',
    "zope.app.appsetup: ModuleNotFoundError: No module named 'zope.app.appsetup'; "
    "'zope.app' is not a package"])
PYTHON
venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
