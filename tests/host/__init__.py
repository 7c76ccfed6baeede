"""Tests of a real host: bare/ before an install, installed/ after it, removed/ after uninstall.

Molecule runs them in this order. By hand, against any lab host:

    B3IQ_HOST=demo B3IQ_HOST_INVENTORY=build/demo/inventory .venv/bin/pytest tests/host/installed
"""
