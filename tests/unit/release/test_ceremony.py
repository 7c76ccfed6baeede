"""The ceremony on real keys and files: what it signs, what it refuses, what it publishes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from release.ceremony import signing, status, steps
from release.ceremony.publish import publish
from release.ceremony.roles import PRODUCTION
from release.ceremony.staging import CeremonyRefused, Staging
from release.keys import KeysUnusable
from tests.attacks.parts import Release
from tests.attacks.simulator import NO_PROVENANCE

NOW = datetime.now(UTC).replace(microsecond=0)
SOON = NOW + timedelta(days=3)
DELEGATED = ("releases", "models", "channels")


class People:
    """Everybody who holds a key, and the staging directory that they meet at."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.staging = Staging(place / "staging")
        self.signers = {
            name: [CryptoSigner.generate_ed25519() for _ in range(role.count)]
            for name, role in PRODUCTION.items()
        }
        keys = {name: [s.public_key for s in own] for name, own in self.signers.items()}
        steps.init(self.staging, {n: k for n, k in keys.items() if n not in DELEGATED}, NOW)
        steps.delegate(self.staging, {n: keys[n] for n in DELEGATED}, NOW)

    def sign(self, *roles: str) -> None:
        for role in roles:
            for signer in self.signers[role][: PRODUCTION[role].threshold]:
                signing.sign(self.staging, role, signer)

    def add(self, release: Release) -> None:
        files = {}
        policy = {"trust/provenance-policy.json": json.dumps(NO_PROVENANCE).encode()}
        for number, (path, raw) in enumerate((release.targets | policy).items()):
            files[path] = self.place / f"{release.version}-{number}"
            files[path].write_bytes(raw)
        self.sign(*steps.add_release(self.staging, files, NOW))

    def resign(self) -> None:
        steps.resign(self.staging, [*self.signers["snapshot"], *self.signers["timestamp"]], NOW)

    def publish(self, reason: str = "no other client is installed here") -> None:
        publish(self.place / "staging", self.place / "public", "stable", NOW, SOON, reason)


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People(tmp_path)


@pytest.fixture
def ready(people: People) -> People:
    people.sign("root", "targets", "models")
    people.add(Release())
    people.resign()
    return people


def test_a_release_goes_from_staging_to_the_public_repository(ready: People) -> None:
    ready.publish()
    assert (ready.place / "public/metadata/timestamp.json").exists()
    ready.add(Release("1.1.0", 2))
    ready.resign()
    ready.publish()
    log = (ready.place / "staging/publications.jsonl").read_text().splitlines()
    assert [json.loads(line)["without_independent_client"] for line in log] == [
        "no other client is installed here"
    ] * 2


def test_nothing_is_published_without_an_independent_client_or_a_reason(ready: People) -> None:
    with pytest.raises(CeremonyRefused, match="independent client"):
        ready.publish(" ")
    assert not (ready.place / "public").exists()


def test_production_needs_three_of_five_for_the_root(people: People) -> None:
    for signer in people.signers["root"][:2]:
        signing.sign(people.staging, "root", signer)
    assert people.staging.lacking("root").count == 1
    with pytest.raises(CeremonyRefused, match="root lacks 1"):
        people.resign()
    signing.sign(people.staging, "root", people.signers["root"][4])
    assert people.staging.lacking("root").count == 0


def test_one_person_signing_again_counts_once(people: People) -> None:
    for _ in range(3):
        signing.sign(people.staging, "root", people.signers["root"][0])
    assert people.staging.lacking("root").count == 2


def test_one_key_id_given_twice_is_refused_cve_2020_15093(people: People) -> None:
    signing.sign(people.staging, "root", people.signers["root"][0])
    path = people.staging.path("root", 1)
    raw = json.loads(path.read_bytes())
    raw["signatures"] *= 3
    path.write_text(json.dumps(raw))
    with pytest.raises(CeremonyRefused, match=r"1\.root\.json"):
        people.staging.lacking("root")


def test_an_older_staging_is_not_published_cve_2022_29173(ready: People) -> None:
    former = ready.staging.path("timestamp", 0).read_bytes()
    ready.resign()
    ready.publish()
    ready.staging.path("timestamp", 0).write_bytes(former)
    with pytest.raises(CeremonyRefused, match="timestamp 2; 1 is staged"):
        ready.publish()


def test_a_signer_who_signed_something_else_is_found_out(people: People) -> None:
    other = people.staging.read("root")
    other.signed.expires += timedelta(days=1000)
    other.sign(people.signers["root"][0])
    with pytest.raises(CeremonyRefused, match="not the staged root"):
        signing.take_back(people.staging, "root", other.to_bytes())
    good = people.staging.read("root")
    good.sign(people.signers["root"][0])
    signing.take_back(people.staging, "root", good.to_bytes())
    assert people.staging.lacking("root").count == 2


def test_a_false_signature_is_not_taken_back(people: People) -> None:
    false = people.staging.read("root")
    signature = false.sign(people.signers["root"][0])
    signature.signature = "00" * 64
    with pytest.raises(CeremonyRefused, match="false"):
        signing.take_back(people.staging, "root", false.to_bytes())


def test_what_changed_after_it_was_shown_is_not_signed(people: People) -> None:
    with pytest.raises(CeremonyRefused, match="not what was shown"):
        signing.sign(people.staging, "root", people.signers["root"][0], "0" * 64)


def test_a_new_root_needs_the_old_threshold_and_its_own(ready: People) -> None:
    lost = ready.signers["root"][0]
    found = CryptoSigner.generate_ed25519()
    steps.rotate_key(ready.staging, "root", lost.public_key.keyid, found.public_key, NOW)
    for signer in (found, *ready.signers["root"][1:3]):
        signing.sign(ready.staging, "root", signer)
    assert ready.staging.lacking("root").count == 1
    signing.sign(ready.staging, "root", ready.signers["root"][3])
    assert ready.staging.lacking("root").count == 0
    ready.resign()
    ready.publish()


def test_a_revoked_key_signs_nothing_more(ready: People) -> None:
    lost = ready.signers["releases"][0]
    found = CryptoSigner.generate_ed25519()
    assert steps.rotate_key(
        ready.staging, "releases", lost.public_key.keyid, found.public_key, NOW
    ) == "targets"  # fmt: skip
    with pytest.raises(CeremonyRefused, match="may not sign releases"):
        signing.sign(ready.staging, "releases", lost)
    signing.sign(ready.staging, "releases", found)
    ready.sign("targets")
    ready.resign()
    ready.publish()


def test_a_gap_in_the_root_chain_is_not_published(ready: People) -> None:
    for _ in range(2):
        old = ready.signers["timestamp"][0]
        new = ready.signers["timestamp"][0] = CryptoSigner.generate_ed25519()
        steps.rotate_key(ready.staging, "timestamp", old.public_key.keyid, new.public_key, NOW)
        ready.sign("root")
    ready.resign()
    ready.staging.path("root", 2).unlink()
    with pytest.raises(CeremonyRefused, match=r"2\.root\.json"):
        ready.publish()


@pytest.mark.parametrize("sequence", [1, 0])
def test_a_channel_moves_only_to_a_higher_sequence(ready: People, sequence: int) -> None:
    with pytest.raises(CeremonyRefused):
        ready.add(Release("1.1.0", sequence))


def test_a_version_is_released_once(ready: People) -> None:
    with pytest.raises(CeremonyRefused, match="another content"):
        ready.add(Release("1.0.0", 2))


def test_what_would_soon_be_expired_is_not_published(ready: People) -> None:
    place = ready.place
    with pytest.raises(CeremonyRefused, match="timestamp"):
        publish(place / "staging", place / "public", "stable", NOW, NOW + timedelta(days=8), "no")


def test_a_publication_that_was_cut_short_is_finished_by_the_next(ready: People) -> None:
    ready.publish()
    (ready.place / "public/metadata/timestamp.json").unlink()
    ready.publish()
    assert (ready.place / "public/metadata/timestamp.json").read_bytes() == (
        ready.staging.path("timestamp", 0).read_bytes()
    )


def _key_file(place: Path, passphrase: bytes) -> Path:
    path = place / "key.pem"
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )
    )
    path.chmod(0o600)
    return path


def test_a_key_opens_by_its_passphrase_and_by_no_other(tmp_path: Path) -> None:
    path = _key_file(tmp_path, b"right")
    assert signing.open_key(f"file2:{path}", "right").public_key.keytype == "ed25519"
    for wrong in ("wrong", None):
        with pytest.raises(KeysUnusable, match=r"key\.pem"):
            signing.open_key(f"file2:{path}", wrong)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = _key_file(tmp_path, b"right")
    path.chmod(0o640)
    with pytest.raises(KeysUnusable, match="read by others"):
        signing.open_key(f"file2:{path}", "right")


def test_status_says_who_must_sign_and_metrics_when_it_expires(people: People) -> None:
    rows = {row["role"]: row for row in status.status(people.staging, NOW)}
    assert rows["root"]["signatures_missing"] == 3
    assert len(rows["root"]["may_sign"]) == 5
    assert rows["targets"]["expires_seconds"] == 365 * 86400
    printed = status.metrics(list(rows.values()))
    assert f'b3iq_repository_expires_seconds{{role="targets"}} {365 * 86400}' in printed
