"""``python -m b3iq.node``."""

from __future__ import annotations

from b3iq.node.main import main

main()
