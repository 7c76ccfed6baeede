"""What can go wrong with a lab host, said with a remedy."""

from __future__ import annotations

from b3iq.errors import B3iqError


class LabError(B3iqError):
    """A lab host or its image could not be made, reached or removed."""

    code = "lab"
    title = "The lab host is not as it should be"
