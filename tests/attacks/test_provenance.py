"""Attacks on provenance: TUF is satisfied in each of them, and the second signature is not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sigstore import dsse

from tests.attacks.conftest import Machine
from tests.attacks.parts import Release
from tests.attacks.simulator import NO_PROVENANCE, Simulator
from tests.sigstore_services import Sigstore, Workflow

POLICY = "trust/provenance-policy.json"
ROOT = "trust/sigstore-root.json"
BUNDLE = "releases/1.0.0/provenance.sigstore.json"
WORKFLOW = Workflow()


def _policy(workflow: Workflow = WORKFLOW) -> bytes:
    fields = ("issuer", "identity", "repository", "ref")
    identity = {name: getattr(workflow, name) for name in fields}
    return json.dumps(NO_PROVENANCE | {"required": True, "identities": [identity]}).encode()


def _statement(release: Release, **changes: Any) -> bytes:
    raw = release.targets[f"releases/{release.version}/release-manifest.json"]
    subjects = {"release-manifest.json": hashlib.sha256(raw).hexdigest()}
    subjects |= {layer["target"]: layer["sha256"] for layer in release.manifest["layers"]}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subjects.items()],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    }
    return json.dumps(statement | changes).encode()


@dataclass
class Published:
    """A publisher whose policy asks for provenance, and the services that its CI signs with."""

    simulator: Simulator
    services: Sigstore
    machine: Machine

    def refused(self, bundle: bytes) -> str:
        """Offer this bundle; the reason for which the machine refuses the release."""
        self.offer(bundle)
        return self.machine.refused(self.simulator, self.simulator.trusted_root)

    def offer(self, bundle: bytes) -> None:
        """Let the releases role sign a bundle."""
        self.simulator.add("releases", BUNDLE, bundle)
        self.simulator.publish()

    def signed(self, statement: bytes | None = None, workflow: Workflow = WORKFLOW) -> bytes:
        """A bundle of the publisher's own services."""
        return self.services.sign(statement or _statement(Release()), workflow)


@pytest.fixture(scope="module")
def services() -> Sigstore:
    return Sigstore()


@pytest.fixture
def published(machine: Machine, simulator: Simulator, services: Sigstore) -> Published:
    simulator.add("targets", POLICY, _policy())
    simulator.add("targets", ROOT, services.root())
    simulator.publish()
    return Published(simulator, services, machine)


def test_a_release_with_good_provenance_is_installed_and_remembered(published: Published) -> None:
    published.offer(published.signed())
    machine, simulator = published.machine, published.simulator
    status, answer = machine.install(simulator, simulator.trusted_root)
    assert (status, answer["provenance"]) == (0, {"required": True, "signer": WORKFLOW.identity})
    assert json.loads(machine.floors.read_text())["provenance_required"] is True


def test_of_two_identities_the_one_that_signed_is_named(published: Published) -> None:
    other = replace(WORKFLOW, identity="https://forge.example/other.yml@refs/tags/v1")
    policy = json.loads(_policy())
    policy["identities"] += json.loads(_policy(other))["identities"]
    published.simulator.add("targets", POLICY, json.dumps(policy).encode())
    published.offer(published.signed(workflow=other))
    machine, simulator = published.machine, published.simulator
    _, answer = machine.install(simulator, simulator.trusted_root)
    assert answer["provenance"]["signer"] == other.identity


@pytest.mark.parametrize("field", ["identity", "issuer", "repository", "ref", "commit"])
def test_a_workflow_that_the_policy_does_not_name_is_refused(
    published: Published, field: str
) -> None:
    value = "1" * 40 if field == "commit" else getattr(WORKFLOW, field) + "x"
    other = replace(WORKFLOW, **{field: value})
    assert published.refused(published.signed(workflow=other)) == "provenance_refused"


def test_provenance_of_another_manifest_is_refused(published: Published) -> None:
    other = _statement(Release(edit=lambda manifest: manifest.update(source_dirty=True)))
    assert published.refused(published.signed(other)) == "provenance_refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"predicateType": "https://slsa.dev/provenance/v0.2"},
        {"subject": [{"name": "something", "digest": {"sha256": "0" * 64}}]},
    ],
    ids=["another predicate", "another subject"],
)
def test_a_statement_about_something_else_is_refused(
    published: Published, changes: dict[str, Any]
) -> None:
    statement = _statement(Release(), **changes)
    assert published.refused(published.signed(statement)) == "provenance_refused"


def test_a_statement_that_leaves_a_layer_out_is_refused(published: Published) -> None:
    subjects = json.loads(_statement(Release()))["subject"]
    statement = _statement(Release(), subject=subjects[:-1])
    assert published.refused(published.signed(statement)) == "provenance_refused"


def test_cve_2022_36056_a_signature_over_another_payload_type_is_refused(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as signing:
        signing.setattr(dsse.Envelope, "_TYPE", "text/plain")
        bundle = published.signed()
    assert json.loads(bundle)["dsseEnvelope"]["payloadType"] == "text/plain"
    assert published.refused(bundle) == "provenance_refused"


def test_a_bundle_of_other_services_is_refused(published: Published) -> None:
    assert published.refused(Sigstore().sign(_statement(Release()), WORKFLOW)) == (
        "provenance_refused"
    )


def test_a_cut_bundle_and_a_hollow_one_are_refused(published: Published) -> None:
    bundle = published.signed()
    hollow = json.loads(bundle)
    hollow["verificationMaterial"]["tlogEntries"] = []
    for bad in (bundle[:-100], b"{}", b"[]", b"\xff", json.dumps(hollow).encode()):
        assert published.refused(bad) == "provenance_refused"


def test_no_bundle_is_refused(published: Published) -> None:
    refused = published.machine.refused(published.simulator, published.simulator.trusted_root)
    assert refused == "provenance_missing"


def test_a_huge_bundle_is_refused_before_it_is_read(published: Published) -> None:
    assert published.refused(b" " * (1 << 20)) == "too_large"


@pytest.mark.parametrize("target", [POLICY, ROOT])
def test_no_policy_and_no_root_are_refused(published: Published, target: str) -> None:
    del published.simulator.roles["targets"].targets[target]
    assert published.refused(published.signed()) == "target_not_signed"


@pytest.mark.parametrize("target", [POLICY, ROOT])
def test_who_signs_releases_cannot_widen_what_is_trusted(published: Published, target: str) -> None:
    attacker = Sigstore()
    thief = replace(WORKFLOW, identity="https://forge.example/thief/release.yml@refs/heads/main")
    content = {POLICY: _policy(thief), ROOT: attacker.root()}[target]
    published.simulator.add("releases", target, content)
    del published.simulator.roles["targets"].targets[target]
    assert published.refused(published.signed()) == "target_not_signed"
    published.simulator.delegate("wide", "trust/*")
    published.simulator.add("wide", target, content)
    assert published.refused(published.signed()) == "target_not_signed"


def test_a_policy_that_stops_asking_is_refused_where_it_asked(published: Published) -> None:
    published.offer(published.signed())
    machine, simulator = published.machine, published.simulator
    assert machine.install(simulator, simulator.trusted_root)[0] == 0
    simulator.add("targets", POLICY, json.dumps(NO_PROVENANCE).encode())
    simulator.publish()
    assert machine.refused(simulator, simulator.trusted_root) == "provenance_lowered"


@pytest.mark.parametrize("change", [{"identities": []}, {"identities": None}, {"any": 1}])
def test_a_policy_that_does_not_fit_its_schema_is_refused(
    published: Published, change: dict[str, Any]
) -> None:
    policy = json.loads(_policy()) | change
    published.simulator.add("targets", POLICY, json.dumps(policy).encode())
    assert published.refused(published.signed()) == "manifest_refused"


def test_a_release_without_required_provenance_says_so(
    machine: Machine, simulator: Simulator
) -> None:
    _, answer = machine.install(simulator, simulator.trusted_root)
    assert answer["provenance"] == {"required": False, "signer": None}
