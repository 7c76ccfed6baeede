"""The owner's password: argon2id (RFC 9106), checked at equal cost for every name."""

from __future__ import annotations

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from b3iq.credentials.errors import WeakPassword

MINIMUM = 12
MAXIMUM = 1024  # bytes: a bound on the work that a stranger can ask for

# The hash, at the same cost, of a random text that nobody kept: verified when no owner
# has the given name, so that unknown and known names take the same time.
NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$As8wMV+SGYLEkkapOcC3fA$WM"
    "uYoejZ7nbxEkaUUfYBNkafH9hFJHoEYUtZRkczjl8"
)


class Passwords:
    """Hashes and verifies; at most two at a time, since each takes 64 MiB."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._working = threading.BoundedSemaphore(2)

    def hash(self, password: str) -> str:
        """The encoded hash, salt and parameters within.

        Raises:
            WeakPassword: shorter than 12 characters or longer than 1024 bytes.
        """
        text = _normal(password)
        if len(text) > MAXIMUM:
            raise WeakPassword(
                f"The password must have at most {MAXIMUM} bytes.", remedy="Choose a shorter one."
            )
        if len(password) < MINIMUM:
            raise WeakPassword(
                f"The password must have at least {MINIMUM} characters.",
                remedy="Four or five unrelated words are easy to remember and hard to guess.",
            )
        with self._working:
            return self._hasher.hash(text)

    def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password is the one hashed; None stands for an unknown name."""
        text = _normal(password)
        if len(text) > MAXIMUM:
            return False
        with self._working:
            try:
                genuine = self._hasher.verify(encoded or NOBODY, text)
            except VerificationError:
                return False
        return genuine and encoded is not None


def _normal(password: str) -> bytes:
    # The same characters however the keyboard composed them (RFC 8265 section 4.2).
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
