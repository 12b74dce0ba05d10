"""Accept connections and start one program for each, with the connection as its standard input.

This is a program, `python -I -S inetd.py HOST PORT COMMAND...`, run by `supervisor`, which also
ends the sessions that are still there when this one has gone.

ProFTPD needs it: its standalone master sleeps for 0.4 s after every session that ends (EINTR,
PR_TUNABLE_EINTR_RETRY_INTERVAL in its pr_signals_handle), and whoever logs in then waits; no
directive changes that.
"""

import os
import signal
import socket
import sys


BACKLOG = 100


def main(host, port, *command):
    """Serve until killed."""
    # Ended sessions are of no interest: the kernel reaps them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.create_server((host, int(port)), backlog=BACKLOG)
    while True:
        connection, _ = listener.accept()
        if not os.fork():
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.dup2(connection.fileno(), 0)
                os.dup2(connection.fileno(), 1)
                os.execvp(command[0], command)
            finally:
                os._exit(127)
        connection.close()


if __name__ == '__main__':
    main(*sys.argv[1:])
