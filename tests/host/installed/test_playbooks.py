"""The install playbook on a host that is installed already."""

from __future__ import annotations

import re

from tests.host.conftest import Playbook
from tests.lab.host import Host


def test_a_dry_run_on_an_installed_host_would_change_nothing_and_shows_no_secret(
    host: Host, playbook: Playbook
) -> None:
    done = playbook("install", "--check", "--diff", "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"changed=0 +unreachable=0 +failed=0", done.stdout), done.stdout[-2000:]
    stored = host.run("cat /etc/credstore.encrypted/* | tr -d '\\n' | fold -w 60").stdout
    for part in stored.split():
        assert part not in done.stdout


def test_a_drift_is_shown_by_a_dry_run_and_mended_by_a_run(host: Host, playbook: Playbook) -> None:
    host.run("sed -i 's/^stream_limit = .*/stream_limit = 1/' /etc/b3iq/node.toml")
    try:
        shown = playbook("install", "--check", "--diff")
        unchanged = host.run("grep '^stream_limit = 1$' /etc/b3iq/node.toml", check=False)
    finally:
        mended = playbook("install")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "-stream_limit = 1\n" in shown.stdout
    assert unchanged.returncode == 0, "a dry run changed the host"
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert host.run("grep '^stream_limit = 1$' /etc/b3iq/node.toml", check=False).returncode == 1
