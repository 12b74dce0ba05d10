"""Pass packets between two TUN devices, each of them so many seconds later.

    python delay.py SECONDS DESCRIPTOR DESCRIPTOR

Both directions are delayed, whatever the packets carry: SYN, data and acknowledgements of control
and data connections alike.  Nothing is lost or reordered.  It ends when its standard input does.
"""

import collections
import contextlib
import os
import select
import sys
import time


#: Longest packet that a TUN device hands out.
LARGEST = 65536

#: Packets that are taken from one device before the other one is looked at.
AT_ONCE = 64


def take(source, queue, delay):
    """Read what waits in `source`; append it to `queue` with the moment when it is due."""
    for _ in range(AT_ONCE):
        try:
            packet = os.read(source, LARGEST)
        except BlockingIOError:
            return
        queue.append((time.monotonic() + delay, packet))


def give(target, queue):
    """Write what is due of `queue`."""
    while queue and queue[0][0] <= time.monotonic():
        # A queue that is full, or a packet that is none: the network loses it, TCP sends it again.
        with contextlib.suppress(OSError):
            os.write(target, queue[0][1])
        queue.popleft()


def main(delay, near, far):
    """Pass packets until standard input ends."""
    # What is late here is delay that nobody asked for.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    forth, back = collections.deque(), collections.deque()
    while True:
        due = [queue[0][0] for queue in (forth, back) if queue]
        wait = max(0, min(due) - time.monotonic()) if due else None
        ready = select.select([0, near, far], [], [], wait)[0]
        if 0 in ready and not os.read(0, 1):
            return
        if near in ready:
            take(near, forth, delay)
        if far in ready:
            take(far, back, delay)
        give(far, forth)
        give(near, back)


if __name__ == '__main__':
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
