"""After uninstall.yml the host is as it was before install.yml, file by file."""

from __future__ import annotations

from tests.host import listing
from tests.lab.host import Host


def test_no_file_user_or_unit_is_left(host: Host) -> None:
    assert listing.difference(listing.saved(), listing.take(host)) == []


def test_nothing_of_it_runs_or_listens(host: Host) -> None:
    assert host.run("ls /run/b3iq", check=False).returncode != 0
    assert host.run("systemctl list-units --all --no-legend 'b3iq*'").stdout == ""
    assert host.run("pgrep -a b3iq", check=False).stdout == ""
    listeners = host.run("ss -tlnH").stdout.splitlines()
    assert {line.split()[3].rpartition(":")[2] for line in listeners} == {"22"}
