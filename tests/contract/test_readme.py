"""The README's commands exist, so that a newcomer's first five minutes work.

Commands that cost nothing are run by the other tests; here every command that is named is
compared with what the Makefile, the command line and the tree really offer.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Each `$` or `#` line of the console blocks of all documents, without its comment."""
    lines = []
    for document in DOCUMENTS:
        for block in FENCE.findall(document.read_text(encoding="utf-8")):
            lines += [
                line[2:].split("   #")[0].strip()
                for line in block.splitlines()
                if line[:2] in ("$ ", "# ")
            ]
    return sorted(set(lines))


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


MAKE = [c for c in commands() if re.search(r"\bmake ", c)]
B3IQ = [c for c in commands() if re.match(r"(\.venv/bin/)?b3iq ", c)]
PLAYBOOKS = [c for c in commands() if "ansible-playbook" in c]


@pytest.mark.parametrize("command", MAKE)
def test_a_documented_make_target_exists(command: str) -> None:
    target = re.search(r"\bmake ([a-z-]+)", command)
    assert target is not None
    assert target.group(1) in make_targets()


@pytest.mark.parametrize("command", B3IQ)
def test_a_documented_verb_and_its_options_exist(command: str) -> None:
    words = shlex.split(command)[1:]
    verb = [word for word in words[:2] if re.fullmatch(r"[a-z-]+", word)]
    program: list[str | Path] = [ROOT / ".venv/bin/b3iq"]
    if verb[0] == "update":
        # On a host `b3iq` starts the installed updater for these; here it is a module.
        program, verb = [sys.executable, "-m", "b3iq.updater"], verb[1:]
    for depth in range(len(verb), 0, -1):
        done = subprocess.run([*program, *verb[:depth], "--help"], capture_output=True, text=True)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    for option in re.findall(r"(?<=\s)--[a-z-]+", command):
        assert option in done.stdout


@pytest.mark.parametrize("command", PLAYBOOKS)
def test_a_documented_playbook_exists(command: str) -> None:
    playbooks = [word for word in shlex.split(command) if word.endswith(".yml")]
    assert playbooks
    assert all((ROOT / playbook).is_file() for playbook in playbooks)


LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_the_readme_names_commands_of_each_kind() -> None:
    """Guards the tests above: with no command found they would pass without having looked."""
    assert MAKE
    assert B3IQ
    assert PLAYBOOKS
