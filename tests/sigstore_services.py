"""A private sigstore in this process: Fulcio with its CT log, Rekor and a time-stamp authority.

The real Signer and Verifier use it. A log nobody watches proves nothing: for tests alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jwt
import rfc8785
from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from rfc3161_client import decode_timestamp_response
from sigstore._internal.rekor import RekorLogSubmitter
from sigstore._internal.rekor.client_v2 import RekorV2Client
from sigstore.dsse import Statement
from sigstore.models import TransparencyLogEntry, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore_models.rekor.v1 import TransparencyLogEntry as Entry
from sigstore_models.trustroot.v1 import TrustedRoot as RootModel

from tests import merkle

_FULCIO = "1.3.6.1.4.1.57264.1."
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
_SHA256 = {"algorithm": "sha256"}


@dataclass(frozen=True)
class Workflow:
    """Who asks Fulcio for a certificate, as its CI system vouches for it."""

    issuer: str = "https://token.example"
    identity: str = "https://forge.example/b3iq/node/.github/workflows/release.yml@refs/tags/v1"
    repository: str = "https://forge.example/b3iq/node"
    ref: str = "refs/tags/v1"
    commit: str = "0" * 40


class Sigstore:
    """The four services, with keys of their own."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        self._ca_key, self._stamp_key, self._ct_key = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(3)
        )
        self._log_key = ed25519.Ed25519PrivateKey.generate()
        self._leaves: list[bytes] = []
        self.authority = self._authority("fulcio", self._ca_key, ExtendedKeyUsageOID.CODE_SIGNING)
        root_key = ec.generate_private_key(ec.SECP256R1())
        self._stamp_root = self._authority("stamp root", root_key, None)
        self._stamp = self._authority(
            "stamp", self._stamp_key, ExtendedKeyUsageOID.TIME_STAMPING, ("stamp root", root_key)
        )

    def sign(self, statement: bytes, workflow: Workflow) -> bytes:
        """Sign a statement as a workflow would; returns the bundle."""
        claims = {
            "aud": "sigstore", "sub": workflow.identity, "iss": workflow.issuer,
            "iat": int(self.now.timestamp()), "exp": int(self.now.timestamp()) + 600,
        }  # fmt: skip
        context = SigningContext(
            fulcio=SimpleNamespace(signing_cert=_Fulcio(self, workflow)),  # type: ignore[arg-type]
            rekor=_Rekor(self),
            trusted_root=self.trusted_root(),
            tsa_clients=[_Stamps(self)],  # type: ignore[list-item]
        )
        with context.signer(IdentityToken(jwt.encode(claims, "x" * 32))) as signer:
            return signer.sign_dsse(Statement(statement)).to_json().encode()

    def root(self) -> bytes:
        """`trusted_root.json` of these services."""
        valid = {"start": (self.now - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")}

        def log(url: str, key: Any, details: str) -> dict[str, Any]:
            public = {"rawBytes": _b64(_spki(key)), "keyDetails": details, "validFor": valid}
            return {
                "baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public,
                "logId": {"keyId": _b64(_sha256(_spki(key)))},
            }  # fmt: skip

        def authority(*chain: x509.Certificate) -> dict[str, Any]:
            certificates = [{"rawBytes": _b64(c.public_bytes(Encoding.DER))} for c in chain]
            return {
                "subject": {"organization": "tests", "commonName": "tests"}, "validFor": valid,
                "uri": "https://ca.example", "certChain": {"certificates": certificates},
            }  # fmt: skip

        return json.dumps({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log("https://log.example", self._log_key, "PKIX_ED25519")],
            "ctlogs": [log("https://ct.example", self._ct_key, "PKIX_ECDSA_P256_SHA_256")],
            "certificateAuthorities": [authority(self.authority)],
            "timestampAuthorities": [authority(self._stamp, self._stamp_root)],
        }).encode()  # fmt: skip

    def trusted_root(self) -> TrustedRoot:
        """The same, as sigstore reads it."""
        return TrustedRoot(RootModel.from_json(self.root()))

    def certify(self, public: Any, workflow: Workflow) -> x509.Certificate:
        """A leaf certificate with the workflow's claims, and the CT log's promise in it."""
        text = {8: workflow.issuer, 12: workflow.repository, 13: workflow.commit, 14: workflow.ref}
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.authority.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(seconds=5))
            .not_valid_after(self.now + timedelta(minutes=10))
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), False
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(workflow.identity)]),
                critical=True,
            )
            .add_extension(_claim(1, workflow.issuer.encode()), critical=False)
        )
        for number, value in text.items():
            builder = builder.add_extension(_claim(number, core.UTF8String(value).dump()), False)
        before = builder.sign(self._ca_key, hashes.SHA256()).tbs_certificate_bytes
        promise = x509.UnrecognizedExtension(_SCT_LIST, self._promise(before))
        return builder.add_extension(promise, critical=False).sign(self._ca_key, hashes.SHA256())

    def _promise(self, tbs: bytes) -> bytes:
        """RFC 6962 section 3.2: a signed certificate timestamp over a precertificate."""
        stamp = int(self.now.timestamp() * 1000)
        entry = _sha256(_spki(self._ca_key)) + len(tbs).to_bytes(3, "big") + tbs
        signed = struct.pack("!BBQH", 0, 0, stamp, 1) + entry + b"\0\0"
        signature = self._ct_key.sign(signed, ec.ECDSA(hashes.SHA256()))
        one = b"\0" + _sha256(_spki(self._ct_key)) + struct.pack("!QH", stamp, 0) + b"\x04\x03"
        one = _prefixed(one + _prefixed(signature))
        return core.OctetString(_prefixed(one)).dump()

    def _authority(
        self, name: str, key: Any, usage: ObjectIdentifier | None, parent: Any = None
    ) -> x509.Certificate:
        issuer, issuer_key = parent or (name, key)
        leaf = parent is not None
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=30))
            .not_valid_after(self.now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(not leaf, None if leaf else 1), critical=True)
            .add_extension(_usage("digital_signature" if leaf else "key_cert_sign"), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=leaf)
        return builder.sign(issuer_key, hashes.SHA256())

    def enter(self, body: bytes) -> dict[str, Any]:
        """Append to the log; index, inclusion proof and a signed checkpoint (C2SP)."""
        self._leaves.append(_sha256(b"\0" + body))
        index, size = len(self._leaves) - 1, len(self._leaves)
        root = _b64(merkle.root(self._leaves))
        note = f"log.example\n{size}\n{root}\n"
        hint = _sha256(_spki(self._log_key))
        signature = _b64(hint[:4] + self._log_key.sign(note.encode()))
        return {
            "logIndex": str(index), "treeSize": str(size), "rootHash": root,
            "hashes": [_b64(value) for value in merkle.path(index, self._leaves)],
            "checkpoint": {"envelope": f"{note}\n\u2014 log.example {signature}\n"},
        }  # fmt: skip

    def log_id(self) -> str:
        """How entries name the log."""
        return _b64(_sha256(_spki(self._log_key)))

    def stamp(self, signature: bytes) -> bytes:
        """RFC 3161: a response that says when the signature was there."""
        certificate = asn1_x509.Certificate.load(self._stamp.public_bytes(Encoding.DER))
        info = tsp.TSTInfo({
            "version": "v1", "policy": "1.2.3.4.1", "serial_number": secrets.randbits(63),
            "message_imprint": {"hash_algorithm": _SHA256, "hashed_message": _sha256(signature)},
            "gen_time": self.now, "nonce": secrets.randbits(63),
        }).dump()  # fmt: skip
        own = {"certs": [{"cert_hash": _sha256(certificate.dump())}]}
        attributes = cms.CMSAttributes([
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [_sha256(info)]},
            {"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2(own)]},
        ])  # fmt: skip
        name = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        signer = {
            "version": "v1", "digest_algorithm": _SHA256, "signed_attrs": attributes,
            "sid": cms.SignerIdentifier({"issuer_and_serial_number": name}),
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self._stamp_key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }  # fmt: skip
        content = {"content_type": "tst_info", "content": core.ParsableOctetString(info)}
        signed = cms.SignedData({
            "version": "v3", "digest_algorithms": [_SHA256], "encap_content_info": content,
            "certificates": [certificate], "signer_infos": [signer],
        })  # fmt: skip
        token = {"content_type": "signed_data", "content": signed}
        return bytes(
            tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
        )


@dataclass
class _Fulcio:
    services: Sigstore
    workflow: Workflow

    def post(self, request: x509.CertificateSigningRequest, _identity: IdentityToken) -> Any:
        certificate = self.services.certify(request.public_key(), self.workflow)
        return SimpleNamespace(cert=certificate, chain=[self.services.authority])


class _Rekor(RekorLogSubmitter):
    _build_hashed_rekord_request = staticmethod(RekorV2Client._build_hashed_rekord_request)  # type: ignore[assignment]
    _build_dsse_request = staticmethod(RekorV2Client._build_dsse_request)  # type: ignore[assignment]

    def __init__(self, services: Sigstore) -> None:
        self._services = services

    def create_entry(self, request: Any) -> TransparencyLogEntry:
        asked = request["hashedRekordRequestV002"]
        data = {"algorithm": "SHA2_256", "digest": asked["digest"]}
        spec = {"hashedRekordV002": {"data": data, "signature": asked["signature"]}}
        kind = {"kind": "hashedrekord", "version": "0.0.2"}
        body = rfc8785.dumps({"apiVersion": kind["version"], "kind": kind["kind"], "spec": spec})
        proof = self._services.enter(body)
        return TransparencyLogEntry(Entry.from_dict({
            "logIndex": proof["logIndex"], "logId": {"keyId": self._services.log_id()},
            "kindVersion": kind, "inclusionProof": proof, "canonicalizedBody": _b64(body),
        }))  # fmt: skip


@dataclass
class _Stamps:
    services: Sigstore
    url: str = "https://stamp.example"

    def request_timestamp(self, signature: bytes) -> Any:
        return decode_timestamp_response(self.services.stamp(signature))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _spki(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _prefixed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(on: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage == on for usage in _USAGES})


def _claim(number: int, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ObjectIdentifier(f"{_FULCIO}{number}"), value)
