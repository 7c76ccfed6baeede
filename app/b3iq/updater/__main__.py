"""`python -m b3iq.updater`."""

import sys

from b3iq.updater.main import main

if __name__ == "__main__":
    sys.exit(main())
