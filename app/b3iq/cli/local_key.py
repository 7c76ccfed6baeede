"""Where a client finds its local key: files first, the environment last, never argv.

What is given as an argument is in the shell's history and in every process listing.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from b3iq.errors import UsageError

FILE_VARIABLE = "B3IQ_LOCAL_KEY_FILE"
VARIABLE = "B3IQ_LOCAL_KEY"
# A whole token, or as much of one as still tells part of its secret.
_TOKEN = re.compile(r"b3iq_(?:local|support|gateway|setup)_[0-9A-Za-z]{8,}_[0-9A-Za-z]{4,}")
# What other programs take a secret by; no verb has one of these.
_OPTION = re.compile(
    r"--?(?:(?:local|gateway|support)-)?(?:api-?key|key|token|password|secret)(?:=.*)?"
)


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


def refuse_in_arguments(words: Sequence[str]) -> None:
    """Refuse a credential on the command line, whichever verb or option it was meant for.

    Raises:
        UsageError: it was shown to every process listing; it says what to do and quotes nothing.
    """
    options = words[: words.index("--")] if "--" in words else words
    if any(_TOKEN.search(word) for word in words) or any(map(_OPTION.fullmatch, options)):
        raise UsageError(
            "A key given as an argument is in the shell's history and in process listings.",
            remedy="Revoke it by its id (see `b3iq keys list`), make a new one with "
            "`b3iq keys create NAME --file FILE`, and give that by --api-key-file FILE, "
            f"--api-key-stdin or {FILE_VARIABLE}.",
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
