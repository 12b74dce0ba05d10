"""Send all files of a directory with Python's ftplib, one after the other.

PASSWORD=... python ftplib_loop.py HOST PORT USER DIRECTORY
"""

import ftplib
import os
import sys


def main(host, port, user, directory):
    """Send them; an error ends it."""
    with ftplib.FTP(timeout=60) as ftp:
        ftp.connect(host, int(port))
        ftp.login(user, os.environ['PASSWORD'])
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), 'rb') as file:
                ftp.storbinary(f'STOR {name}', file)


if __name__ == '__main__':
    main(*sys.argv[1:])
