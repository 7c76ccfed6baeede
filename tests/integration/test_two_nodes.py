"""Two node processes on one database, as nobody should run them: no rule depends on being alone.

A release that starts before the former one has ended, or an operator who starts a node by hand
beside the service, must not make two owners, revive a key or break the audit log.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.node_process import PASSWORD, NodeProcess, node_process

RIVALS = 12


@pytest.fixture
def nodes() -> Iterator[tuple[NodeProcess, NodeProcess]]:
    """Two processes with sockets of their own; state and credentials are the same."""
    with node_process() as one, node_process() as other:
        one.start()
        for shared in ("state", "credentials"):
            there = other.state / shared
            if there.is_dir():
                there.rename(other.state / f"own-{shared}")
            there.symlink_to(one.state / shared)
        other.start()
        yield one, other


def _claim(nodes: tuple[NodeProcess, NodeProcess]) -> Counter[int]:
    token = nodes[0].setup_token()
    barrier = threading.Barrier(RIVALS)

    def claim(number: int) -> int:
        with nodes[number % 2].client() as client:
            barrier.wait()
            body = {"token": token, "owner_name": f"rival {number}", "password": PASSWORD}
            return client.post("/setup/claim", json=body).status_code

    with ThreadPoolExecutor(RIVALS) as pool:
        return Counter(pool.map(claim, range(RIVALS)))


def _opens(node: NodeProcess, secret: str) -> bool:
    with node.client() as client:
        headers = {"Authorization": f"Bearer {secret}"}
        # There is no engine: a live key gets as far as its absence.
        return client.get("/v1/models", headers=headers).status_code == 503


def test_one_setup_token_makes_one_owner_whichever_process_is_asked(
    nodes: tuple[NodeProcess, NodeProcess],
) -> None:
    statuses = _claim(nodes)
    assert sum(count for status, count in statuses.items() if status < 300) == 1, statuses
    assert not [status for status in statuses if status >= 500], statuses


def test_a_key_revoked_by_one_process_opens_nothing_at_the_other(
    nodes: tuple[NodeProcess, NodeProcess],
) -> None:
    _claim(nodes)
    for number in range(20):
        one, other = nodes[number % 2], nodes[1 - number % 2]
        key_id, secret = one.new_key()
        assert _opens(one, secret)
        assert _opens(other, secret)
        one.admin.post(f"/admin/keys/{key_id}/revoke")
        assert not _opens(other, secret)
        assert not _opens(one, secret)


def test_changes_of_both_at_once_are_all_made_and_the_audit_log_holds(
    nodes: tuple[NodeProcess, NodeProcess],
) -> None:
    _claim(nodes)

    def make(number: int) -> str:
        key_id, _ = nodes[number % 2].new_key()
        if number % 3 == 0:
            nodes[number % 2].admin.post(f"/admin/keys/{key_id}/revoke")
        return key_id

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(48)))
    assert len(set(made)) == 48
    for node in nodes:
        listed = {key["key_id"] for key in node.admin.get("/admin/keys")["data"]}
        assert set(made) <= listed
    # Each change left its event: 48 keys, and a third of them revoked.
    assert int(str(_verified(nodes[0].state)["verified"])) >= 64


def _verified(state: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", "from b3iq.cli.main import main; raise SystemExit(main())",
         "--state", str(state), "audit", "verify", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))
