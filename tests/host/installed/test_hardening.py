"""What an installed host is, compared whole: exposure, listeners, network, accounts, files."""

from __future__ import annotations

import json

import pytest

from tests.lab import operate
from tests.lab.host import Host

# On systemd's scale of 10.
LIMITS = {"b3iq-node.service": 1.2, "b3iq-engine.service": 1.0}

ACCOUNTS = {
    "b3iq-node:B3IQ service:/nonexistent:/usr/sbin/nologin",
    "b3iq-engine:B3IQ service:/nonexistent:/usr/sbin/nologin",
}

UNITS = {
    "b3iq-engine.service": ("enabled", "active"),
    "b3iq-engine.socket": ("enabled", "active"),
    "b3iq-node.service": ("enabled", "active"),
    "b3iq-node.socket": ("enabled", "active"),
    "b3iq-update.path": ("enabled", "active"),
    "b3iq-update.service": ("static", "inactive"),
    # The repository of this host is a directory, which it cannot ask by itself.
    "b3iq-update.timer": ("disabled", "inactive"),
}

# Type, mode, owner and group of everything at these places; VERSION and DIGEST stand for names
# that a release chooses.
FILES = """
d 755 root:root /etc/b3iq
f 644 root:root /etc/b3iq/engine.toml
f 644 root:root /etc/b3iq/node.toml
f 644 root:root /etc/b3iq/trusted-root.json
f 644 root:root /etc/b3iq/update.toml
d 700 root:root /etc/credstore.encrypted
f 600 root:root /etc/credstore.encrypted/b3iq-node-identity
f 600 root:root /etc/credstore.encrypted/b3iq-token-pepper
d 755 root:root /opt/b3iq
l 777 root:root /opt/b3iq/current
d 755 root:root /opt/b3iq/layers
d 755 root:root /opt/b3iq/layers/runtime-cpu-DIGEST
d 755 root:root /opt/b3iq/layers/updater-DIGEST
d 755 root:root /opt/b3iq/releases
d 755 root:root /opt/b3iq/releases/VERSION
l 777 root:root /opt/b3iq/updater
d 755 root:root /run/b3iq
s 600 root:root /run/b3iq/admin.sock
s 660 root:b3iq-node /run/b3iq/engine.sock
l 777 root:root /usr/local/bin/b3iq
d 755 root:root /var/lib/b3iq
d 755 root:b3iq-engine /var/lib/b3iq/models
d 750 root:b3iq-engine /var/lib/b3iq/models/b3iq-smoke
d 700 b3iq-node:b3iq-node /var/lib/b3iq/node
d 1770 root:b3iq-node /var/lib/b3iq/update-spool
d 700 root:root /var/lib/b3iq/updater
"""


@pytest.mark.parametrize("unit", LIMITS)
def test_the_exposure_of_a_unit_is_within_its_limit(host: Host, unit: str) -> None:
    score, _ = operate.exposure(host, unit)
    assert score <= LIMITS[unit]


def test_the_host_listens_on_loopback_alone_but_for_ssh(host: Host) -> None:
    lines = host.run("ss -tlnpH").stdout.splitlines()
    found = {(line.split()[3], line.split('(("')[1].split('"')[0]) for line in lines}
    assert found == {
        ("127.0.0.1:8831", "b3iq-node"),
        ("0.0.0.0:22", "sshd"),
        ("[::]:22", "sshd"),
    }
    assert host.run("ss -ulnH").stdout == ""


@pytest.mark.parametrize("unit", LIMITS)
def test_the_namespace_of_a_service_has_no_network(host: Host, unit: str) -> None:
    inside = f"nsenter -n -t $(systemctl show -P MainPID {unit})"
    links = json.loads(host.run(f"{inside} ip -j address").stdout)
    assert [link["ifname"] for link in links] == ["lo"]
    assert host.run(f"{inside} ip route").stdout == ""
    probe = "timeout 3 bash -c '</dev/tcp/{}/22'"
    address = host.address
    assert host.run(f"{inside} {probe.format(address)}", check=False).returncode != 0
    # The same probe connects from the host's own namespace.
    assert host.run(probe.format(address)).returncode == 0


def test_exactly_these_accounts_and_no_password(host: Host) -> None:
    lines = host.run("grep b3iq /etc/passwd").stdout.splitlines()
    assert {f"{f[0]}:{':'.join(f[4:])}" for f in (line.split(":") for line in lines)} == ACCOUNTS
    shadow = host.run("grep b3iq /etc/shadow").stdout.splitlines()
    assert all(line.split(":")[1].startswith("!") for line in shadow)
    assert host.run("id -nG b3iq-node; id -nG b3iq-engine").stdout.split() == [
        "b3iq-node",
        "b3iq-engine",
    ]


def test_exactly_these_units_enabled_and_running(host: Host) -> None:
    listed = host.run("systemctl list-unit-files --no-legend 'b3iq*'").stdout.splitlines()
    found = {}
    for name, state, *_ in (line.split() for line in listed):
        active = host.run(f"systemctl is-active {name}", check=False).stdout.strip()
        found[name] = (state, active)
    assert found == UNITS


def test_exactly_these_files_with_these_modes_and_owners(host: Host) -> None:
    places = "/etc/b3iq /etc/credstore.encrypted /run/b3iq /usr/local/bin/b3iq"
    show = "-printf '%y %m %u:%g %p\\n'"
    listed = host.run(
        f"find {places} {show}; find /opt/b3iq -maxdepth 2 {show}; "
        f"find /var/lib/b3iq -maxdepth 2 ! -path '/var/lib/b3iq/[nu]*/*' {show}"
    ).stdout
    version = host.run("basename $(readlink /opt/b3iq/current)").stdout.strip()
    found = {line.replace(version, "VERSION") for line in listed.splitlines()}
    found = {_without_digest(line) for line in found}
    assert found == set(FILES.strip().splitlines())


def _without_digest(line: str) -> str:
    head, dash, tail = line.rpartition("-")
    is_digest = len(tail) == 12 and set(tail) <= set("0123456789abcdef")
    return f"{head}{dash}DIGEST" if is_digest else line


def test_no_installed_file_is_writable_by_a_service_but_the_nodes_state(host: Host) -> None:
    places = "/opt/b3iq /etc/b3iq /etc/credstore.encrypted /var/lib/b3iq/models"
    owned = host.run(f"find {places} ! -user root").stdout
    writable = host.run(f"find {places} ! -type l -perm /022").stdout
    assert (owned, writable) == ("", "")


def test_a_model_is_for_the_engine_to_read_and_for_nobody_else(host: Host) -> None:
    listed = host.run("find /var/lib/b3iq/models -type f -printf '%m %u:%g\\n' | sort -u").stdout
    assert listed.splitlines() == ["640 root:b3iq-engine"]
    for user, reads in (("b3iq-engine", True), ("b3iq-node", False), ("nobody", False)):
        read = "cat /var/lib/b3iq/models/b3iq-smoke/config.json"
        done = host.run(
            f"setpriv --reuid {user} --regid {user} --clear-groups {read}"
            if user != "nobody"
            else f"setpriv --reuid nobody --regid nogroup --clear-groups {read}",
            check=False,
        )
        assert (done.returncode == 0) is reads, user
