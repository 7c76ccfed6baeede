"""One-time codes: the arithmetic of RFC 6238, and the form of recovery codes. No state."""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import datetime

import pyotp

STEP_S = 30
RECOVERY_CODES = 10
ISSUER = "B3IQ node"

# A code of the step before or after is taken too: clocks drift, and typing takes time.
_DRIFT = (-1, 0, 1)
_CODE = re.compile(r"[0-9]{6}", re.ASCII)
# No letter that is read as a digit; 12 of them are 59 bits, behind a throttle and a pepper.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS = 3
_GROUP_LENGTH = 4


def new_secret() -> str:
    """160 random bits in base32, as apps take them (RFC 4226 section 4)."""
    return pyotp.random_base32(32)


def address(secret: str, owner_name: str) -> str:
    """What the QR code says: the `otpauth` form that apps read."""
    return pyotp.TOTP(secret).provisioning_uri(name=owner_name, issuer_name=ISSUER)


def matching_step(secret: str, code: str, now: datetime, last_step: int | None) -> int | None:
    """The time step whose code this is, later than the last one used; None if there is none.

    A clock that was moved back does not make a used step new.
    """
    typed = re.sub(r"\s", "", code)
    if not _CODE.fullmatch(typed):
        return None
    present = int(now.timestamp()) // STEP_S
    found = None
    for step in (present + drift for drift in _DRIFT):
        # Every step is compared, so that the time taken tells nothing of the match.
        matches = hmac.compare_digest(pyotp.HOTP(secret).at(max(step, 0)), typed)
        if matches and (last_step is None or step > last_step):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Ten codes such as ``k3fa-9xwq-p7mn``."""
    return ["-".join(_group() for _ in range(_GROUPS)) for _ in range(RECOVERY_CODES)]


def normal_recovery_code(typed: str) -> str:
    """A recovery code as it was made, however it was typed."""
    letters = re.sub(r"[\s-]", "", typed).lower()
    return "-".join(
        letters[start : start + _GROUP_LENGTH] for start in range(0, len(letters), _GROUP_LENGTH)
    )


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH))
