#!/usr/bin/env bash
# zope.component: a handler that is registered twice is called twice, and removed by one call.
#
# Guess, written down before: registerHandler of what is registered already changes nothing, as registerUtility
#   and registerAdapter do; or, if both count, each unregisterHandler takes one of them away.
# Versions: zope.interface 8.7, zope.component 7.1, zope.configuration 7.1.
# Seen:
#   registerUtility twice: found once; registerHandler twice: called 2 times for one event
#   unregisterHandler once: True, called 0 times; once more: False
#   <subscriber> in two ZCML files: no conflict, called 2 times; <utility> in two files: conflict
#   One file that is included twice: called 1 time.
# Who meets it: a package that registers its handlers by ZCML and by a setup function, a test layer in a process
#   that has loaded ZCML, a site that copies a <subscriber> into its own file: the mail goes out twice, the
#   file is delivered twice. And the layer's tear-down takes away the registration of the others.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check 'zope.component[zcml]==7.1' zope.configuration==7.1 \
    zope.interface==8.7 2>/dev/null
venv/bin/python --version

cat >acme.py <<'PYTHON'
import zope.interface
calls = []
class IEvent(zope.interface.Interface):
    pass
@zope.interface.implementer(IEvent)
class Event:
    pass
def handler(event):
    calls.append(event)
utility = Event()
PYTHON
for name in one two; do
    mkdir "$name"
    cat >"$name/subscriber.zcml" <<'ZCML'
<configure xmlns="http://namespaces.zope.org/zope">
  <subscriber for="acme.IEvent" handler="acme.handler" />
</configure>
ZCML
    cat >"$name/utility.zcml" <<'ZCML'
<configure xmlns="http://namespaces.zope.org/zope">
  <utility provides="acme.IEvent" component="acme.utility" />
</configure>
ZCML
done

cat >look.py <<'PYTHON'
import sys
import acme
import zope.component
from zope.configuration import xmlconfig
from zope.configuration.config import ConfigurationConflictError
from zope.interface.registry import Components

def called(components):
    acme.calls.clear()
    components.handle(acme.Event())
    return len(acme.calls)

components = Components()
for _ in range(2):
    components.registerUtility(acme.utility, acme.IEvent)
    components.registerHandler(acme.handler, (acme.IEvent,))
seen = [f'utility: {len(list(components.getUtilitiesFor(acme.IEvent)))}, handler: {called(components)}']
for _ in range(2):
    removed = components.unregisterHandler(acme.handler, (acme.IEvent,))
    seen.append(f'unregistered: {removed}, called {called(components)}')

def load(*files):
    """Return how often the handler is called once the files have been included by one other."""
    includes = ' '.join(f'<include file="{file}" />' for file in files)
    manager = zope.component.getGlobalSiteManager()
    try:
        xmlconfig.string(f'''
            <configure xmlns="http://namespaces.zope.org/zope">
              <include package="zope.component" file="meta.zcml" />{includes}
            </configure>''')
        return called(manager)
    except ConfigurationConflictError:
        return 'conflict'
    finally:
        while manager.unregisterHandler(acme.handler, (acme.IEvent,)):
            pass

seen.append(f'two files: {load("one/subscriber.zcml", "two/subscriber.zcml")}')
seen.append(f'one file twice: {load("one/subscriber.zcml", "one/subscriber.zcml")}')
seen.append(f'a utility in two files: {load("one/utility.zcml", "two/utility.zcml")}')
print(*seen, sep='\n')
sys.exit(seen != ['utility: 1, handler: 2', 'unregistered: True, called 0',
                  'unregistered: False, called 0', 'two files: 2', 'one file twice: 1',
                  'a utility in two files: conflict'])
PYTHON
PYTHONPATH=. venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
