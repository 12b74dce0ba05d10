#!/usr/bin/env bash
# queuelib's queue on disk has after a kill what it had at its last close(): nothing of what was pushed since.
#
# Guess, written down before: what `push` has put into a queue on disk is there when the process was killed;
#   at worst the last item is lost, or one that was popped comes again.
# Versions: queuelib 1.10.0 (FifoDiskQueue), persist-queue 1.1.0 (Queue), for comparison.
# Seen, each of two steps by a process of its own that is killed at its end (SIGKILL):
#   queuelib, 3 pushed: 0 items afterwards; persist-queue: 3 items
#   queuelib, 3 pushed and closed; then 1 popped, 1 pushed, killed: 3 items, the popped one first, and not the
#     new one; persist-queue (with task_done): 3 items, without the popped one, with the new one
#   queuelib, closed in place of killed: 3 items, and 3 items as persist-queue has them
#   The file with the number of items is written by close() alone.
# Who meets it: who takes it for a spool, or resumes a crawl by it: out of memory, a time-out of systemd or a
#   power failure take all of a run's items away, without an error at the next start. Close it after each
#   batch, or keep each item as a file of its own.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check queuelib==1.10.0 persist-queue==1.1.0 2>/dev/null
venv/bin/python --version

cat >step.py <<'PYTHON'
import os, signal, sys
kind, step, end = sys.argv[1:]
if kind == 'queuelib':
    from queuelib import FifoDiskQueue
    queue = FifoDiskQueue('queue')
    push, pop, close = queue.push, queue.pop, queue.close
else:
    from persistqueue import Queue
    queue = Queue('queue')
    push, close = queue.put, lambda: None
    def pop():
        item = queue.get(block=False)
        queue.task_done()
        return item
if step == 'fill':
    for item in (b'a', b'b', b'c'):
        push(item)
elif step == 'change':
    pop()
    push(b'd')
else:
    items = []
    for _ in range(len(queue) if kind == 'queuelib' else queue.qsize()):
        items.append(pop().decode())
    print(len(items), 'items', *items)
if end == 'killed':
    os.kill(os.getpid(), signal.SIGKILL)
close()
PYTHON
step() { (exec venv/bin/python step.py "$@") 2>/dev/null || true; }
seen=
run() { # KIND, END OF FILLING, END OF CHANGING
    rm -rf queue
    step "$1" fill "$2"
    [ -z "${3-}" ] || step "$1" change "$3"
    line="$*: $(step "$1" look closed)"
    echo "$line"
    seen+="$line;"
}
for kind in queuelib persist-queue; do
    run $kind killed
    run $kind closed killed
    run $kind closed closed
done
wanted='queuelib killed: 0 items;queuelib closed killed: 3 items a b c;queuelib closed closed: 3 items b c d;'
wanted+='persist-queue killed: 3 items a b c;persist-queue closed killed: 3 items b c d;'
wanted+='persist-queue closed closed: 3 items b c d;'
[ "$seen" = "$wanted" ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
