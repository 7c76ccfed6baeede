"""Races on a node's credentials: revocations against requests, claims against claims."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.integration.boundary import Caller
from tests.integration.node_process import PASSWORD, NodeProcess

_CALLERS = 3
# Each opens with a live key: without an engine, and with a body that lacks everything.
_REQUESTS = (("GET", "/v1/models", b""), ("POST", "/v1/chat/completions", b"{}"))
_OPENED = {503, 400}


def revocations(node: NodeProcess, count: int) -> tuple[int, list[str]]:
    """Revoke `count` keys in use; requests tried, and those that a revoked key opened.

    Requests of several connections run while the key is revoked, and the very next one of
    each, begun when the revocation was answered, must be refused.
    """
    callers = [Caller(node) for _ in range(_CALLERS)]
    tried, wrong = 0, []
    with ThreadPoolExecutor(_CALLERS) as pool:
        for number in range(count):
            key_id, secret = node.new_key()
            before = [pool.submit(_ask, caller, secret, number) for caller in callers]
            statuses = [future.result() for future in before]
            wrong += [f"a live key: {status}" for status in statuses if status not in _OPENED]
            during = [pool.submit(_ask, caller, secret, number) for caller in callers]
            node.admin.post(f"/admin/keys/{key_id}/revoke")
            # Waits in the pool behind the requests that run; it begins after the revocation.
            after = [pool.submit(_ask, caller, secret, number) for caller in callers]
            for future in during:
                future.result()
            statuses = [future.result() for future in after]
            wrong += [f"a revoked key: {status}" for status in statuses if status != 401]
            tried += 3 * _CALLERS
    return tried, wrong


def _ask(caller: Caller, secret: str, number: int) -> int:
    method, path, body = _REQUESTS[number % len(_REQUESTS)]
    headers = {"Host": "localhost", "Authorization": f"Bearer {secret}"}
    with caller.alone:
        return caller.ask(method, path, headers | {"Content-Type": "application/json"}, body).status


def claims(node: NodeProcess, count: int) -> Counter[int]:
    """Claim an unclaimed node `count` times at once; the statuses of the answers."""
    token = node.setup_token()
    barrier = threading.Barrier(count)

    def claim(number: int) -> int:
        with node.client() as client:
            barrier.wait()
            body = {"token": token, "owner_name": f"rival {number}", "password": PASSWORD}
            return client.post("/setup/claim", json=body).status_code

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(claim, range(count)))
