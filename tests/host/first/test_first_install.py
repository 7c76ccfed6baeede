"""The first install of a bare host, at its most talkative, and what it gives away.

The secrets do not exist before, so everything said and shown meanwhile is kept and searched
afterwards: the play's output and its diffs, Ansible's fact cache, the command line and the
environment of the host's processes, the journal, the files.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from b3iq.credentials import secret_files
from tests.host import canaries
from tests.host.conftest import Playbook
from tests.lab.host import Host

pytestmark = pytest.mark.timeout(300)

PLANTED = "planted-leak-81b0c2"
# Keeps each command line and environment that any process of the host has, from its first look
# until it is told to end. /run is in memory, and gone with the host.
KEEPER = """
import pathlib
own = pathlib.Path("/proc/self").resolve().name
seen, done = set(), pathlib.Path("/run/keeper-end")
with open("/run/kept", "wb") as kept:
    while not done.exists():
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            for file in ("cmdline", "environ"):
                try:
                    data = (process / file).read_bytes()
                except OSError:
                    continue
                if process.name != own and data and data not in seen:
                    seen.add(data)
                    kept.write(file.encode() + b" " + data + b"\\n")
"""


@dataclass(frozen=True)
class Install:
    """What the first install said and showed."""

    output: bytes = field(repr=False)
    fact_cache: bytes = field(repr=False)
    processes: bytes = field(repr=False)
    changed: int


@pytest.fixture(scope="module")
def kept(host: Host) -> Iterator[Host]:
    """The host, while the keeper looks at its processes."""
    host.run("umask 077; cat >/run/keeper.py; rm -f /run/keeper-end", stdin=KEEPER)
    host.run("systemd-run --quiet --unit=keeper python3 /run/keeper.py")
    host.run(f"systemd-run --quiet --unit=planted --setenv=LEAK={PLANTED} sleep 300")
    host.run(f"systemd-run --quiet --unit=planted-argument sh -c ': {PLANTED}; sleep 300'")
    yield host
    host.run("systemctl stop keeper planted planted-argument", check=False)
    host.run("rm -f /run/keeper.py /run/keeper-end /run/kept")


@pytest.fixture(scope="module")
def install(kept: Host, playbook: Playbook, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Runs it; the bytes stay on this side, and are printed nowhere."""
    assert kept.run("ls /etc/b3iq", check=False).returncode != 0, "this host is installed already"
    cache = tmp_path_factory.mktemp("facts")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ANSIBLE_CACHE_PLUGIN", "jsonfile")
        environment.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(cache))
        done = playbook("install", "-vvv", "--diff")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    kept.run("touch /run/keeper-end; while systemctl is-active -q keeper; do sleep 0.1; done")
    shown = kept.run("base64 -w 0 /run/kept").stdout
    return Install(
        output=(done.stdout + done.stderr).encode(),
        fact_cache=b"".join(file.read_bytes() for file in Path(cache).iterdir()),
        processes=canaries.decoded(shown),
        changed=changed(done),
    )


def changed(done: subprocess.CompletedProcess[str]) -> int:
    recap = re.search(r"changed=(\d+) +unreachable=0 +failed=0", done.stdout)
    assert recap, done.stdout[-1000:]
    return int(recap[1])


@pytest.fixture(scope="module")
def needles(host: Host, install: Install) -> dict[str, str | bytes]:
    """The secrets that the install made, and the key that Ansible came in with."""
    names = (secret_files.TOKEN_PEPPER, secret_files.NODE_IDENTITY)
    body = Path(host.ssh_key).read_text().split("KEY-----")[1].split("-----END")[0]
    return {
        **{name: canaries.sealed(host, name) for name in names},
        "the operator's SSH key": body.split()[2],
    }


def test_the_first_install_tells_its_steps_and_its_diffs(install: Install) -> None:
    assert install.changed > 0
    for said in (b"TASK [node : configure | Make the credentials", b"+++ after", b"EXEC "):
        assert said in install.output
    # The keeper saw what systemd and Ansible ran.
    for shown in (b"/opt/b3iq/", b"credentials\0create", b"environ "):
        assert shown in install.processes, shown


def test_no_secret_is_in_what_it_said_and_showed(
    install: Install, needles: dict[str, str | bytes]
) -> None:
    places = {
        "output": install.output,
        "fact cache": install.fact_cache,
        "processes": install.processes,
    }
    assert canaries.found_in(places, needles) == []


def test_no_secret_is_on_the_host_afterwards(host: Host, needles: dict[str, str | bytes]) -> None:
    here = {name: secret for name, secret in needles.items() if "SSH" not in name}
    assert canaries.search(host, here) == []


def test_a_secret_that_it_did_say_is_found(
    install: Install, needles: dict[str, str | bytes]
) -> None:
    for name, secret in needles.items():
        for number, form in enumerate(canaries.forms(secret)):
            leaked = {"output": install.output + b"said " + form + b"\n"}
            assert canaries.found_in(leaked, {name: secret}) == [f"{name} in output"], number


def test_the_keeper_sees_an_argument_and_an_environment(install: Install) -> None:
    lines = [line for line in install.processes.split(b"\n") if PLANTED.encode() in line]
    assert {b"cmdline", b"environ"} <= {line.partition(b" ")[0] for line in lines}
    assert any(b"sh\0-c\0" in line for line in lines)


def test_the_second_run_changes_nothing(install: Install, playbook: Playbook) -> None:
    assert install.changed > 0
    assert changed(playbook("install")) == 0
