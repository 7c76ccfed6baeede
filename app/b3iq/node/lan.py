"""The second listener: other machines, over TLS, from listed addresses, of a claimed node.

What a connection passes before anything else, lettered as in docs/architecture.md:
a. the packet filter and systemd, on a host, let only the allow-list reach the port;
b. the handshake, made in the worker's loop without a thread (`b3iq.node.worker`);
c. its address must be on the allow-list, whoever it says that it forwards for (403);
d. the node must have its owner: until then nothing is answered here but the refusal (403).
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from flask import Request

from b3iq.config import NodeConfig
from b3iq.credentials import secret_files, tls_pair
from b3iq.credentials.owners import Owners
from b3iq.credentials.tls_pair import Certificate
from b3iq.node import tls
from b3iq.node.problems import HttpError
from b3iq.paths import Paths

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lan:
    """What the node knows of its LAN listener.

    Attributes:
        allow: networks whose requests are answered.
        host_names: what a Host header may name, as it is written there.
        urls: where clients find the node.
        missing_names: names of the node that its certificate is not for.
    """

    allow: tuple[IPv4Network | IPv6Network, ...]
    host_names: frozenset[str]
    urls: tuple[str, ...]
    certificate: Certificate
    missing_names: tuple[str, ...]
    context: ssl.SSLContext

    def admits(self, address: str | None) -> bool:
        """Whether a peer is on the allow-list."""
        try:
            peer = ip_address(address or "")
        except ValueError:
            return False
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self.allow)

    def check(self, request: Request, owners: Owners) -> None:
        """Steps c and d.

        Raises:
            HttpError: 403, with the reason.
        """
        if not self.admits(request.remote_addr):
            _log.info("lan_address_refused", extra={"client": request.remote_addr})
            raise HttpError(
                403,
                "Your address is not on this node's allow-list.",
                code="address_not_allowed",
                remedy="The node's operator can add its network to node_lan_allow.",
            )
        if not owners.is_claimed():
            raise HttpError(
                403,
                "This node has no owner yet.",
                code="node_not_claimed",
                remedy="Claim it on its own machine first: `b3iq setup-url`.",
            )


def load(config: NodeConfig, paths: Paths) -> Lan | None:
    """The LAN listener as it is configured; None where it is off.

    Raises:
        CredentialFileError: its certificate and key are missing or open to others.
        PairRefused: they cannot be used.
    """
    if not config.has_lan:
        return None
    certificate = tls_pair.describe(secret_files.read_pair(paths))
    missing = certificate.misses(config.lan_names)
    if missing:
        _log.warning("lan_certificate_misses_names", extra={"count": len(missing)})
    hosts = [f"[{name}]" if ":" in name else name for name in config.lan_names]
    return Lan(
        allow=tuple(ip_network(network) for network in config.lan_allow),
        host_names=frozenset(hosts),
        urls=tuple(f"https://{host}:{config.lan_listen_port}" for host in hosts),
        certificate=certificate,
        missing_names=tuple(missing),
        context=tls.context(paths.credentials / secret_files.LAN_TLS),
    )
