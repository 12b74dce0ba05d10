#!/usr/bin/env bash
# kombu's (and celery's) filesystem transport deletes a message when it is received: a kill loses it, acks_late or not.
#
# Guesses, written down before:
#   1. a message that was received and not acknowledged is there again when the process has been killed, as with
#      RabbitMQ, and with Redis after visibility_timeout;
#   2. messages come in the order in which they were put.
# Versions: kombu 5.7.0 (transport filesystem://), celery 5.7.0.
# Seen:
#   1. kombu, three put, one received, then SIGKILL: two are left, no file has the third one
#      celery, a task with acks_late and reject_on_worker_lost, its worker killed: the queue is empty
#      With store_processed the file is moved into another folder, from which nothing fetches it again.
#   2. the names of the files begin with time.monotonic() in milliseconds, and the rest is random: what was put within
#      one millisecond comes in any order, and what was put after a restart of the machine before what is older
# Who meets it: who takes it as a queue that outlives failures, since all is on the disk: a deployment that kills the
#   worker, or no memory, take the jobs at work away. Let jobs be found from the state they are to change (files in a
#   spool, rows), and let the message only wake the worker.
# Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check kombu==5.7.0 celery==5.7.0 2>/dev/null

cat >step.py <<'PYTHON'
import os, signal, sys
import kombu

options = {'data_folder_in': 'queue', 'data_folder_out': 'queue', 'control_folder': 'control'}
with kombu.Connection('filesystem://', transport_options=options) as connection:
    queue = connection.SimpleQueue('jobs')
    if sys.argv[1] == 'put':
        for number in range(3):
            queue.put(number)
    else:
        queue.get(timeout=10)
        os.kill(os.getpid(), signal.SIGKILL)
PYTHON
mkdir queue control
venv/bin/python step.py put
before=$(find queue -name '*.msg' | wc -l)
status=0
venv/bin/python step.py get 2>/dev/null || status=$?
after=$(find queue -name '*.msg' | wc -l)
echo "kombu: $before put, one received, killed (exit $status): $after left"

# What the names begin with, in seconds, beside the two clocks.
venv/bin/python - <<'PYTHON'
import os, sys, time
first = min(int(name.split('_')[0]) for name in os.listdir('queue') if name.endswith('.msg')) / 1000
age = time.monotonic() - first
print(f'names begin with the time since the machine was started: {0 <= age < 600}')
sys.exit(not 0 <= age < 600)
PYTHON

cat >jobs.py <<'PYTHON'
import time
import celery
app = celery.Celery(broker='filesystem://')
app.conf.broker_transport_options = {
    'data_folder_in': 'tasks', 'data_folder_out': 'tasks', 'control_folder': 'tasks-control'}
app.conf.worker_prefetch_multiplier = 1

@app.task(acks_late=True, reject_on_worker_lost=True)
def job():
    with open('begun', 'a') as file:
        file.write('begun\n')
    time.sleep(600)
PYTHON
mkdir tasks tasks-control
venv/bin/python -c 'import jobs; jobs.job.delay()'
tasks=$(find tasks -name '*.celery.msg' | wc -l)
venv/bin/celery -A jobs worker --pool solo --without-gossip --without-mingle --without-heartbeat >log 2>&1 &
pid=$!
for _ in $(seq 600); do
    [ ! -s begun ] || break
    sleep 0.1
done
[ -s begun ]
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
left=$(find tasks -name '*.celery.msg' | wc -l)
echo "celery, acks_late: $tasks put, begun, worker killed: $left left"
[ "$before $status $after $tasks $left" = '3 137 2 1 0' ] || { echo 'This has changed.'; exit 1; }
echo 'As described.'
