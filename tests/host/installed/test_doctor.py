"""`b3iq doctor` on the installed host: well as it is, and exactly what is broken when it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.host.installed.conftest import Node
from tests.lab.host import Host

# Seconds: starting the engine loads its model.
START_S = 120.0

# Below /run, so that not even an interrupted run outlives the next boot.
DROP_IN = "/run/systemd/system/b3iq-engine.service.d"
WEAKEN = f"""
mkdir -p {DROP_IN}
printf '[Service]\\nPrivateNetwork=no\\n' >{DROP_IN}/weaker.conf
systemctl daemon-reload
"""
MEND = f"""
rm -r {DROP_IN}
systemctl daemon-reload
systemctl restart b3iq-engine.service
"""
ENGINE = "b3iq-engine.socket b3iq-engine.service"
NODE = "b3iq-node.socket b3iq-node.service"
PEPPER = "/etc/credstore.encrypted/b3iq-token-pepper"

# What is done, what undoes it, and the checks that must fail; nothing else may.
FAULTS = {
    "the engine is stopped": (
        f"systemctl stop {ENGINE}",
        f"systemctl start {ENGINE}",
        {"engine-running"},
    ),
    "both services are stopped": (
        f"systemctl stop {NODE} {ENGINE}",
        f"systemctl start {ENGINE} {NODE}",
        {"node-running", "engine-running"},
    ),
    "a secret can be read by all": (
        f"chmod 0644 {PEPPER}",
        f"chmod 0600 {PEPPER}",
        {"secret-files"},
    ),
    "a drop-in gives the engine a network": (WEAKEN, MEND, {"confinement"}),
    "the engine runs with a network": (
        f"{WEAKEN} systemctl restart b3iq-engine.service",
        MEND,
        {"confinement", "services-offline"},
    ),
}

# A container has the kernel settings of its machine, and this host no LAN listener.
MAY_BE_SKIPPED = {"kernel-settings", "lan-filter"}


def doctor(host: Host, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status, and each finding by the id of its check."""
    done = host.run(f"b3iq doctor --json {' '.join(arguments)}", check=False)
    assert done.stderr == ""
    checks = json.loads(done.stdout)["checks"]
    return done.returncode, {found["id"]: found for found in checks}


def with_result(found: dict[str, dict[str, str]], *results: str) -> dict[str, str]:
    return {name: said["finding"] for name, said in found.items() if said["result"] in set(results)}


@contextmanager
def broken(host: Host, fault: str, mend: str) -> Iterator[None]:
    host.run(fault, timeout=START_S)
    try:
        yield
    finally:
        host.run(mend, timeout=START_S)


def test_the_installed_host_has_no_failed_check(node: Node) -> None:
    status, found = doctor(node.host)
    assert with_result(found, "failed", "could_not_run") == {}
    assert set(with_result(found, "skipped")) <= MAY_BE_SKIPPED
    assert status == 0


def test_not_even_where_every_byte_is_read(node: Node) -> None:
    status, found = doctor(node.host, "--deep", "model-files", "file-permissions")
    assert with_result(found, "ok").keys() == {"model-files", "file-permissions"}, found
    assert status == 0


def test_doctor_says_by_what_the_credentials_are_sealed(node: Node) -> None:
    _, found = doctor(node.host, "credentials-sealed")
    has_tpm = node.host.run("test -e /dev/tpmrm0", check=False).returncode == 0
    said = found["credentials-sealed"]
    assert ("TPM 2" if has_tpm else "host key") in said["finding"]
    assert said["result"] == ("ok" if has_tpm else "warning")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_its_checks_and_no_other(node: Node, fault: str) -> None:
    breaking, mending, expected = FAULTS[fault]
    with broken(node.host, breaking, mending):
        status, found = doctor(node.host)
    failed = with_result(found, "failed", "could_not_run")
    assert set(failed) == expected, failed
    assert status == 1
    assert all(found[name]["remedy"] for name in expected)
    # Mended again, nothing is left of it.
    status, found = doctor(node.host)
    assert (status, with_result(found, "failed", "could_not_run")) == (0, {})


def test_doctor_changes_nothing(node: Node) -> None:
    places = "/etc /opt/b3iq /var/lib/b3iq/models /var/lib/b3iq/updater /run/b3iq"
    listing = f"find {places} -printf '%y %m %u:%g %s %C@ %p\\n' | sort"
    before = node.host.run(listing).stdout
    doctor(node.host)
    assert node.host.run(listing).stdout == before
