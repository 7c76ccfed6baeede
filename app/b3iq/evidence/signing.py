"""Ed25519 signatures (RFC 8032) by the node's identity key, which never leaves it."""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from b3iq.evidence.errors import SignatureRefused

_KEY_BYTES = 32
_REMEDY = "Keep it as it is, and compare it and the public key with another copy."


class Signer:
    """Signs with one private key.

    Attributes:
        public_key: raw, 32 bytes.
        key_id: first 16 hex digits of the SHA-256 of the public key.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = key_id(self.public_key)

    def sign(self, message: bytes) -> str:
        """The signature as base64url without padding, 86 characters."""
        return _text(self._key.sign(message))


def public_text(public_key: bytes) -> str:
    """A public key as it is shown: base64url without padding, 43 characters."""
    return _text(public_key)


def public_bytes(text: str) -> bytes:
    """A public key as it is shown, raw again.

    Raises:
        SignatureRefused: the text is no such key.
    """
    try:
        raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise SignatureRefused(
            "This is not a public key of a node.",
            remedy="It has 43 characters: letters, digits, '-' and '_'.",
        )
    return raw


def key_id(public_key: bytes) -> str:
    """The short public name of a key."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def verify(public_key: bytes, signature: str, message: bytes) -> None:
    """Check a signature.

    Raises:
        SignatureRefused: it is not this key's signature over this message.
    """
    try:
        raw = base64.b64decode(signature + "==", altchars=b"-_", validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureRefused("The signature is not by the pinned key.", remedy=_REMEDY) from error
    if _text(raw) != signature:
        # base64 has spare bits at its end: one signature has one spelling here.
        raise SignatureRefused("The signature is not in its canonical form.", remedy=_REMEDY)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
