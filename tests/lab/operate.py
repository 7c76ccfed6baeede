"""What an operator does with a freshly installed host: claim it, make a key, ask, look.

Used by the demo and by the tests of an installed host. Secrets go from the host's standard
output into 0600 files; none is ever an argument of a command.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

import httpx

from tests.lab.errors import LabError
from tests.lab.host import Host

OWNER = "operator"
UNITS = ("b3iq-node.service", "b3iq-engine.service")


def write_secret(path: Path, secret: str) -> None:
    """Write a 0600 file, never readable by others even for a moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")


def is_claimed(base_url: str) -> bool:
    """The setup page exists until the node has an owner."""
    return httpx.get(f"{base_url}/setup/", timeout=10).status_code == httpx.codes.NOT_FOUND


def setup_token(host: Host) -> str:
    """A fresh setup token, from the fragment of the link that the host shows to root."""
    shown = json.loads(host.run("b3iq setup-url --json").stdout)
    return str(shown["url"]).partition("#token=")[2]


def claim(host: Host, base_url: str, password_file: Path) -> str | None:
    """Make the owner, with a new password in a 0600 file; None where there is one already.

    Returns:
        The setup token, used up by now; what should not know it can be searched for it.

    Raises:
        LabError: the node refuses the claim.
    """
    if is_claimed(base_url):
        return None
    token = setup_token(host)
    password = secrets.token_urlsafe(18)
    write_secret(password_file, password)
    answer = httpx.post(
        f"{base_url}/setup/claim",
        json={"token": token, "owner_name": OWNER, "password": password},
        timeout=30,
    )
    if answer.status_code != httpx.codes.CREATED:
        raise LabError(f"The claim was refused ({answer.status_code}): {_detail(answer)}")
    return token


def make_key(host: Host, base_url: str, key_file: Path, name: str) -> bool:
    """Put a working local key into a 0600 file; False where the file holds one already."""
    if key_file.exists() and _works(base_url, key_file):
        return False
    created = json.loads(host.run(f"b3iq keys create {name} --json").stdout)
    write_secret(key_file, created["secret"])
    if not _works(base_url, key_file):
        raise LabError("The node refuses the key that it just made.")
    return True


def _works(base_url: str, key_file: Path) -> bool:
    headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
    answer = httpx.get(f"{base_url}/v1/models", headers=headers, timeout=10)
    return answer.status_code == httpx.codes.OK


def _detail(answer: httpx.Response) -> str:
    try:
        error: dict[str, Any] = answer.json()["error"]
    except (ValueError, KeyError):
        return "no reason given"
    return str(error.get("detail") or error.get("message"))


def exposure(host: Host, unit: str) -> tuple[float, str]:
    """The unit's exposure on a scale to 10 and its word, by systemd-analyze security."""
    said = host.run(f"systemd-analyze security --no-pager {unit}", check=False).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+) (\S+)", said)
    if found is None:
        raise LabError(f"systemd-analyze says nothing about {unit}.")
    return float(found[1]), found[2]
