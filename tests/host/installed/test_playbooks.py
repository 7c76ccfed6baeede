"""The install playbook on a host that is installed already."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.conftest import Playbook
from tests.lab.host import Host

STATE = "/var/lib/b3iq/updater"


def test_a_dry_run_on_an_installed_host_would_change_nothing_and_shows_no_secret(
    host: Host, playbook: Playbook
) -> None:
    done = playbook("install", "--check", "--diff", "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"changed=0 +unreachable=0 +failed=0", done.stdout), done.stdout[-2000:]
    stored = host.run("cat /etc/credstore.encrypted/* | tr -d '\\n' | fold -w 60").stdout
    for part in stored.split():
        assert part not in done.stdout


@pytest.mark.parametrize(
    "wish", ["b3iq_keep_sate=true", "b3iq_keep_state=ture", "b3iq_keep_models=ture"]
)
def test_a_wish_to_keep_that_is_not_understood_removes_nothing(
    host: Host, playbook: Playbook, wish: str
) -> None:
    done = playbook("uninstall", "-e", wish)
    assert done.returncode != 0
    assert "Nothing was removed" in done.stdout + done.stderr
    assert host.run("systemctl is-active b3iq-node.service").stdout == "active\n"


def test_a_drift_is_shown_by_a_dry_run_and_mended_by_a_run(host: Host, playbook: Playbook) -> None:
    host.run("sed -i 's/^stream_limit = .*/stream_limit = 1/' /etc/b3iq/node.toml")
    try:
        shown = playbook("install", "--check", "--diff")
        unchanged = host.run("grep '^stream_limit = 1$' /etc/b3iq/node.toml", check=False)
    finally:
        mended = playbook("install")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "-stream_limit = 1\n" in shown.stdout
    assert unchanged.returncode == 0, "a dry run changed the host"
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert host.run("grep '^stream_limit = 1$' /etc/b3iq/node.toml", check=False).returncode == 1


@pytest.fixture
def floors(host: Host) -> Iterator[dict[str, Any]]:
    """The host's floors, to be changed; afterwards they and the updater are as they were."""
    raw = host.run(f"cat {STATE}/floors.json").stdout
    updater = host.run("readlink /opt/b3iq/updater").stdout.strip()
    yield json.loads(raw)
    host.run(f"cat >{STATE}/floors.json", stdin=raw)
    host.run(f"ln -sfn {updater} /opt/b3iq/updater; rm -rf /opt/b3iq/layers/updater-former")


def write_floors(host: Host, floors: dict[str, Any]) -> None:
    host.run(f"cat >{STATE}/floors.json", stdin=json.dumps(floors))


def test_what_an_interrupted_run_left_is_finished_and_joins_no_later_one(
    host: Host, playbook: Playbook, floors: dict[str, Any]
) -> None:
    """Killed before it raised the floor of the sequence, with another root among its copies."""
    write_floors(host, floors | {"sequence": 0})
    host.run(f"mkdir -p {STATE}/repository/metadata")
    host.run(f"echo another >{STATE}/repository/metadata/2.root.json")
    done = playbook("install")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(host.run(f"cat {STATE}/floors.json").stdout)["sequence"] == floors["sequence"]
    assert host.run(f"ls {STATE}").stdout.split() == ["floors.json", "lock", "state.json"]


def test_a_release_that_the_host_refuses_brings_no_updater_and_leaves_no_copy(
    host: Host, playbook: Playbook, floors: dict[str, Any]
) -> None:
    """The controller may be new and take for the newest what the host knows to be a replay."""
    host.run("cp -a /opt/b3iq/updater/ /opt/b3iq/layers/updater-former")
    host.run("ln -sfn layers/updater-former /opt/b3iq/updater")
    floors["roles"]["timestamp"]["version"] = 2_000_000
    write_floors(host, floors | {"sequence": 0})
    done = playbook("install")
    assert done.returncode != 0
    assert "Refused (rollback)" in done.stdout + done.stderr
    assert host.run("readlink /opt/b3iq/updater").stdout == "layers/updater-former\n"
    assert host.run(f"ls {STATE}").stdout.split() == ["floors.json", "lock", "state.json"]
