"""One byte form for everything that is hashed: JSON Canonicalization Scheme (RFC 8785)."""

from __future__ import annotations

import hashlib

import rfc8785
from pydantic import BaseModel


def encode(body: BaseModel) -> bytes:
    """The bytes that are hashed and signed."""
    return rfc8785.dumps(body.model_dump(mode="json"))


def digest(encoded: bytes) -> str:
    """SHA-256 of the canonical bytes, 64 hex digits."""
    return hashlib.sha256(encoded).hexdigest()
