"""`python -m b3iq.engine`."""

from __future__ import annotations

import sys

from b3iq.engine.main import main

if __name__ == "__main__":
    sys.exit(main())
