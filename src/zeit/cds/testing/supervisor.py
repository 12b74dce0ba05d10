"""Run one daemon, and end it together with whoever asked for it.

This is a program, started by `zeit.cds.testing.process` as `python -I -S supervisor.py DIRECTORIES
COMMAND...`; it imports nothing heavy because it runs once for every server that a test starts.

Why a process of its own instead of prctl(PR_SET_PDEATHSIG) in the daemon: the kernel forgets that
setting as soon as the daemon changes its user, which every FTP daemon does; it is not inherited by
the processes that serve the sessions; and it goes by the death of the *thread* that forked.  A
process group does not hold either what calls setsid(2).  Here instead

- standard input is a pipe whose other end only the test process has: however that process ends,
  SIGKILL included, the kernel closes it, and poll(2) reports it;
- PR_SET_CHILD_SUBREAPER (prctl(2), Linux) makes every orphan below the daemon a child of this
  process, which kills children until there are none;
- standard output is a pipe as well, on which nothing is ever written: its end tells the test
  process that everything is gone.

The daemon's output goes to standard error.  DIRECTORIES, separated by colons, are removed if the
test process has died, as nobody else is left to do it.
"""

import os
import select
import signal
import sys


# prctl(2): orphaned descendants become children of this process instead of init's.
PR_SET_CHILD_SUBREAPER = 36
# Seconds between SIGTERM and SIGKILL; a daemon that cleans up needs some milliseconds.
GRACE = 2


def adopt_orphans():
    """Become the parent of every orphan among the descendants (Linux; elsewhere nothing)."""
    try:
        import ctypes
    except ImportError:
        return
    prctl = getattr(ctypes.CDLL(None), 'prctl', None)
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(command):
    """Start *command* in a session of its own; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        # Standard input as well: vsftpd takes it for the control connection and says there why it
        # cannot start.
        os.dup2(2, 0)
        os.dup2(2, 1)
        os.closerange(3, 64)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f'{command[0]}: {error}\n'.encode())
    finally:
        os._exit(127)


def children():
    """Return the process ids of all direct children, from /proc; empty where there is none."""
    found = []
    try:
        names = os.listdir('/proc')
    except OSError:
        return found
    for name in filter(str.isdigit, names):
        try:
            with open(f'/proc/{name}/stat', 'rb') as stat:
                # proc(5): the name in parentheses may contain anything, the parent comes after it.
                parent = int(stat.read().rpartition(b')')[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            found.append(int(name))
    return found


def reap(pid):
    """Collect every child that has ended; return the exit code of *pid* if it is among them."""
    code = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if not ended:
            return code
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)


def kill(pid, number):
    """Send a signal; a process that has ended meanwhile is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def sweep(pid):
    """Kill the daemon's process group and all children, orphans included, until none is left."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    while True:
        for child in children():
            kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def remove(directories):
    """Remove what the dead test process has left."""
    import shutil

    for directory in filter(None, directories.split(os.pathsep)):
        shutil.rmtree(directory, ignore_errors=True)


def main(directories, *command):
    """Run *command* until it ends, standard input ends or SIGTERM comes; return the exit code."""
    wake, alarm = os.pipe()
    for end in (wake, alarm):
        os.set_blocking(end, False)
    asked = []
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    # Control-C in a terminal is the test process's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    pid = spawn(command)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(wake, select.POLLIN)
    code = None
    while code is None and not asked:
        ready = [end for end, event in poll.poll()]
        if wake in ready:
            os.read(wake, 4096)
        code = reap(pid)
        if 0 in ready:
            asked.append(None)
    if code is None:
        kill(pid, signal.SIGTERM)
        poll.unregister(0)
        while code is None and poll.poll(GRACE * 1000):
            os.read(wake, 4096)
            code = reap(pid)
    sweep(pid)
    # `Daemon.stop` sends SIGTERM before it closes the pipe.
    if asked == [None]:
        remove(directories)
    return 0 if asked else code if code > 0 else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
