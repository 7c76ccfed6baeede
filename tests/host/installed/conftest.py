"""The installed node, as its operator and its clients reach it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.lab import operate
from tests.lab.forward import Forward
from tests.lab.host import Host


@dataclass(frozen=True)
class Node:
    """The node behind its SSH forward, with a local key."""

    host: Host
    forward: Forward
    key_file: Path
    setup_token: str = field(repr=False)
    owner_password: str = field(repr=False)

    @property
    def base_url(self) -> str:
        """Where the node is reached now: a forward that a reboot ended is opened anew."""
        return self.forward.open(self.host)

    @property
    def key(self) -> str:
        return self.key_file.read_text().strip()

    def client(self, key: str | None = None) -> OpenAI:
        """The official SDK, told to report every error instead of trying again."""
        return OpenAI(
            base_url=f"{self.base_url}/v1", api_key=key or self.key, max_retries=0, timeout=60
        )

    def receipt(self, receipt_hash: str) -> dict[str, Any]:
        """The body of a stored receipt."""
        listed = json.loads(self.host.run("b3iq receipts --limit 500 --json").stdout)
        found = [entry for entry in listed["data"] if entry["receipt_hash"] == receipt_hash]
        assert len(found) == 1, f"{len(found)} receipts have this hash"
        body: dict[str, Any] = found[0]["receipt"]
        return body


@pytest.fixture(scope="session")
def node(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Claims the node if nobody has (then the used token is known) and makes a key."""
    directory = tmp_path_factory.mktemp("operator")
    forward = Forward(directory)
    base_url = forward.open(host)
    try:
        token = operate.claim(host, base_url, directory / "owner-password") or ""
        operate.make_key(host, base_url, directory / "local-key", "host-tests")
        password = (directory / "owner-password").read_text().strip() if token else ""
        yield Node(host, forward, directory / "local-key", token, password)
    finally:
        forward.close()
