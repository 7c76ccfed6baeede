"""The spool: an empty file by the name of a verb asks the updater for it, and nothing else can.

The updater decides by its own gates what it does about it. The name is the whole message, so
there is no content that root would have to read.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal, get_args

from b3iq.errors import B3iqError

Verb = Literal["rollback", "apply", "check"]
# In the order in which they are served: whoever asks to go back does not want the newest.
VERBS: tuple[Verb, ...] = get_args(Verb)


class SpoolClosed(B3iqError):
    """There is no updater to ask, or its directory takes no file."""

    code = "update_not_possible"
    title = "The updater cannot be asked from here"
    status = 409


def drop(spool: Path, verb: Verb) -> None:
    """Ask for a verb; asking twice before it was heard is asking once.

    Raises:
        SpoolClosed: the file cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(spool / verb, flags, 0o600))
    except OSError as error:
        raise SpoolClosed(
            "This node has no updater that can be asked from its pages.",
            remedy=f"Run `b3iq update {verb}` on the machine.",
        ) from error
