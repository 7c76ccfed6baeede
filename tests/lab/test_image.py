"""The base image is built from Debian's own sources, and one recipe has one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import image

THIRD_PARTIES = """deb https://packages.example.com/apt cloud-sdk-bookworm main
deb [signed-by=/k.gpg] https://apt.example.com bookworm main
deb https://ftp.example.org/debian bookworm-backports main
deb-src http://deb.debian.org/debian bookworm main
"""
DEB822 = """Types: deb
# a comment
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main contrib

Types: deb
URIs: https://deb.example.com/node_20.x
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example.org/debian
Suites: bookworm
Components: main
"""


def apt(directory: Path, one_line: str, deb822: str = "") -> Path:
    (directory / "sources.list.d").mkdir()
    (directory / "sources.list").write_text(one_line)
    (directory / "sources.list.d" / "debian.sources").write_text(deb822)
    return directory


def test_sources_are_debians_own_and_third_parties_are_left_out(tmp_path: Path) -> None:
    assert image.sources(apt(tmp_path, THIRD_PARTIES, DEB822)) == [
        "deb http://deb.debian.org/debian bookworm main",
        "deb http://deb.debian.org/debian bookworm-updates main",
    ]


def test_a_mirror_with_options_is_kept(tmp_path: Path) -> None:
    line = "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example.org/debian bookworm main\n"
    assert image.sources(apt(tmp_path, line)) == [
        "deb http://mirror.example.org/debian bookworm main"
    ]


def test_a_machine_without_debian_sources_uses_debians_server(tmp_path: Path) -> None:
    assert image.sources(apt(tmp_path, THIRD_PARTIES)) == list(image.FALLBACK)


def test_a_changed_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.recipe_hash()
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "curl"))
    assert image.recipe_hash() != before
