"""The `b3iq` command: one file per verb."""
