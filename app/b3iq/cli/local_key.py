"""Where a client finds its local key: files first, the environment last, never argv.

What is given as an argument is in the shell's history and in every process listing.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from b3iq.errors import UsageError

FILE_VARIABLE = "B3IQ_LOCAL_KEY_FILE"
VARIABLE = "B3IQ_LOCAL_KEY"
_PREFIXES = ("b3iq_local_", "b3iq_gateway_", "b3iq_support_", "b3iq_setup_")


def read(file: Path | None, *, from_stdin: bool) -> str:
    """The key, from the option's file, standard input, or what the environment names.

    B3IQ_LOCAL_KEY is taken out of the environment whether it is used or not, so that no
    child process inherits it.

    Raises:
        UsageError: there is none, or its file is open to other users.
    """
    inherited = os.environ.pop(VARIABLE, None)
    named = os.environ.get(FILE_VARIABLE)
    if file is not None and from_stdin:
        raise UsageError(
            "The key is given by file and by standard input.", remedy="Give it by one of them."
        )
    if from_stdin:
        key = sys.stdin.readline()
    elif file is not None or named:
        key = _read_file(file or Path(str(named)))
    else:
        key = inherited or ""
    if not key.strip():
        raise UsageError(
            "There is no local key.",
            remedy=f"Use --api-key-file FILE, --api-key-stdin, or {FILE_VARIABLE}; "
            "`b3iq keys create NAME --file FILE` makes one.",
        )
    return key.strip()


def refuse_in_arguments(words: tuple[str, ...]) -> None:
    """Refuse a credential among the arguments.

    Raises:
        UsageError: it was shown to every process listing; it says what to do.
    """
    if any(prefix in word for word in words for prefix in _PREFIXES):
        raise UsageError(
            "A key given as an argument is in the shell's history and in process listings.",
            remedy="Revoke that key (`b3iq keys revoke`) and use --api-key-file instead.",
        )


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                raise UsageError(
                    f"{path} can be read by other users.", remedy=f"Run: chmod 600 {path}"
                )
            return file.read(4096)
    except OSError as error:
        raise UsageError(
            f"The key file {path} cannot be read: {error.strerror}.",
            remedy="`b3iq keys create NAME --file FILE` makes one.",
        ) from error
