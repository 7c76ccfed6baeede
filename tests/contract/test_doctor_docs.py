"""What doctor compares a host with is what the documents and the roles say.

An operator reads the document and an auditor the host; doctor stands between them. A table that
only one of the three has is a promise that nobody checks.
"""

from __future__ import annotations

import re

import pytest
import yaml

from b3iq.checks import accounts, confinement, exposure, file_permissions
from b3iq.checks.registry import CHECKS
from b3iq.credentials import secret_table
from b3iq.credentials.secret_files import LENGTHS
from tests.contract.role_readme import ROOT
from tests.contract.test_roles_units import settings, unit

HARDENING = (ROOT / "docs/hardening.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def rows(document: str, heading: str) -> list[str]:
    """The rows of the table that has this heading, without it."""
    table = document[document.index(heading) :].split("\n\n")[0]
    return table.splitlines()[2:]


def test_the_checks_in_the_document_are_those_of_the_registry() -> None:
    expected = [f"| `{check.id}` | {check.title} | {check.examines} |" for check in CHECKS]
    assert rows(OPERATIONS, "| Check | Promise |") == expected


def test_the_secret_files_in_the_document_are_those_of_the_table() -> None:
    expected = []
    for line in secret_table.ON_HOST:
        forms = " or ".join(f"{owner} {mode:04o}" for owner, mode in line.forms)
        expected.append(f"| `{line.path}` | {forms} | {line.reader} | {line.rotation} |")
    assert rows(HARDENING, "| Secret file |") == expected


def test_every_credential_of_the_node_has_its_line() -> None:
    listed = {line.path for line in secret_table.ON_HOST if line.required}
    assert listed == {f"{secret_table.CREDSTORE}/{name}" for name in LENGTHS}


def test_the_bounds_in_the_document_are_those_of_doctor() -> None:
    # Doctor looks at what runs; the updater and the packet filter run for a moment only.
    found = re.findall(
        r"^\| `(b3iq-(?:node|engine)\.service)` \| (\S+) \|", HARDENING, re.MULTILINE
    )
    assert {name: float(bound) for name, bound in found} == exposure.BOUNDS


@pytest.mark.parametrize(
    ("role", "accelerator"), [("node", "cpu"), ("engine", "cpu"), ("engine", "cuda")]
)
def test_the_settings_that_doctor_asks_for_are_those_that_the_roles_write(
    role: str, accelerator: str
) -> None:
    written = settings(unit(role, accelerator))
    asked = confinement.SETTINGS[f"b3iq-{role}.service"]
    assert {name: written.get(name) for name in asked} == {
        name: [value] for name, value in asked.items()
    }


def test_the_users_and_directories_are_those_of_the_base_role() -> None:
    base = yaml.safe_load((ROOT / "roles/base/vars/main.yml").read_text())
    assert list(accounts.USERS) == base["_base_users"]
    for directory in base["_base_directories"]:
        wanted = file_permissions.TABLE[directory["path"]]
        assert (wanted.kind, f"{wanted.mode:04o}") == ("directory", directory["mode"])


def test_the_modes_of_the_sockets_are_those_of_the_units() -> None:
    for role, name in (("node", "admin"), ("engine", "engine")):
        written = settings(unit(role, "cpu", "socket"))
        wanted = file_permissions.TABLE[f"/run/b3iq/{name}.sock"]
        assert [f"{wanted.mode:04o}"] == written["SocketMode"]
        assert wanted.owner == f"{written['SocketUser'][0]}:{written['SocketGroup'][0]}"
