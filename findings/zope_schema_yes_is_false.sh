#!/usr/bin/env bash
# zope.schema in ZCML: `yes` is False for Bool, and `nan` is a number between 0 and 10 for Float.
#
# Guesses, written down before:
#   1. an attribute with zope.schema.Bool takes the words that other ZCML takes (true, yes, on, 1 and their
#      opposites), or refuses them;
#   2. min and max of a Float hold for every value that it lets through.
# Versions: zope.schema 8.1, zope.configuration 7.1.
# Seen, in a directive whose schema has a Bool of zope.schema, one of zope.configuration.fields, and a
# Float(min=0.0, max=10.0):
#   true: True, True; yes: False, True; on: False, refused; 1: False, True; TRUE: False, True;
#     nonsense: False, refused
#   nan: nan; 11: refused; inf: refused
# Who meets it: who writes a directive: `tls="yes"` and `verify="on"` switch off what they were to switch
#   on, without a word. A time-out of nan passes, and is an error, or for ever, where it is used. Take
#   zope.configuration.fields.Bool, and ask for math.isfinite in a constraint.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check zope.configuration==7.1 zope.schema==8.1 2>/dev/null
venv/bin/python --version

cat >directive.py <<'PYTHON'
import zope.configuration.fields, zope.interface, zope.schema
values = []

class IDirective(zope.interface.Interface):
    schema = zope.schema.Bool(required=False)
    configuration = zope.configuration.fields.Bool(required=False)
    seconds = zope.schema.Float(min=0.0, max=10.0, required=False)

def handler(context, **arguments):
    values.extend(arguments.values())
PYTHON
cat >look.py <<'PYTHON'
import sys
import directive
from zope.configuration import xmlconfig
def value(attribute, text):
    directive.values.clear()
    try:
        xmlconfig.string(f'''
            <configure xmlns="http://namespaces.zope.org/zope"
                       xmlns:meta="http://namespaces.zope.org/meta">
              <meta:directive namespace="http://namespaces.zope.org/zope" name="directive"
                              schema="directive.IDirective" handler="directive.handler" />
              <directive {attribute}="{text}" />
            </configure>''')
    except Exception:
        return 'refused'
    return str(directive.values[0])

seen = [f'{text}: {value("schema", text)}, {value("configuration", text)}'
        for text in ('true', 'yes', 'on', '1', 'TRUE', 'nonsense')]
seen += [f'{text}: {value("seconds", text)}' for text in ('nan', '11', 'inf', '9.5')]
print(*seen, sep='\n')
sys.exit(seen != ['true: True, True', 'yes: False, True', 'on: False, refused', '1: False, True',
                  'TRUE: False, True', 'nonsense: False, refused',
                  'nan: nan', '11: refused', 'inf: refused', '9.5: 9.5'])
PYTHON
PYTHONPATH=. venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
