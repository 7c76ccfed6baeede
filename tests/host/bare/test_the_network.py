"""A lab host reaches nobody, so an install that succeeds on it needed nobody."""

from __future__ import annotations

import pytest

from tests.lab.host import Host

PROBE = """
import socket
socket.setdefaulttimeout(3)
socket.create_connection(({address!r}, {port}))
"""


def test_the_host_has_no_route_but_to_its_controller(host: Host) -> None:
    routes = host.run("ip -o route; ip -6 -o route show dev host0").stdout.splitlines()
    assert len(routes) == 1, routes
    assert routes[0].startswith(host.address.rsplit(".", 1)[0] + ".0/30 dev host0")


@pytest.mark.parametrize("name", ["pypi.org", "files.pythonhosted.org", "deb.debian.org"])
def test_no_name_resolves(host: Host, name: str) -> None:
    assert host.run(f"getent ahosts {name}", check=False).returncode == 2


# Numbers of public resolvers and of a package registry's front: no name is needed to try them.
@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "151.101.0.223", "2606:4700:4700::1111"])
def test_no_registry_is_reached_by_number(host: Host, address: str) -> None:
    tried = host.run("python3 -", stdin=PROBE.format(address=address, port=443), check=False)
    assert "Network is unreachable" in tried.stderr
    # The same probe does connect where there is somebody: to the host's own SSH server.
    assert host.run("python3 -", stdin=PROBE.format(address=host.address, port=22)).returncode == 0
