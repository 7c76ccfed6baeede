"""Provenance: a second signature, by the machine that built the release, over its manifest.

TUF says who published; a sigstore bundle says which workflow of which repository built it,
at which commit. Both must hold before anything is unpacked. What is trusted beside TUF, the
sigstore root and the identity policy, are targets of the top-level targets role, so that
the keys which sign releases cannot widen it. Verification asks no network.

Evolution law (format ``b3iq-provenance-policy-v1``): as for the release manifest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from b3iq.schemas import Closed, faults
from b3iq.updater.manifest import ReleaseManifest, digest
from b3iq.updater.refusals import ManifestRefused, ProvenanceMissing, ProvenanceRefused

POLICY_FORMAT: Literal["b3iq-provenance-policy-v1"] = "b3iq-provenance-policy-v1"
POLICY_TARGET = "trust/provenance-policy.json"
ROOT_TARGET = "trust/sigstore-root.json"
# All are read whole into memory; the public sigstore root has seven kilobytes.
POLICY_LENGTH_LIMIT = 16 * 1024
ROOT_LENGTH_LIMIT = 256 * 1024
BUNDLE_LENGTH_LIMIT = 256 * 1024

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
SUBJECT = "release-manifest.json"

Text = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[!-~]+$")]


class Identity(Closed):
    """Who may build releases: one workflow, of one repository, at one ref.

    Attributes:
        issuer: OIDC issuer of the workflow's token.
        identity: subject of the certificate, the workflow file with its ref.
        repository: address of the source repository.
        ref: git ref that the workflow ran for.
    """

    issuer: Text
    identity: Text
    repository: Text
    ref: Text


class Policy(Closed):
    """`trust/provenance-policy.json`: whether provenance is asked for, and by whom."""

    format: Literal["b3iq-provenance-policy-v1"]
    required: bool
    identities: Annotated[tuple[Identity, ...], Field(max_length=16)]

    @model_validator(mode="after")
    def _satisfiable(self) -> Self:
        if self.required != bool(self.identities):
            raise ValueError("identities belong to a policy that requires them, and to each such")
        return self


class _Subject(BaseModel):
    name: str
    digest: dict[str, str]


class _Statement(BaseModel):
    """What is read of an in-toto statement; the predicate's other fields are the builder's."""

    type: str = Field(alias="_type")
    subject: list[_Subject]
    predicate_type: str = Field(alias="predicateType")
    predicate: dict[str, Any]


@dataclass(frozen=True)
class Provenance:
    """What vouches for how a release was built.

    Attributes:
        required: the policy asks for it, and it holds.
        signer: the identity that signed; None where none was asked for.
        files: the verified target files behind it, by target path.
    """

    required: bool
    signer: str | None
    files: Mapping[str, bytes]


def bundle_target(version: str) -> str:
    """TUF target path of a release's bundle. The manifest cannot name it: it is signed by it."""
    return f"releases/{version}/provenance.sigstore.json"


def missing(target: str) -> ProvenanceMissing:
    """The refusal for a release without its bundle."""
    return ProvenanceMissing(
        f"The policy asks for provenance, and no trusted role signs {target}.",
        remedy="Nothing was installed. Ask who published the release.",
    )


def read_policy(raw: bytes) -> Policy:
    """Read a verified policy.

    Raises:
        ManifestRefused: naming each field that does not fit.
    """
    try:
        return Policy.model_validate_json(raw)
    except ValidationError as error:
        raise ManifestRefused(
            f"{POLICY_TARGET} is signed but does not fit its schema: {'; '.join(faults(error))}.",
            remedy="Use an updater of the same release, or ask who published it.",
        ) from error


def check(
    policy: Policy,
    root_raw: bytes,
    bundle_raw: bytes,
    manifest: ReleaseManifest,
    manifest_raw: bytes,
) -> str:
    """Verify a bundle offline, and that it speaks of this manifest; returns who signed.

    Raises:
        ProvenanceRefused: with what does not hold.
    """
    signer, payload_type, payload = _verified(policy, root_raw, bundle_raw, manifest.source_commit)
    # CVE-2022-36056: a good signature over something else is no statement about us.
    if payload_type != PAYLOAD_TYPE:
        raise _refused(f"it signs a {payload_type!a} and no in-toto statement")
    try:
        statement = _Statement.model_validate_json(payload)
    except ValidationError as error:
        raise _refused(f"its statement is malformed: {'; '.join(faults(error))}") from error
    if (statement.type, statement.predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise _refused(f"it states {statement.predicate_type!a} and no SLSA provenance")
    wanted = {SUBJECT: digest(manifest_raw)}
    wanted |= {layer.target: layer.sha256 for layer in manifest.layers}
    for name, sha256 in wanted.items():
        found = [subject.digest.get("sha256") for subject in statement.subject
                 if subject.name == name]  # fmt: skip
        if found != [sha256]:
            raise _refused(f"it does not speak of this {name}")
    return signer


def _verified(
    policy: Policy, root_raw: bytes, bundle_raw: bytes, commit: str
) -> tuple[str, str, bytes]:
    """Who of the policy's identities signed, payload type and payload."""
    # Imported here: a release without provenance does not need them.
    from cryptography.x509 import SubjectAlternativeName
    from sigstore.errors import Error
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore.verify import policy as sigstore

    def one(identity: Identity) -> sigstore.AllOf:
        return sigstore.AllOf([
            sigstore.Identity(identity=identity.identity, issuer=identity.issuer),
            sigstore.OIDCSourceRepositoryURI(identity.repository),
            sigstore.OIDCSourceRepositoryRef(identity.ref),
            sigstore.OIDCSourceRepositoryDigest(commit),
        ])  # fmt: skip

    try:
        with tempfile.TemporaryDirectory(prefix="b3iq-sigstore-") as directory:
            path = Path(directory) / "root.json"
            path.write_bytes(root_raw)
            # Never Verifier.production(): it trusts a file in the home directory, unverified.
            verifier = Verifier(trusted_root=TrustedRoot.from_file(str(path)))
        bundle = Bundle.from_json(bundle_raw)
        anyone = sigstore.AnyOf([one(identity) for identity in policy.identities])
        payload_type, payload = verifier.verify_dsse(bundle, anyone)
        names = bundle.signing_certificate.extensions.get_extension_for_class(
            SubjectAlternativeName
        )
        return str(names.value[0].value), payload_type, payload
    except (Error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _refused(f"{error}".rstrip(".") or type(error).__name__) from error


def _refused(fault: str) -> ProvenanceRefused:
    return ProvenanceRefused(
        f"The provenance does not hold: {fault}.",
        remedy="Nothing was installed. TUF and provenance disagree: ask who published it.",
    )
