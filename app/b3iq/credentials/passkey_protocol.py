"""What the node and a passkey say to each other; the one door to the library `webauthn`.

The browser's answers are small closed schemas of base64url text, made by static/passkey.js.
Attestation is neither asked for nor looked at: the owner alone decides what to enrol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import webauthn
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_attestation_object,
)
from webauthn.helpers.cose import COSECRV, COSEKTY, COSEAlgorithmIdentifier
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from b3iq.credentials.passkey_errors import PasskeyRefused
from b3iq.credentials.relying_party import RelyingParty
from b3iq.schemas import Closed

TIMEOUT_MS = 5 * 60 * 1000
_RP_NAME = "B3IQ node"
# In the order of preference. Each name goes with exactly one form of key.
_KEYS: dict[COSEAlgorithmIdentifier, tuple[COSEKTY, COSECRV | None]] = {
    COSEAlgorithmIdentifier.EDDSA: (COSEKTY.OKP, COSECRV.ED25519),
    COSEAlgorithmIdentifier.ECDSA_SHA_256: (COSEKTY.EC2, COSECRV.P256),
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256: (COSEKTY.RSA, None),
}
_RSA_BITS = range(2048, 4096 + 1)


def _decodes(text: str) -> str:
    if len(text) % 4 == 1:
        raise ValueError("not base64url")
    return text


_Base64Url = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$"), AfterValidator(_decodes)]
# A credential id has 1023 bytes at most (Web Authentication level 3, section 4).
CredentialId = Annotated[_Base64Url, Field(max_length=1364)]
ClientData = Annotated[_Base64Url, Field(max_length=4096)]


class Attestation(Closed):
    """A new passkey, as `navigator.credentials.create` made it."""

    id: CredentialId
    client_data: ClientData
    attestation_object: Annotated[_Base64Url, Field(max_length=8192)]


class Assertion(Closed):
    """A proof, as `navigator.credentials.get` made it."""

    id: CredentialId
    client_data: ClientData
    authenticator_data: Annotated[_Base64Url, Field(max_length=2048)]
    signature: Annotated[_Base64Url, Field(max_length=1024)]
    # Absent from authenticators that were told which passkey to use.
    user_handle: Annotated[_Base64Url, Field(max_length=86)] | None = None


class _ClientData(BaseModel):
    """What is looked at here of the browser's own words; browsers may add to them."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    challenge: Annotated[_Base64Url, Field(max_length=128)]
    crossOrigin: bool = False  # noqa: N815 (the specification's name)


@dataclass(frozen=True)
class NewPasskey:
    """What is kept of a passkey that was made just now."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


Answer = TypeVar("Answer", Attestation, Assertion)
Result = TypeVar("Result")


def text_of(value: bytes) -> str:
    """Bytes as base64url without padding."""
    return bytes_to_base64url(value)


def bytes_of(text: str) -> bytes:
    """Base64url, as the schemas let it through, as bytes."""
    return base64url_to_bytes(text)


def read(schema: type[Answer], text: str) -> Answer:
    """The browser's answer, out of a field of a form.

    Raises:
        PasskeyRefused: it is not of the schema, or too long.
    """
    try:
        return schema.model_validate_json(text)
    except ValidationError:
        raise PasskeyRefused from None


def challenge_of(answer: Attestation | Assertion) -> bytes:
    """The challenge that the answer says it signed; nothing is verified yet.

    Raises:
        PasskeyRefused: there is none, or the page stood inside one of another site.
    """

    def read_it() -> bytes:
        said = _ClientData.model_validate_json(bytes_of(answer.client_data))
        return b"" if said.crossOrigin else bytes_of(said.challenge)

    return _refusing_all(read_it) or _refuse()


def creation_options(
    party: RelyingParty,
    challenge: bytes,
    *,
    user_handle: bytes,
    user_name: str,
    known: Sequence[bytes],
) -> dict[str, Any]:
    """What `navigator.credentials.create` is asked for, as JSON; `known` may not be made again."""
    return options_to_json_dict(
        webauthn.generate_registration_options(
            rp_id=party.rp_id,
            rp_name=_RP_NAME,
            user_id=user_handle,
            user_name=user_name,
            user_display_name=user_name,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            attestation=AttestationConveyancePreference.NONE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
            supported_pub_key_algs=list(_KEYS),
        )
    )


def request_options(
    party: RelyingParty, challenge: bytes, known: Sequence[bytes] = ()
) -> dict[str, Any]:
    """What `navigator.credentials.get` is asked for, as JSON; any passkey of the name, or one of
    `known`.
    """
    return options_to_json_dict(
        webauthn.generate_authentication_options(
            rp_id=party.rp_id,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            allow_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
    )


def verify_new(answer: Attestation, challenge: bytes, party: RelyingParty) -> NewPasskey:
    """The passkey that was made for this challenge, with its user verified.

    Raises:
        PasskeyRefused: anything of it is not as it must be.
    """

    def verify() -> NewPasskey:
        _check_format(answer)
        made = webauthn.verify_registration_response(
            credential=_as_credential(
                answer.id,
                clientDataJSON=answer.client_data,
                attestationObject=answer.attestation_object,
            ),
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            require_user_verification=True,
            supported_pub_key_algs=list(_KEYS),
        )
        # What is answered is what was attested: the id beside it is only the browser's word.
        if made.credential_id != bytes_of(answer.id):
            raise PasskeyRefused
        _check_key(made.credential_public_key)
        return NewPasskey(made.credential_id, made.credential_public_key, made.sign_count)

    return _refusing_all(verify)


def verify_known(
    answer: Assertion, challenge: bytes, party: RelyingParty, public_key: bytes
) -> int:
    """The sign count of a proof of this key for this challenge, with its user verified.

    Raises:
        PasskeyRefused: anything of it is not as it must be.
    """

    def verify() -> int:
        shown = webauthn.verify_authentication_response(
            credential=_as_credential(
                answer.id,
                clientDataJSON=answer.client_data,
                authenticatorData=answer.authenticator_data,
                signature=answer.signature,
            ),
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            credential_public_key=public_key,
            # The caller compares: only so is a count that went back told from a bad signature.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
        return shown.new_sign_count

    return _refusing_all(verify)


def _as_credential(credential_id: str, **response: str) -> dict[str, Any]:
    return {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "response": response,
    }


def _check_format(answer: Attestation) -> None:
    """Nothing but "none" and the self-signed form, which browsers do not take away."""
    attested = parse_attestation_object(bytes_of(answer.attestation_object))
    chained = attested.att_stmt.x5c is not None
    if attested.fmt not in {AttestationFormat.NONE, AttestationFormat.PACKED} or chained:
        raise PasskeyRefused


def _check_key(public_key: bytes) -> None:
    """The algorithm, the form and the size of the key fit; whoever cannot verify must not keep."""
    told = decode_credential_public_key(public_key)
    form = (told.kty, getattr(told, "crv", None))
    if form != _KEYS.get(COSEAlgorithmIdentifier(told.alg)):
        raise PasskeyRefused
    key = decoded_public_key_to_cryptography(told)
    if told.kty == COSEKTY.RSA and getattr(key, "key_size", 0) not in _RSA_BITS:
        raise PasskeyRefused


def _refusing_all(verify: Callable[[], Result]) -> Result:
    try:
        return verify()
    except Exception:  # noqa: BLE001 (hostile CBOR and JSON: whatever they raise is a refusal)
        raise PasskeyRefused from None


def _refuse() -> bytes:
    raise PasskeyRefused
