"""Verify, export and install signed releases; the only code that runs as root on a node."""
