"""`python -m tests.lab`."""

from __future__ import annotations

from tests.lab.cli import main

if __name__ == "__main__":
    main()
