"""Certificates: what the node makes for itself, and what it takes from an operator."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from b3iq.credentials import tls_pair
from b3iq.credentials.tls_pair import PairRefused

PEM = serialization.Encoding.PEM
NAMES = ["node.lan", "192.168.1.10", "fd00:1::10"]


def key_pem(key, encryption=None) -> bytes:
    how = encryption or serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, how)


def signed(key, names=("node.lan",), days=30) -> bytes:
    """A certificate by another authority."""
    authority = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node.lan")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(authority, hashes.SHA256()).public_bytes(PEM)


def test_a_made_certificate_is_for_its_names_and_vouches_for_nobody_else():
    made = tls_pair.describe(tls_pair.make(NAMES))
    leaf = x509.load_pem_x509_certificate(made.pem.encode())
    assert set(made.names) == set(NAMES)
    assert made.self_signed
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert isinstance(leaf.public_key().curve, ec.SECP256R1)
    assert made.not_after - leaf.not_valid_before_utc <= timedelta(days=826)


def test_two_nodes_never_share_a_key():
    assert tls_pair.make(NAMES)[:200] != tls_pair.make(NAMES)[:200]


def test_the_fingerprint_is_the_one_that_openssl_shows(tmp_path):
    made = tls_pair.describe(tls_pair.make(NAMES))
    (tmp_path / "node.pem").write_text(made.pem)
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", "node.pem"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert said.stdout.strip().partition("=")[2] == made.fingerprint


def test_what_is_described_holds_no_key():
    assert "PRIVATE" not in repr(tls_pair.describe(tls_pair.make(NAMES)))


def test_a_name_that_the_certificate_lacks_is_told():
    made = tls_pair.describe(tls_pair.make(["node.lan", "192.168.1.10"]))
    assert made.misses(["NODE.lan", "192.168.1.10", "192.168.1.11", "other.lan"]) == [
        "192.168.1.11",
        "other.lan",
    ]
    wild = tls_pair.Certificate("", ("*.lan",), made.not_after, self_signed=False, pem="")
    assert wild.misses(["node.lan", "a.node.lan", "lan"]) == ["a.node.lan", "lan"]


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)]
)
def test_an_operators_own_pair_is_taken_with_its_chain(key):
    chain = signed(key) + signed(ec.generate_private_key(ec.SECP256R1()))
    pair = tls_pair.join(chain, key_pem(key))
    assert pair.count(b"BEGIN CERTIFICATE") == 2
    assert tls_pair.describe(pair).names == ("node.lan",)
    assert not tls_pair.describe(pair).self_signed


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
LOCKED = serialization.BestAvailableEncryption(b"canary passphrase")
REFUSED = {
    "another key": (signed(KEY), key_pem(OTHER), "not the one"),
    "an expired certificate": (signed(KEY, days=-1), key_pem(KEY), "expired"),
    "no name in it": (signed(KEY, names=()), key_pem(KEY), "subjectAltName"),
    "a key under a passphrase": (signed(KEY), key_pem(KEY, LOCKED), "passphrase"),
    "a short RSA key": (
        signed(short := rsa.generate_private_key(65537, 1024)),  # noqa: S505 - what is refused
        key_pem(short),
        "2048 bits",
    ),
    "another kind of key": (
        signed(KEY),
        key_pem(ed25519.Ed25519PrivateKey.generate()),
        "elliptic curve",
    ),
    "no certificate": (b"canary text", key_pem(KEY), "no PEM certificate"),
    "no key": (signed(KEY), b"canary text", "no PEM private key"),
    "the two exchanged": (key_pem(KEY), signed(KEY), "no PEM certificate"),
    "nothing": (b"", b"", "no PEM certificate"),
}


@pytest.mark.parametrize(("public", "private", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_pair_that_no_client_could_trust_is_refused_with_its_remedy(public, private, words):
    with pytest.raises(PairRefused) as caught:
        tls_pair.join(public, private)
    assert words in caught.value.message
    assert caught.value.remedy
    assert "canary" not in caught.value.message
