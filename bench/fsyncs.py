"""Run a Python program, count its fsyncs, and let each of them take so many seconds longer.

    python fsyncs.py FILE SECONDS PROGRAM [ARGUMENT...]

Disks of clouds answer after some milliseconds, however fast they are otherwise.
"""

import os
import runpy
import sys
import time


def main(file, seconds, program, *arguments):
    """Run the program; write the number of its fsyncs into `file`."""
    calls = []

    def slower(real):
        def fsync(descriptor):
            calls.append(descriptor)
            time.sleep(float(seconds))
            return real(descriptor)

        return fsync

    os.fsync, os.fdatasync = slower(os.fsync), slower(os.fdatasync)
    sys.argv = [program, *arguments]
    try:
        runpy.run_path(program, run_name='__main__')
    finally:
        with open(file, 'w') as counted:
            print(len(calls), file=counted)


if __name__ == '__main__':
    main(*sys.argv[1:])
