"""The LAN listener of an installed host, as another machine meets it: opened, used, closed.

The machine that runs the tests is the other machine; the link between the two is the LAN.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from openai import APIConnectionError, OpenAI

from tests.host import canaries
from tests.host.conftest import Playbook
from tests.host.installed.conftest import Node
from tests.host.installed.lan import (
    CERTIFICATE,
    FILTER,
    FILTER_LIMIT,
    NAME,
    PORT,
    Lan,
    changed,
    connects,
    exposures,
    found_by_doctor,
    opening,
    state,
)
from tests.lab import host as hosts
from tests.lab import operate
from tests.lab.host import Host
from tests.lab.slots import Slot

HELLO = [{"role": "user", "content": "Hello!"}]

# A play takes most of the time that a test has by default.
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Before:
    """The host before the listener was opened."""

    state: str
    exposures: dict[str, float]


@pytest.fixture(scope="module")
def before(node: Node, playbook: Playbook) -> Iterator[Before]:
    """Whatever the tests did or left undone, the host ends as it began."""
    host = node.host
    found = Before(state(host), exposures(host))
    yield found
    if state(host) != found.state:
        playbook("install")
        host.run(f"rm -f {CERTIFICATE}")
    assert state(host) == found.state


@pytest.fixture(scope="module")
def lan(node: Node, before: Before, playbook: Playbook) -> Lan:
    """The listener, opened by the playbook; its certificate came over SSH."""
    assert changed(playbook("install", **opening(node.host))) > 0
    return Lan(node.host, node.host.run("b3iq lan certificate").stdout)


@pytest.fixture
def stranger(host: Host) -> Iterator[str]:
    """A second address of this machine on the same link; the host knows the way back to it."""
    slot = Slot(host.slot)
    address = slot.controller_address.rpartition(".")[0] + ".9"
    ours = [f"{address}/32", "dev", slot.link]
    subprocess.run(["ip", "address", "add", *ours], check=True)
    try:
        host.run(f"ip route replace {address} via {slot.controller_address}")
        yield address
    finally:
        subprocess.run(["ip", "address", "delete", *ours], check=True)
        host.run(f"ip route delete {address}", check=False)


@contextmanager
def without_the_filters_table(host: Host) -> Iterator[None]:
    host.run("nft delete table inet b3iq")
    try:
        yield
    finally:
        host.run(f"systemctl reload {FILTER}")


def test_the_official_sdk_gets_an_answer_over_tls_with_the_certificate_pinned(
    node: Node, lan: Lan
) -> None:
    client = OpenAI(
        base_url=f"{lan.base_url}/v1",
        api_key=node.key,
        max_retries=0,
        http_client=lan.client(),
    )
    assert [model.id for model in client.models.list()] == ["b3iq-smoke"]
    ask: dict[str, Any] = {"model": "b3iq-smoke", "messages": HELLO, "temperature": 0}
    whole = client.chat.completions.create(**ask)
    said = "".join(
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(**ask, stream=True)
        if chunk.choices
    )
    assert said == whole.choices[0].message.content != ""
    assert whole.model_extra is not None
    assert node.receipt(whole.model_extra["b3iq"]["receipt_hash"])["status"] == "completed"


def test_a_client_that_does_not_know_the_certificate_refuses_it(node: Node, lan: Lan) -> None:
    client = OpenAI(base_url=f"{lan.base_url}/v1", api_key=node.key, max_retries=0)
    with pytest.raises(APIConnectionError) as caught:
        client.models.list()
    assert "CERTIFICATE_VERIFY_FAILED" in repr(caught.value.__cause__)


def test_the_fingerprint_that_the_host_tells_is_that_of_the_certificate_on_the_wire(
    lan: Lan,
) -> None:
    shown = ssl.get_server_certificate((lan.host.address, PORT))
    assert shown.strip() == lan.pem.strip()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest()
    assert lan.told()["fingerprint_sha256"].replace(":", "").lower() == digest
    assert lan.told()["missing_names"] == []


def test_a_host_header_that_names_another_is_misdirected(lan: Lan) -> None:
    for name, status in ((NAME, 200), (lan.host.address, 200), ("localhost", 421), ("evil", 421)):
        with lan.client(Host=f"{name}:{PORT}") as client:
            assert client.get("/health").status_code == status, name


def test_an_unlisted_address_gets_no_connection(lan: Lan, stranger: str) -> None:
    ours = Slot(lan.host.slot).controller_address
    assert connects(lan.host, ours, PORT)
    assert not connects(lan.host, stranger, PORT)
    # It is the port that is closed to it, not the host.
    assert connects(lan.host, stranger, 22)


def test_without_the_packet_filter_an_unlisted_address_still_gets_no_answer(
    node: Node, lan: Lan, stranger: str
) -> None:
    key = f"Bearer {node.key}"
    with without_the_filters_table(lan.host), lan.client(stranger, Authorization=key) as client:
        try:
            answer = client.get("/v1/models")
        except httpx.TransportError:  # systemd let no packet through, where the kernel lets it
            pass
        else:
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == "address_not_allowed"
    assert not connects(lan.host, stranger, PORT)


def test_a_filter_that_is_stopped_takes_the_node_along(lan: Lan, stranger: str) -> None:
    lan.host.run(f"systemctl stop {FILTER}", timeout=90)
    try:
        assert not connects(lan.host, Slot(lan.host.slot).controller_address, PORT)
        assert (
            lan.host.run("systemctl is-active b3iq-node.socket", check=False).stdout != "active\n"
        )
    finally:
        lan.host.run("systemctl start b3iq-node.socket b3iq-node.service", timeout=90)
    assert connects(lan.host, Slot(lan.host.slot).controller_address, PORT)
    assert not connects(lan.host, stranger, PORT)


@pytest.mark.parametrize("verb", ["start", "reload", "restart"])
def test_nftables_brought_up_where_it_was_off_leaves_the_filter_whole(
    lan: Lan, stranger: str, verb: str
) -> None:
    rules = "nft list table inet b3iq"
    whole = lan.host.run(rules).stdout
    try:
        if verb == "reload":
            lan.host.run("systemctl start nftables")
        lan.host.run(f"systemctl {verb} nftables", timeout=90)
        # Debian's own rules are there, so they did flush everybody's.
        assert "table inet filter" in lan.host.run("nft list tables").stdout
        assert lan.host.run(rules).stdout == whole
        assert connects(lan.host, Slot(lan.host.slot).controller_address, PORT)
        assert not connects(lan.host, stranger, PORT)
        assert found_by_doctor(lan.host) == []
    finally:
        lan.host.run("systemctl stop nftables", timeout=90)
        lan.host.run("systemctl start b3iq-node.socket b3iq-node.service", timeout=90)
    assert lan.host.run(rules).stdout == whole


def test_after_a_reboot_the_port_answers_as_before_and_the_filter_came_first(
    node: Node, lan: Lan
) -> None:
    rules = "nft list table inet b3iq"
    whole, told = lan.host.run(rules).stdout, lan.told()
    hosts.reboot(lan.host)
    node.forward.close()
    with lan.client(Authorization=f"Bearer {node.key}") as client:
        assert client.get("/v1/models").status_code == 200
    shown = ssl.get_server_certificate((lan.host.address, PORT))
    assert shown.strip() == lan.pem.strip()
    assert (lan.host.run(rules).stdout, lan.told()) == (whole, told)
    # By systemd's own clock, which starts with the boot.
    filtered, listened = (
        int(lan.host.run(f"systemctl show -P {edge} {unit}").stdout)
        for unit, edge in (
            (FILTER, "ActiveEnterTimestampMonotonic"),
            ("b3iq-node.socket", "InactiveExitTimestampMonotonic"),
        )
    )
    assert 0 < filtered <= listened
    assert found_by_doctor(lan.host) == []


def test_after_a_reboot_the_allow_list_holds(lan: Lan, stranger: str) -> None:
    assert connects(lan.host, Slot(lan.host.slot).controller_address, PORT)
    assert not connects(lan.host, stranger, PORT)


def test_the_host_listens_on_loopback_and_the_one_address_but_for_ssh(lan: Lan) -> None:
    lines = lan.host.run("ss -tlnpH").stdout.splitlines()
    found = {(line.split()[3], line.split('(("')[1].split('"')[0]) for line in lines}
    assert found == {
        ("127.0.0.1:8831", "b3iq-node"),
        (f"{lan.host.address}:{PORT}", "b3iq-node"),
        ("0.0.0.0:22", "sshd"),
        ("[::]:22", "sshd"),
    }
    assert lan.host.run("ss -ulnH").stdout == ""


def test_the_services_are_as_confined_as_before(lan: Lan, before: Before) -> None:
    assert exposures(lan.host) == before.exposures
    assert operate.exposure(lan.host, FILTER)[0] <= FILTER_LIMIT
    # The packet filter's rules decide about no other port.
    ports = set(re.findall(r"dport (\S+)", lan.host.run("nft list table inet b3iq").stdout))
    assert ports == {str(PORT)}


def test_doctor_is_content_until_the_filters_table_is_gone(lan: Lan) -> None:
    assert found_by_doctor(lan.host) == []
    with without_the_filters_table(lan.host):
        assert found_by_doctor(lan.host) == ["lan-filter"]


def test_the_private_key_is_nowhere_but_encrypted(lan: Lan) -> None:
    pair = canaries.sealed(lan.host, "b3iq-lan-tls").decode()
    key = pair.partition("-----END")[0].partition("KEY-----")[2]
    needles: dict[str, str | bytes] = {
        f"line {number} of the private key": line
        for number, line in enumerate(key.split())
        if len(line) > 32
    }
    assert needles
    assert canaries.search(lan.host, needles) == []


def test_a_second_run_changes_nothing(lan: Lan, playbook: Playbook) -> None:
    assert changed(playbook("install", **opening(lan.host))) == 0


def test_closed_again_nothing_of_it_is_left_but_its_certificate(
    node: Node, lan: Lan, before: Before, playbook: Playbook
) -> None:
    assert changed(playbook("install")) > 0
    assert not connects(node.host, Slot(node.host.slot).controller_address, PORT)
    assert node.host.run(f"ls {CERTIFICATE}").stdout == f"{CERTIFICATE}\n"
    node.host.run(f"rm {CERTIFICATE}")
    assert state(node.host) == before.state
    assert json.loads(node.host.run("b3iq lan --json").stdout)["lan"] is None
    assert node.host.run("b3iq doctor --json", check=False).returncode == 0
    assert node.client().models.list().data[0].id == "b3iq-smoke"
    assert changed(playbook("install")) == 0
