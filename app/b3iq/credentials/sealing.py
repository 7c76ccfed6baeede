"""Secrets that the node must read again, encrypted before they reach the database."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_LENGTH = 12


class Unreadable(Exception):
    """Sealed under another key or for another purpose, or changed since."""


class Sealer:
    """ChaCha20-Poly1305 (RFC 8439) under a key derived for one purpose (HKDF, RFC 5869).

    The root is a systemd credential that is used elsewhere too. A derived key says nothing of
    its root or of other keys, so one file on the host is enough; losing it loses them all,
    and all of them can be made anew by root.

    Args:
        root: a uniformly random secret, kept outside the database.
        purpose: what is sealed; another purpose has another key.
    """

    def __init__(self, root: bytes, purpose: str) -> None:
        info = f"b3iq sealing v1 {purpose}".encode()
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(root)
        self._cipher = ChaCha20Poly1305(key)

    def seal(self, secret: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, secret, None)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            Unreadable: it was not sealed so, or was changed.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:], None)
        except (InvalidTag, ValueError):
            raise Unreadable from None
