"""An authenticator in software: real keys, real signatures, and every lie that one could tell."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text_of(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def _number(value: int, length: int | None = None) -> bytes:
    return value.to_bytes(length or (value.bit_length() + 7) // 8, "big")


@dataclass
class Authenticator:
    """One passkey: `make` answers the options of an enrolment, `show` those of a login or proof.

    Attributes:
        algorithm: of COSE: -8 Ed25519, -7 ES256, -257 RS256.
        counts: whether it has a sign count; it starts at 0 as those without.
    """

    origin: str = "http://localhost:8831"
    algorithm: int = -8
    counts: bool = True
    count: int = 0
    user_handle: bytes = b""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def __post_init__(self) -> None:
        self.key: Any = {
            -8: ed25519.Ed25519PrivateKey.generate,
            -7: lambda: ec.generate_private_key(ec.SECP256R1()),
            -257: lambda: rsa.generate_private_key(65537, 2048),
            -47: lambda: ec.generate_private_key(ec.SECP256K1()),
        }[self.algorithm]()

    def make(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        self.user_handle = bytes_of(options["user"]["id"])
        public = lies.pop("public_key", None) or self.public_key()
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        data = self._data(options["rp"]["id"], ATTESTED, lies) + attested + cbor2.dumps(public)
        statement = {"fmt": "none", "attStmt": {}, "authData": data} | lies.pop("statement", {})
        return {
            "id": text_of(self.credential_id),
            "client_data": self._client_data("webauthn.create", options, lies),
            "attestation_object": text_of(cbor2.dumps(statement)),
        }

    def show(self, options: dict[str, Any], **lies: Any) -> dict[str, Any]:
        data = self._data(options["rpId"], 0, lies)
        client_data = self._client_data("webauthn.get", options, lies)
        signed = data + hashlib.sha256(bytes_of(client_data)).digest()
        return {
            "id": text_of(self.credential_id),
            "client_data": client_data,
            "authenticator_data": text_of(data),
            "signature": text_of(self.sign(signed)),
            "user_handle": text_of(lies.pop("user_handle", self.user_handle)),
        }

    def sign(self, data: bytes) -> bytes:
        if self.algorithm == -8:
            return bytes(self.key.sign(data))
        if self.algorithm == -257:
            return bytes(self.key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
        return bytes(self.key.sign(data, ec.ECDSA(hashes.SHA256())))

    def public_key(self) -> dict[int, Any]:
        """As COSE_Key (RFC 9052 section 7)."""
        public = self.key.public_key()
        if self.algorithm == -8:
            return {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}
        numbers = public.public_numbers()
        if self.algorithm == -257:
            return {1: 3, 3: -257, -1: _number(numbers.n), -2: _number(numbers.e)}
        curve = {-7: 1, -47: 8}[self.algorithm]
        x, y = _number(numbers.x, 32), _number(numbers.y, 32)
        return {1: 2, 3: self.algorithm, -1: curve, -2: x, -3: y}

    def _data(self, rp_id: str, flags: int, lies: dict[str, Any]) -> bytes:
        self.count += self.counts
        name = str(lies.pop("rp_id", rp_id)).encode()
        flags |= lies.pop("flags", USER_PRESENT | USER_VERIFIED)
        count = lies.pop("count", self.count)
        return hashlib.sha256(name).digest() + bytes([flags]) + int(count).to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any], lies: dict[str, Any]) -> str:
        said = {
            "type": lies.pop("type", kind),
            "challenge": lies.pop("challenge", options["challenge"]),
            "origin": lies.pop("origin", self.origin),
            "crossOrigin": lies.pop("cross_origin", False),
        }
        return text_of(json.dumps(said).encode())
