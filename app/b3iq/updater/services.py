"""The updater's door to what runs: restart it, and ask whether it works.

The checks are those that the signed manifest names, in this order: units are active, engine
and node answer `/health`, each golden inference gives its exact answer in time, and all of it
still holds after the soak time.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from pathlib import Path

from b3iq import systemd
from b3iq.config import EngineConfig, NodeConfig, load
from b3iq.paths import Paths
from b3iq.updater.manifest import Golden, Health

UNITS = ("b3iq-engine.service", "b3iq-node.service")
# Units bound their own start; this bounds a systemd that does not answer.
_RESTART_S = 900.0
_ANSWER_S = 5.0
_GOLDEN_S = 60.0
_READY_S = 30.0
_ANSWER_LIMIT = 1024 * 1024
_EXCERPT_LIMIT = 16 * 1024


class Unhealthy(Exception):
    """A check of the manifest failed; the words are for the operator."""


def restart() -> None:
    """Restart engine and node; the sockets stay open, and connections wait in them.

    Raises:
        Unhealthy: systemd could not start them.
    """
    subprocess.run(["systemctl", "reset-failed", *UNITS], check=False, capture_output=True)
    try:
        done = subprocess.run(
            ["systemctl", "restart", *UNITS],
            check=False, capture_output=True, text=True, timeout=_RESTART_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unhealthy("systemd did not restart the services.") from error
    if done.returncode != 0:
        raise Unhealthy("The services did not start.")


def judge(paths: Paths, health: Health) -> None:
    """Run every check, and again after the soak time.

    Raises:
        Unhealthy: naming the first that failed.
    """
    _all(paths, health)
    if health.soak_s:
        time.sleep(health.soak_s)
        _all(paths, health)


def excerpt() -> str:
    """The last lines of the services' journal; they hold no secret, prompt or output."""
    try:
        said = subprocess.run(
            ["journalctl", "--no-pager", "--lines=200", *(f"--unit={unit}" for unit in UNITS)],
            check=False, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout[-_EXCERPT_LIMIT:]


def _all(paths: Paths, health: Health) -> None:
    _active(health.units)
    node = load(NodeConfig, paths.node_config)
    _healthy("The engine", paths.engine_socket)
    _healthy("The node", (node.listen_address, node.listen_port))
    served = load(EngineConfig, paths.engine_config).model
    for golden in health.golden:
        if golden.model == served:
            _golden(paths.engine_socket, golden)


def _active(units: tuple[str, ...]) -> None:
    if not units:
        return
    said = subprocess.run(
        systemd.show_command(units), check=False, capture_output=True, text=True, timeout=60
    )
    for unit, properties in systemd.parse_show(said.stdout, units).items():
        if properties.get("ActiveState") != "active":
            raise Unhealthy(f"{unit} is {properties.get('ActiveState', 'unknown')}.")


def _healthy(who: str, where: Path | tuple[str, int]) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            if _ask(where, "GET", "/health", None, _ANSWER_S)[0] == http.client.OK:
                return
        except (OSError, http.client.HTTPException):
            pass
        if time.monotonic() > deadline:
            raise Unhealthy(f"{who} does not answer.")
        time.sleep(0.2)


def _golden(where: Path, golden: Golden) -> None:
    asked = {
        "model": golden.model,
        "messages": [message.model_dump() for message in golden.messages],
        "max_tokens": golden.max_tokens,
        "temperature": 0,
    }
    budget_ms = getattr(golden, "budget_ms", None)
    limit = budget_ms / 1000 if budget_ms else _GOLDEN_S
    before = time.monotonic()
    try:
        status, raw = _ask(where, "POST", "/v1/chat/completions", asked, limit)
        answer = json.loads(raw)["choices"][0]["message"]["content"]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise Unhealthy(f"The golden inference {golden.name} got no answer in time.") from error
    if status != http.client.OK or answer != golden.expect:
        raise Unhealthy(f"The golden inference {golden.name} was answered wrongly.")
    if time.monotonic() - before > limit:
        raise Unhealthy(f"The golden inference {golden.name} took too long.")


def _ask(
    where: Path | tuple[str, int], method: str, path: str, body: object, limit_s: float
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost", timeout=limit_s)
    if isinstance(where, Path):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(limit_s)
        connection.sock.connect(str(where))
    else:
        connection.sock = socket.create_connection(where, limit_s)
    try:
        raw = None if body is None else json.dumps(body)
        connection.request(method, path, raw, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(_ANSWER_LIMIT)
    finally:
        connection.close()
