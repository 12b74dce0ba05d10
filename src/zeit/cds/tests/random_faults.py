"""Plays random scenarios by the thousand; says which fail, with as little in them as possible.

    bin/python -m zeit.cds.tests.random_faults [SEED [SCENARIOS [PROCESSES]]]

Scenario number I of a series has the seed SEED + I: `SEED 1` plays one again.  Its exit code is 1
if one was not as promised.
"""

import argparse
import collections
import multiprocessing
import os
import sys
import tempfile
import time
import traceback

from zeit.cds.tests import random_plan, random_world
from zeit.cds.tests.folders import MEMORY


#: Plans that are tried to make one that fails smaller.
ATTEMPTS = 200


def violations(plan):
    """Play a plan; return what was not as promised, a list of str, and the trace."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        world = random_world.World(plan, os.path.join(folder, 'world'))
        try:
            world.play()
        except Exception:  # noqa: BLE001 of the driver or of a thread of the server
            world.violated(traceback.format_exc())
        return world.violations, world.trace


def shrunk(plan):
    """Return a smaller plan that fails as well, or the same one."""
    left = ATTEMPTS
    while left > 0:
        for smaller in plan.smaller():
            left -= 1
            if left <= 0 or violations(smaller)[0]:
                plan = smaller if left > 0 else plan
                break
        else:
            return plan
    return plan


def report(seed):
    """Play the scenario of a seed; return '' if all is well, else the whole story."""
    plan = random_plan.plan(seed)
    found, trace = violations(plan)
    if not found:
        return ''
    small = shrunk(plan)
    # What failed once may not fail again: threads and time-outs are not in the seed.
    again, shorter = violations(small)
    if again:
        found, trace, plan = again, shorter, small
    return '\n'.join([f'=== {plan}', *trace, '', *(f'seed {seed}: {each}' for each in found)])


def main(arguments=None):
    """Play what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # No options: bin/python would take them for its own.
    parser.add_argument('seed', type=int, nargs='?', default=0)
    parser.add_argument('scenarios', type=int, nargs='?', default=200)
    parser.add_argument('processes', type=int, nargs='?', default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    seeds = range(options.seed, options.seed + options.scenarios)
    failed = collections.deque()
    # Not forked: a world forks itself, beside the threads of its server.
    with multiprocessing.get_context('spawn').Pool(options.processes) as pool:
        for number, story in enumerate(pool.imap_unordered(report, seeds, chunksize=5), 1):
            if story:
                failed.append(story)
                print(story, flush=True)
            if number % 500 == 0:
                print(f'{number} scenarios, {len(failed)} failed', flush=True)
    seconds = time.monotonic() - started
    print(f'{options.scenarios} scenarios in {seconds:.0f} s, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
