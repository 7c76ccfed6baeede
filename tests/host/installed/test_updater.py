"""The host verifies for itself: what it refuses, it does not install, and it names the reason."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host import listing, repositories
from tests.host.conftest import Settings
from tests.lab.host import Host

STAGED = "/var/tmp/repository"  # noqa: S108  on the host, removed by the test
# Where a first install is tried, beside the one that runs: `--root-directory`.
BARE = "/var/tmp/bare"  # noqa: S108  on the host, removed by the test
OTHER_ROOT = "/var/tmp/root.json"  # noqa: S108  on the host, removed by the test
ROOT_FILE = "/etc/b3iq/trusted-root.json"


@pytest.fixture
def repository(settings: Settings) -> Path:
    return Path(str(settings["b3iq_release_repository"]))


@pytest.fixture(autouse=True)
def _scratch_is_removed(host: Host) -> Iterator[None]:
    yield
    host.run(f"rm -rf {STAGED} {BARE} {OTHER_ROOT}")


def install(
    host: Host, repository: Path, *, root: str = ROOT_FILE, at: str = "/"
) -> tuple[int, dict[str, Any]]:
    """Bring a repository to the host as the playbook does, and install it there."""
    unpack = f"rm -rf {STAGED}; mkdir -m 700 {STAGED}; tar -x --no-same-owner -C {STAGED}"
    with subprocess.Popen(["tar", "-C", repository, "-c", "."], stdout=subprocess.PIPE) as pack:
        subprocess.run(host.ssh(unpack), stdin=pack.stdout, check=True)
    done = host.run(
        f"mkdir -p {BARE}; /opt/b3iq/updater/bin/b3iq-updater install --repository {STAGED} "
        f"--trusted-root {root} --accelerator cpu --model-group b3iq-engine "
        f"--root-directory {at} --json",
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def installed(host: Host) -> list[str]:
    """Every installed file with its times; whatever is written to one shows in its ctime."""
    places = "/opt/b3iq /etc /usr/local /var/lib/b3iq/models"
    return host.run(f"find {places} -printf '%y %m %u:%g %s %C@ %p %l\\n'").stdout.splitlines()


def refused(host: Host, repository: Path, **where: str) -> str:
    """The name of the refusal, after which nothing has changed and nothing is unpacked."""
    before = installed(host)
    status, said = install(host, repository, **where)
    assert status == 1, said
    assert listing.difference(before, installed(host)) == []
    assert host.run(f"find {BARE} -path '*/layers/*' -o -path '*/releases/*'").stdout == ""
    return str(said["refused"]["code"])


def test_the_signed_release_is_installed_already(host: Host, repository: Path) -> None:
    status, said = install(host, repository)
    assert (status, said["changed"]) == (0, False)


def test_a_tampered_target_is_not_installed(host: Host, repository: Path, tmp_path: Path) -> None:
    changed = repositories.tampered(repository, tmp_path / "changed", "node.tar")
    assert refused(host, changed, at=BARE) == "target_tampered"


def test_expired_metadata_is_not_installed(host: Host, repository: Path, tmp_path: Path) -> None:
    small = repositories.metadata_only(repository, tmp_path / "metadata")
    changed = repositories.expired(small, tmp_path / "changed", repository.parent / "keys")
    assert refused(host, changed) == "metadata_expired"


def test_a_wrong_root_is_not_installed(host: Host, repository: Path, tmp_path: Path) -> None:
    repository = repositories.metadata_only(repository, tmp_path / "metadata")
    other = repositories.other_root(tmp_path / "other")
    host.run(f"cat >{OTHER_ROOT}", stdin=other.read_text())
    assert refused(host, repository, root=OTHER_ROOT, at=BARE) == "wrong_root"
    # A host that knows its root takes no other in its place.
    assert refused(host, repository, root=OTHER_ROOT) == "trusted_root_changed"
