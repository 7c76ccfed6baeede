"""The boundary through a node's life: claims, restarts, power cuts, and what it writes."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest

from b3iq.credentials import secret_files
from b3iq.evidence.signing import Signer
from b3iq.receipts.log import ReceiptLog
from b3iq.receipts.record import Receipt
from b3iq.receipts.verifier import verify_chain
from b3iq.store.database import Database
from tests.integration.node_process import PASSWORD, NodeProcess, node_process


@pytest.fixture
def node():
    with node_process() as node:
        node.start()
        yield node


def test_a_hundred_browsers_claim_at_once_and_one_becomes_the_owner(node):
    token = node.setup_token()
    barrier = threading.Barrier(100)
    statuses: list[int] = []

    def claim(number: int) -> None:
        with node.client() as client:
            barrier.wait()
            body = {"token": token, "owner_name": f"rival {number}", "password": PASSWORD}
            statuses.append(client.post("/setup/claim", json=body).status_code)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [404] * 99


def test_a_setup_link_is_made_anew_without_a_restart(node):
    old = node.setup_token()
    new = node.setup_token()
    with node.client() as client:
        body = {"token": old, "owner_name": "Eve", "password": PASSWORD}
        assert client.post("/setup/claim", json=body).status_code == 401
        assert client.post("/setup/claim", json=body | {"token": new}).status_code == 201
        assert client.get("/setup/").status_code == 404


def test_owner_session_keys_and_throttle_survive_a_power_cut(node):
    with node.client() as owner, node.client() as guesser:
        assert node.claim(owner).status_code == 201
        live, secret = node.new_key("metrics")
        dead, revoked = node.new_key("metrics")
        node.admin.post(f"/admin/keys/{dead}/revoke")
        guesses = [node.log_in(guesser, "wrong password here").status_code for _ in range(6)]
        assert guesses == [401] * 5 + [429]
        node.kill()
        node.start()
        assert owner.get("/v1/receipts").status_code == 200
        assert node.log_in(guesser).status_code == 429
        for text, status in ((secret, 200), (revoked, 401)):
            headers = {"Authorization": f"Bearer {text}"}
            assert owner.get("/metrics", headers=headers).status_code == status
    assert live != dead


def test_a_power_cut_in_the_middle_of_work_is_told_by_the_receipts(node):
    seed = secret_files.read(secret_files.NODE_IDENTITY, node.paths)
    database = Database(node.paths.database)
    log = ReceiptLog(database, Signer(seed))
    work = {"model_id": "m", "model_digest": "ab" * 32, "runtime_kind": "pytorch"}
    log.seal(log.open(**work), status="completed", prompt_tokens=1, completion_tokens=1)
    cut = log.open(**work)
    log.progress(cut, prompt_tokens=3, completion_tokens=41)
    database.close()
    node.kill()
    node.start()
    listing = node.admin.get("/admin/receipts")
    receipts = [Receipt.model_validate(item) for item in reversed(listing["data"])]
    key = base64.urlsafe_b64decode(listing["public_key_ed25519"] + "=")
    assert verify_chain(receipts, key) == 2
    assert receipts[1].receipt.status == "interrupted"
    assert receipts[1].receipt.usage.completion_tokens == 41


def test_no_secret_is_in_a_log_a_process_listing_or_a_file(node):
    """Canaries through every door that takes a secret, rightly and wrongly used."""
    with node.client() as client:
        token = node.setup_token()
        _, key = node.new_key()
        body = {"token": token, "owner_name": "Ada", "password": PASSWORD}
        client.post("/setup/claim", json=body | {"password": "short-canary"})
        client.post("/setup/claim", json=body)
        client.post("/setup/claim", json=body)
        node.log_in(client, "wrong-canary-password")
        for text in (key, key[:-1], "b3iq_gateway_canary", "b3iq_support_canary", token):
            headers = {"Authorization": f"Bearer {text}", "X-Request-Id": "canary id"}
            client.get("/v1/models", headers=headers, params={"api_key": text})
            client.post("/v1/chat/completions", headers=headers, json={"canary-field": text})
        client.get(f"/{token}")
        cookie = client.cookies["b3iq_session"]
    canaries = [token, key, PASSWORD, cookie, "canary"]
    canaries += [part.split("_")[3] for part in (token, key)]
    canaries += [base64.b64encode(text.encode()).decode() for text in (token, key)]
    assert_nowhere(canaries, written_by(node))


def test_a_secret_file_that_others_could_read_stops_the_start():
    with node_process() as node:
        (node.paths.credentials / secret_files.TOKEN_PEPPER).chmod(0o640)
        process = node.spawn()
        assert process.wait(60) != 0
        said = node.log.read_text()
    assert "b3iq-token-pepper" in said
    assert "open to other users" in said
    assert "Traceback" not in said


def test_a_missing_secret_stops_the_start_with_its_remedy():
    with node_process() as node:
        (node.paths.credentials / secret_files.NODE_IDENTITY).unlink()
        process = node.spawn()
        assert process.wait(60) != 0
        assert "b3iq credentials create" in node.log.read_text()


def written_by(node: NodeProcess) -> dict[str, bytes]:
    """Log, process listings, environments and every file but the secret files themselves."""
    found = {"log": node.log.read_bytes()}
    for pid in node.family():
        for part in ("cmdline", "environ"):
            found[f"{pid} {part}"] = Path(f"/proc/{pid}/{part}").read_bytes()
    for path in node.state.rglob("*"):
        if path.is_file() and path.parent != node.paths.credentials:
            found[str(path)] = path.read_bytes()
    assert any(name.endswith("node.db") for name in found)
    return found


def assert_nowhere(secrets: list[str], written: dict[str, bytes]) -> None:
    leaks = [(name, text) for text in secrets for name in written if text.encode() in written[name]]
    assert leaks == []
