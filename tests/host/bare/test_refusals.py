"""An install that must not go through changes nothing on the host and says why, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import listing, repositories
from tests.host.conftest import Playbook, Settings
from tests.lab.host import Host


@pytest.fixture(scope="module")
def before(host: Host) -> list[str]:
    # Ansible's first visit makes its scratch directory.
    taken = listing.take(host)
    listing.save(taken)
    return taken


@pytest.fixture(autouse=True)
def _nothing_is_installed(host: Host, before: list[str]) -> Iterator[None]:
    yield
    assert listing.difference(before, listing.take(host)) == []


@pytest.fixture
def repository(settings: Settings) -> Path:
    return Path(str(settings["b3iq_release_repository"]))


def test_every_wrong_setting_is_named_at_once(playbook: Playbook) -> None:
    done = playbook(
        "install",
        b3iq_release_repository=None,
        b3iq_acelerator="cpu",
        b3iq_trusted_root="/nowhere/root.json",
        node_stream_limit="many",
    )
    assert done.returncode != 0
    for wrong in ("b3iq_release_repository", "b3iq_acelerator", "/nowhere/root.json", "many"):
        assert wrong in done.stdout + done.stderr, wrong


def test_cuda_on_a_host_without_a_driver_stops_and_names_it(playbook: Playbook) -> None:
    done = playbook("install", b3iq_accelerator="cuda")
    assert done.returncode != 0
    assert "no NVIDIA driver is loaded" in done.stdout + done.stderr


def test_a_tampered_target_is_refused(playbook: Playbook, repository: Path, tmp_path: Path) -> None:
    changed = repositories.tampered(repository, tmp_path / "tampered", "runtime-cpu")
    done = playbook("install", b3iq_release_repository=str(changed))
    assert done.returncode != 0
    assert "target_tampered" in done.stdout + done.stderr


def test_expired_metadata_is_refused(playbook: Playbook, repository: Path, tmp_path: Path) -> None:
    signers = repository.parent / "keys"
    changed = repositories.expired(repository, tmp_path / "expired", signers)
    done = playbook("install", b3iq_release_repository=str(changed))
    assert done.returncode != 0
    assert "metadata_expired" in done.stdout + done.stderr


def test_a_wrong_root_is_refused(playbook: Playbook, tmp_path: Path) -> None:
    root = repositories.other_root(tmp_path / "other")
    done = playbook("install", b3iq_trusted_root=str(root))
    assert done.returncode != 0
    assert "wrong_root" in done.stdout + done.stderr


def test_a_model_that_the_release_does_not_have_is_refused(playbook: Playbook) -> None:
    done = playbook("install", engine_model="nosuch")
    assert done.returncode != 0
    assert "The release has no model nosuch" in done.stdout + done.stderr


def test_a_dry_run_on_a_bare_host_works_and_changes_nothing(playbook: Playbook) -> None:
    done = playbook("install", "--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed=0" in done.stdout
