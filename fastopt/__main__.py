"""`python -m fastopt` is the command `fastopt`."""

import sys

from fastopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
