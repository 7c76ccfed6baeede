"""The node's port, or a service, listens for machines that the settings do not open it to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from b3iq.checks.accounts import USERS
from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import Host

# State of a listening TCP socket, and of a UDP socket that is connected to nobody (proc(5)).
_LISTEN = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def _look(host: Host) -> Finding:
    users = _service_uids(host)
    faults = []
    for table, state in _LISTEN.items():
        for line in _lines(host, f"/proc/net/{table}"):
            fields = line.split()
            address, port = parse_address(fields[1])
            ours = fields[7] in users or (table[:3] == "tcp" and port in _ports(host))
            if fields[3] == state and ours and not _is_meant(host, address, port):
                faults.append(f"{address} port {port} ({table}) is open to other machines")
    return judged(
        faults,
        fine="Nothing of the node's listens beyond what the settings open.",
        remedy="Set node_listen_address to 127.0.0.1 and node_lan_listen_address to what is meant, "
        "and run the install playbook; `ss -tlnp` names the process.",
    )


def _ports(host: Host) -> set[int]:
    config = host.node_config
    return {config.listen_port, *([config.lan_listen_port] if config.has_lan else [])}


def _is_meant(host: Host, address: IPv4Address | IPv6Address, port: int) -> bool:
    config = host.node_config
    if not config.has_lan or port != config.lan_listen_port:
        return address.is_loopback
    return address == ip_address(config.lan_listen_address)


def _lines(host: Host, table: str) -> list[str]:
    """Without its heading; a kernel without IPv6 has no table of it."""
    return host.read(table).splitlines()[1:] if host.at(table).exists() else []


def _service_uids(host: Host) -> set[str]:
    accounts = (line.split(":") for line in host.read("/etc/passwd").splitlines())
    return {fields[2] for fields in accounts if fields[0] in USERS}


def parse_address(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """An address as the kernel prints it: 32-bit words in the order of the machine."""
    digits, _, port = text.partition(":")
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    found = ip_address(b"".join(words))
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found, int(port, 16)


CHECK = Check(
    id="listeners",
    title="nothing listens beyond what the settings open",
    examines="`/proc/net/tcp`, `udp` and their IPv6 twins: the node's ports, the services' users",
    look=_look,
    needs=("node-settings",),
)
