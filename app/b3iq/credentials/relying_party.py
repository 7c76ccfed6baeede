"""What a passkey belongs to: a host name, and the exact origin of the pages under it.

The specification calls it the relying party (Web Authentication level 3, W3C, section 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A domain: the last label begins with a letter, or browsers would read an IPv4 address.
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}\.)*(?=[a-z]){_LABEL}", re.ASCII)
_LONGEST = 253


@dataclass(frozen=True)
class RelyingParty:
    """The name that a passkey is made for, and the origin that its answers must name."""

    rp_id: str
    origin: str


def of_host(host: str, *, tls: bool) -> RelyingParty | None:
    """The relying party of a request's Host; None where browsers have no passkeys.

    That is under an address instead of a name, and without TLS under any name but localhost
    (Secure Contexts, W3C, section 3.1).
    """
    host = host.lower()
    name = host.partition(":")[0]
    if len(name) > _LONGEST or not _DOMAIN.fullmatch(name):
        return None
    if not tls and name != "localhost" and not name.endswith(".localhost"):
        return None
    return RelyingParty(name, f"{'https' if tls else 'http'}://{host}")
