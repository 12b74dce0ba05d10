"""`python -m zeit.cds` is the command `zeit-cds`."""

import sys

from zeit.cds.cli.main import main


if __name__ == '__main__':
    sys.exit(main())
