"""A node with its LAN listener on; every address of 127.0.0.0/8 is this machine's own.

The listener has 127.0.0.2, clients of the allow-list call from 127.0.0.5, others from 127.0.0.6.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import httpx

from b3iq.credentials import secret_files, tls_pair
from tests.integration.node_process import NodeProcess, free_port, node_process

LISTEN = "127.0.0.2"
ALLOWED = "127.0.0.5"
STRANGER = "127.0.0.6"
NAME = "node.test"


def lan_settings(port: int, *more: str) -> dict[str, object]:
    """Settings of node.toml that open the listener, to `more` addresses too."""
    return {
        "lan_listen_address": LISTEN,
        "lan_listen_port": port,
        "lan_host_names": [NAME],
        "lan_allow": [f"{ALLOWED}/32", *more],
    }


class Lan:
    """Clients of a node's LAN listener that trust its certificate and no other."""

    def __init__(self, port: int, pem: str) -> None:
        self.port = port
        self.pem = pem
        self.trust = ssl.create_default_context(cadata=pem)
        # What Python 3.13 demands of every certificate.
        self.trust.verify_flags |= ssl.VERIFY_X509_STRICT

    @property
    def base_url(self) -> str:
        return f"https://{LISTEN}:{self.port}"

    def client(self, source: str = ALLOWED, **more: object) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=self.trust, local_address=source)
        return httpx.Client(
            base_url=self.base_url, transport=transport, timeout=30, trust_env=False, **more
        )

    def connect(self, source: str = ALLOWED) -> socket.socket:
        """A TCP connection that has not begun a handshake."""
        return socket.create_connection((LISTEN, self.port), 30, source_address=(source, 0))

    def tls(self, source: str = ALLOWED) -> ssl.SSLSocket:
        return self.trust.wrap_socket(self.connect(source), server_hostname=LISTEN)


@contextmanager
def lan_node(*more: str) -> Iterator[tuple[NodeProcess, Lan]]:
    """A started node that nobody has claimed; it admits `more` addresses too."""
    with node_process() as node:
        port = free_port()
        with node.paths.node_config.open("a") as file:
            for name, value in lan_settings(port, *more).items():
                file.write(f"{name} = {json.dumps(value)}\n")
        make = partial(tls_pair.make, [NAME, LISTEN])
        secret_files.create_pair(node.paths.credentials, make)
        node.start()
        yield node, Lan(port, node.admin.get("/admin/status")["lan"]["pem"])


@contextmanager
def claimed_lan_node(*more: str) -> Iterator[tuple[NodeProcess, Lan]]:
    """The same with its owner, Ada."""
    with lan_node(*more) as (node, lan):
        with node.client() as client:
            assert node.claim(client).status_code == 201
        yield node, lan
