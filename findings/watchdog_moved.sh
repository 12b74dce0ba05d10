#!/usr/bin/env bash
# watchdog: a file that is put into a maildir is "moved" or "created", by where one watches.
#
# Guess, written down before: a file written in tmp/ and renamed into new/ is on_created in new/ in any
#   case; and that it replaces an older one of its name can be seen.
# Versions: watchdog 7.1.0 (inotify), watchfiles 1.3.0, for comparison.
# Seen:
#   watchdog, new/ watched: created new/a
#   watchdog, the spool watched, recursive: moved tmp/a new/a; no event but this names new/a
#   the same file once more, over the first: the same events, none of them "modified" or "deleted"
#   watchfiles, either way: added new/a; once more, over the first: added new/a again
# Who meets it: whoever waits for a spool (maildir, gocept.filestore) with on_created or on_closed: it
#   works as long as new/ alone is watched, and no delivery is seen any more when the watch is set one
#   level higher, e.g. for cur/ too. A correction looks like a first version.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check watchdog==7.1.0 watchfiles==1.3.0 2>/dev/null
venv/bin/python --version

cat >look.py <<'PYTHON'
import os, queue, sys, threading
import watchdog.events, watchdog.observers, watchfiles

def deliver(name='a'):
    with open(f'tmp/{name}', 'w') as target:
        target.write('content')
    os.rename(f'tmp/{name}', f'new/{name}')

def with_watchdog(path, recursive):
    events = queue.Queue()
    handler = watchdog.events.FileSystemEventHandler()
    handler.on_any_event = events.put
    observer = watchdog.observers.Observer()
    observer.schedule(handler, path, recursive=recursive)
    observer.start()
    found = []
    deliver()
    deliver('last')  # when its event is there, those before it are, too
    while True:
        event = events.get(timeout=20)
        names = [os.path.relpath(path) for path in (event.src_path, event.dest_path) if path]
        if 'new/last' in names:
            break
        if 'new/a' in names:
            found.append(' '.join([event.event_type, *names]))
    observer.stop()
    observer.join()
    return '; '.join(found)

def with_watchfiles(path):
    stop = threading.Event()
    found = []
    # The first turn comes after a second at most, without changes: the watch is set then.
    changes = watchfiles.watch(path, stop_event=stop, rust_timeout=1000, yield_on_timeout=True)
    next(changes)
    deliver()
    deliver('last')
    for _, some in zip(range(20), changes):
        found += [kind.name for kind, name in some if os.path.relpath(name) == 'new/a']
        if any(os.path.relpath(name) == 'new/last' for kind, name in some):
            break
    stop.set()
    changes.close()
    return '; '.join(found)

for name in ('tmp', 'new', 'cur'):
    os.mkdir(name)
seen = []
for path, recursive in (('new', False), ('.', True)):
    for name in ('first', 'again'):
        seen.append(f'watchdog {path} {name}: {with_watchdog(path, recursive)}')
    os.unlink('new/a')
for path in ('new', '.'):
    for name in ('first', 'again'):
        seen.append(f'watchfiles {path} {name}: {with_watchfiles(path)}')
    os.unlink('new/a')
print(*seen, sep='\n')
sys.exit(seen != [
    'watchdog new first: created new/a', 'watchdog new again: created new/a',
    'watchdog . first: moved tmp/a new/a', 'watchdog . again: moved tmp/a new/a',
    'watchfiles new first: added', 'watchfiles new again: added',
    'watchfiles . first: added', 'watchfiles . again: added'])
PYTHON
timeout 120 venv/bin/python look.py || { echo 'This has changed.'; exit 1; }
echo 'As described.'
