"""The LAN listener's certificate and its private key: one PEM text, one secret file.

Together, so that a key can never lie beside another key's certificate. The key comes
first, then the certificate and the chain that it was given with.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from b3iq.errors import B3iqError
from b3iq.store.clock import utc_now

# The longest that every current client takes; a shorter one would be pinned anew more often.
LIFETIME = timedelta(days=825)
# A client whose clock is behind must not take a new certificate for one of the future.
_CLOCK_SKEW = timedelta(days=1)
_LEAST_RSA_BITS = 2048
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class PairRefused(B3iqError):
    """A certificate and key that the node cannot serve with."""

    code = "certificate_refused"
    title = "The certificate cannot be used"
    status = 400


@dataclass(frozen=True)
class Certificate:
    """What may be told of the certificate.

    Attributes:
        fingerprint: SHA-256 of its DER form, as browsers and openssl show it.
        names: host names and addresses that it is for.
        not_after: when it ends.
        self_signed: whether it vouches for itself, so that clients must pin it.
        pem: the certificate itself, without its chain.
    """

    fingerprint: str
    names: tuple[str, ...]
    not_after: datetime
    self_signed: bool
    pem: str

    def misses(self, names: list[str]) -> list[str]:
        """Which of these names it is not for."""
        return [name for name in names if not any(_covers(own, name) for own in self.names)]


def make(names: list[str]) -> bytes:
    """A new self-signed certificate for these names and addresses, with its new P-256 key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "B3IQ node")])
    now = utc_now()
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = dict.fromkeys(_KEY_USAGES, False) | {"digital_signature": True}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(public, critical=False)
        .sign(key, hashes.SHA256())
    )
    return _private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)


def join(certificate_pem: bytes, key_pem: bytes) -> bytes:
    """The pair of an operator's own certificate (its chain behind it) and private key.

    Raises:
        PairRefused: they do not belong together, or no client would accept them.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate_pem)
    except ValueError as error:
        raise PairRefused(
            "The certificate file holds no PEM certificate.",
            remedy="Give the certificate with its chain behind it, as PEM.",
        ) from error
    key = _private_key(key_pem)
    leaf = chain[0]
    if leaf.public_key() != key.public_key():
        raise PairRefused(
            "The key is not the one of the first certificate.",
            remedy="Put the node's own certificate first, and give the key it was made with.",
        )
    if leaf.not_valid_after_utc <= utc_now():
        raise PairRefused("The certificate has expired.", remedy="Have it renewed.")
    if not _names(leaf):
        raise PairRefused(
            "The certificate names no host.",
            remedy="Have one made with subjectAltName; clients look at nothing else.",
        )
    pems = [c.public_bytes(serialization.Encoding.PEM) for c in chain]
    return _private_pem(key) + b"".join(pems)


def describe(pair: bytes) -> Certificate:
    """What the certificate of a pair says.

    Raises:
        PairRefused: there is none.
    """
    try:
        leaf = x509.load_pem_x509_certificates(pair)[0]
    except ValueError as error:
        raise PairRefused(
            "The secret of the LAN listener holds no certificate.",
            remedy="Make a new one with `b3iq lan renew`.",
        ) from error
    der = leaf.public_bytes(serialization.Encoding.DER)
    return Certificate(
        fingerprint=hashlib.sha256(der).digest().hex(":").upper(),
        names=_names(leaf),
        not_after=leaf.not_valid_after_utc,
        self_signed=leaf.issuer == leaf.subject,
        pem=leaf.public_bytes(serialization.Encoding.PEM).decode("ascii"),
    )


def _private_key(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise PairRefused(
            "The private key is protected by a passphrase, which nobody types at a start.",
            remedy="Take it off: openssl pkey -in KEY -out PLAIN_KEY (as root, umask 077).",
        ) from error
    except ValueError:
        raise PairRefused(
            "The key file holds no PEM private key.", remedy="Give it in PEM form."
        ) from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_RSA_BITS:
        return key
    raise PairRefused(
        "The private key is of a kind that this node does not serve with.",
        remedy=f"Use an elliptic curve key (P-256), or RSA with {_LEAST_RSA_BITS} bits or more.",
    )


def _private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = found.get_values_for_type(x509.DNSName)
    return (*dns, *(str(ip) for ip in found.get_values_for_type(x509.IPAddress)))


def _covers(own: str, name: str) -> bool:
    own, name = own.lower(), name.lower()
    # A wildcard stands for one label (RFC 9525 section 6.3).
    return own == name or (own.startswith("*.") and own[2:] == name.partition(".")[2])
