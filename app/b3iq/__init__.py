"""B3IQ node: a local-first AI inference node."""

__version__ = "0.1.0"
