"""Mirrors that are slow, endless, truncated or lying, against the resuming downloader."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from b3iq.updater import refusals
from b3iq.updater.download import Wanted, download
from b3iq.updater.fetch import UrlFetcher
from tests.attacks.hostile_mirror import Mirror, serving

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    file = tmp_path / "served"
    file.write_bytes(CONTENT)
    return Mirror(file)


@pytest.fixture
def address(mirror: Mirror) -> Iterator[str]:
    with serving(mirror) as url:
        yield url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir(mode=0o700)
    return tmp_path / "staging" / "file"


def fetch(url: str, path: Path, content: bytes = CONTENT) -> int:
    """Download; returns the sum of what progress was told."""
    told: list[int] = []
    wanted = Wanted("the file", url, hashlib.sha256(content).hexdigest(), len(content))
    download(UrlFetcher(), wanted, path, told.append)
    return sum(told)


def test_a_broken_connection_goes_on_where_it_stopped(
    mirror: Mirror, address: str, path: Path
) -> None:
    mirror.breaks = [1_000_000, 500_000]
    assert fetch(address, path) == len(CONTENT)
    assert path.read_bytes() == CONTENT
    assert mirror.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_what_a_failed_run_fetched_is_kept_for_the_next(
    mirror: Mirror, address: str, path: Path
) -> None:
    mirror.breaks = [1000] * 4
    with pytest.raises(refusals.RepositoryUnreachable):
        fetch(address, path)
    assert path.read_bytes() == CONTENT[:4000]
    mirror.ranges.clear()
    fetch(address, path)
    assert mirror.ranges == ["bytes=4000-"]
    assert path.read_bytes() == CONTENT


def test_a_complete_file_is_not_fetched_again(mirror: Mirror, address: str, path: Path) -> None:
    path.write_bytes(CONTENT)
    fetch(address, path)
    assert mirror.ranges == []


def test_a_server_that_ignores_ranges_sends_the_whole_file(
    mirror: Mirror, address: str, path: Path
) -> None:
    path.write_bytes(CONTENT[:1000])
    mirror.knows_ranges = False
    assert fetch(address, path) == len(CONTENT)
    assert path.read_bytes() == CONTENT


def test_a_damaged_partial_file_is_fetched_from_the_beginning(
    mirror: Mirror, address: str, path: Path
) -> None:
    path.write_bytes(b"\0" * 1_000_000)
    assert fetch(address, path) == len(CONTENT)
    assert mirror.ranges == ["bytes=1000000-", None]
    assert path.read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_thrown_away(address: str, path: Path) -> None:
    path.write_bytes(CONTENT + b"more")
    fetch(address, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "served",
    [CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]), CONTENT[:-1], b"", os.urandom(len(CONTENT))],
    ids=["a flipped bit", "truncated", "empty", "another file"],
)
@pytest.mark.parametrize("already", [0, 1000])
def test_a_file_that_is_not_the_signed_one_leaves_nothing(
    mirror: Mirror, address: str, path: Path, served: bytes, already: int
) -> None:
    path.write_bytes(CONTENT[:already])
    mirror.file.write_bytes(served)
    with pytest.raises(refusals.TargetTampered):
        fetch(address, path)
    assert not path.exists()


@pytest.mark.parametrize("says_length", [True, False])
def test_an_endless_file_is_cut_at_its_known_length(
    mirror: Mirror, address: str, path: Path, says_length: bool
) -> None:
    mirror.endless = True
    mirror.says_length = says_length
    if says_length:
        mirror.file.write_bytes(CONTENT + b"more")
    with pytest.raises(refusals.TooLarge):
        fetch(address, path)
    assert not path.exists()


def test_an_answer_for_another_range_is_not_appended(
    mirror: Mirror, address: str, path: Path
) -> None:
    path.write_bytes(CONTENT[:1000])
    mirror.shifted = 7
    with pytest.raises(refusals.RepositoryUnreachable):
        fetch(address, path)
    assert path.read_bytes() == CONTENT[:1000]


def test_a_server_that_drips_headers_is_given_up(
    mirror: Mirror, address: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UrlFetcher, "grace_s", 0.3)
    mirror.drips_headers = True
    with pytest.raises(refusals.RepositoryUnreachable, match="too slow"):
        fetch(address, path)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", ""])
def test_a_redirect_leads_to_http_and_nowhere_else(
    mirror: Mirror, address: str, path: Path, place: str
) -> None:
    mirror.redirect = place or "data:text/plain,x"
    with pytest.raises(refusals.RepositoryUnreachable, match="redirected"):
        fetch(address, path)


def test_a_redirect_without_end_is_given_up(mirror: Mirror, address: str, path: Path) -> None:
    mirror.redirect = address
    with pytest.raises(refusals.RepositoryUnreachable, match="without end"):
        fetch(address, path)


def test_a_redirected_request_carries_no_credential(
    mirror: Mirror, address: str, path: Path, tmp_path: Path
) -> None:
    other = Mirror(mirror.file)
    with serving(other) as elsewhere:
        mirror.redirect = elsewhere
        fetch(address.replace("//", "//user:secret@"), path)
    sent = {name.lower() for headers in other.headers for name in headers}
    assert sent == {"host", "accept-encoding", "user-agent"}


def test_a_link_in_place_of_the_partial_file_is_not_written_through(
    address: str, path: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        fetch(address, path)
    path.unlink()
    os.link(victim, path)
    with pytest.raises(OSError, match="plain file"):
        fetch(address, path)
    assert victim.read_bytes() == b"untouched"


def test_a_full_disk_is_refused_before_anything_is_asked(
    mirror: Mirror, address: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1 << 20))
    with pytest.raises(refusals.NoSpace):
        fetch(address, path)
    assert mirror.ranges == []


def test_a_file_over_4_gib_resumes_across_the_32_bit_border(
    mirror: Mirror, address: str, path: Path
) -> None:
    """CVE-2026-34155 of RAUC: a size kept in 32 bits made a large artifact pass as another."""
    length = (1 << 32) + 1_000_000
    with mirror.file.open("wb") as file:
        file.truncate(length)
        file.seek(length - 5)
        file.write(b"tail!")
    with path.open("wb") as file:
        file.truncate((1 << 32) - 500_000)
    with mirror.file.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    download(UrlFetcher(), Wanted("big", address, sha256, length), path, lambda _amount: None)
    assert mirror.ranges == [f"bytes={(1 << 32) - 500_000}-"]
    assert path.stat().st_size == length
    with path.open("rb") as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == b"tail!"
