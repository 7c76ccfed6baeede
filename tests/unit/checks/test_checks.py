"""Each check of the registry: a host on which it is ok, and a fault that trips it and only it."""

from __future__ import annotations

import base64
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from b3iq.checks.check import Level
from b3iq.checks.registry import CHECKS
from b3iq.checks.runner import run
from tests.unit.checks import host_faults, service_faults
from tests.unit.checks.fake_host import FakeHost, installed
from tests.unit.checks.injecting import FAULTS, Fault

# Imported for what they register.
MODULES = (host_faults, service_faults)


def tripped(fake: FakeHost) -> set[str]:
    """The checks that found something, of all of them."""
    report = run(CHECKS, CHECKS, fake.host)
    quiet = {Level.OK, Level.SKIPPED}
    return {result.check.id for result in report.results if result.finding.level not in quiet}


@pytest.fixture
def fake(tmp_path: Path) -> FakeHost:
    return installed(tmp_path)


def test_on_a_host_that_is_well_every_check_is_ok(fake: FakeHost) -> None:
    report = run(CHECKS, CHECKS, fake.host)
    assert [r for r in report.results if r.finding.level is not Level.OK] == []


def test_every_check_has_a_fault_and_every_fault_its_check() -> None:
    assert {check for check, _ in FAULTS} == {check.id for check in CHECKS}


@pytest.mark.parametrize(
    ("check", "fault"), FAULTS, ids=[f"{c}: {f.__name__.replace('_', ' ')}" for c, f in FAULTS]
)
def test_a_fault_trips_its_check_and_only_it(check: str, fault: Fault, fake: FakeHost) -> None:
    fault(fake)
    assert tripped(fake) == {check}


@pytest.mark.parametrize(
    ("check", "fault"), FAULTS, ids=[f"{c}: {f.__name__.replace('_', ' ')}" for c, f in FAULTS]
)
def test_a_finding_is_a_sentence_with_a_remedy(check: str, fault: Fault, fake: FakeHost) -> None:
    fault(fake)
    [result] = run(CHECKS, [c for c in CHECKS if c.id == check], fake.host).results
    assert result.finding.level in {Level.FAILED, Level.WARNING}
    for text in (result.finding.said, result.finding.remedy):
        assert re.fullmatch(r"[/\w].*\.", text), text


def test_the_deep_checks_read_what_the_quick_ones_do_not(fake: FakeHost) -> None:
    weights = fake.host.paths.models / "b3iq-tiny" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    writable = next(fake.host.paths.layers.glob("*/layer.json"))
    writable.chmod(0o666)
    assert tripped(fake) == set()
    fake.host.deep = True
    assert tripped(fake) == {"model-files", "file-permissions"}


def test_a_container_is_not_blamed_for_the_kernel_of_its_machine(fake: FakeHost) -> None:
    fake.write("/proc/sys/fs/suid_dumpable", "1\n")
    fake.write("/run/systemd/container", "systemd-nspawn\n")
    assert tripped(fake) == set()


def test_with_both_services_down_their_stop_is_all_that_is_said(fake: FakeHost) -> None:
    for unit in fake.machine.units.values():
        unit |= {"ActiveState": "inactive", "MainPID": "0"}
    fake.machine.answers.clear()
    for name in ("admin.sock", "engine.sock"):
        (fake.host.paths.run / name).unlink()
    assert tripped(fake) == {"node-running", "engine-running"}


def test_a_credential_in_a_plain_credstore_is_found(fake: FakeHost) -> None:
    fake.write("/etc/credstore/b3iq-token-pepper", "plain", 0o600)
    assert tripped(fake) == {"secret-files"}


def test_a_service_that_opens_a_port_of_its_own_is_found(fake: FakeHost) -> None:
    # [2001:db8::1]:4660, as the kernel prints it on a little-endian machine.
    line = "   0: B80D0120000000000000000001000000:1234 0:0000 0A 0:0 00:0 0 998 0 31 1\n"
    with fake.host.at("/proc/net/tcp6").open("a") as table:
        table.write(line)
    [result] = [r for r in run(CHECKS, CHECKS, fake.host).results if r.check.id == "listeners"]
    assert "2001:db8::1 port 4660" in result.finding.said


@pytest.mark.parametrize(
    "seal",
    [
        pytest.param(
            b"\x05\x84\x69\xda\xf6\xf5\x43\x24\x80\x05\x49\xda\x0f\x8e\xa2\xfb", id="null"
        ),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_credential_that_no_key_seals_is_a_failure(fake: FakeHost, seal: bytes) -> None:
    # systemd's null key encrypts with nothing, for machines without a TPM.
    path = "/etc/credstore.encrypted/b3iq-node-identity"
    fake.write(path, base64.b64encode(seal + b"ciphertext"), 0o600)
    found = {r.check.id: r.finding.level for r in run(CHECKS, CHECKS, fake.host).results}
    assert found["credentials-sealed"] is Level.FAILED


def test_the_warning_of_an_unclaimed_node_waits_a_day(fake: FakeHost) -> None:
    fake.machine.answers["admin.sock/admin/status"] = {"version": "0.1.0", "claimed": False}
    assert tripped(fake) == set()
    pepper = fake.host.at("/etc/credstore.encrypted/b3iq-token-pepper")
    old = (fake.machine.clock - timedelta(days=1)).timestamp()
    os.utime(pepper, (old, old))
    assert tripped(fake) == {"owner-claimed"}


def test_a_name_that_would_command_the_terminal_is_printed_without_its_commands(
    fake: FakeHost,
) -> None:
    # The node may name files in its directory as it likes, and root reads the finding.
    fake.write("/var/lib/b3iq/node/\x1b[2J\u202egone", "", 0o644, "b3iq-node:b3iq-node")
    [result] = run(CHECKS, [c for c in CHECKS if c.id == "secret-files"], fake.host).results
    assert "/var/lib/b3iq/node/?[2J?gone is" in result.finding.said


@pytest.mark.parametrize("trap", ["pipe", "link"])
def test_a_database_that_is_a_trap_for_root_is_not_stepped_into(fake: FakeHost, trap: str) -> None:
    database = fake.host.paths.database
    database.unlink()
    if trap == "pipe":
        os.mkfifo(database, 0o600)
    else:
        database.symlink_to(fake.host.at("/etc/shadow"))
    found = {r.check.id: r.finding.said for r in run(CHECKS, CHECKS, fake.host).results}
    assert "is a" in found["secret-files"]
    assert "not a file" in found["secret-files"]
