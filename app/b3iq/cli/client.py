"""Talks to the running node over its admin socket."""

from __future__ import annotations

import os
from typing import Any

import httpx

from b3iq.errors import B3iqError
from b3iq.paths import Paths

_TIMEOUT_S = 30.0


class NodeUnreachable(B3iqError):
    """Nobody answers, the answer broke off, or this user may not ask."""

    code = "node_unreachable"
    title = "The node does not answer"


class NodeRefused(B3iqError):
    """The node answered with an error; its words are in `detail`."""

    title = "The node refused"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class AdminClient:
    """One verb's conversation with the node."""

    def __init__(self, paths: Paths) -> None:
        self._socket = paths.admin_socket

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """The JSON answer to GET.

        Raises:
            NodeUnreachable, NodeRefused
        """
        return self._ask("GET", path, query=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer to POST.

        Raises:
            NodeUnreachable, NodeRefused
        """
        return self._ask("POST", path, body=body)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str | int] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        transport = httpx.HTTPTransport(uds=str(self._socket))
        try:
            # trust_env: no proxy from the environment may see what is said here.
            with httpx.Client(
                transport=transport, base_url="http://node", timeout=_TIMEOUT_S, trust_env=False
            ) as client:
                answer = client.request(method, path, params=query, json=body)
                said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._unreachable() from error
        if answer.is_error:
            fault = said.get("error", {})
            raise NodeRefused(
                str(fault.get("code", "internal_error")),
                str(fault.get("detail", "The node refused.")),
            )
        return dict(said)

    def _unreachable(self) -> NodeUnreachable:
        if self._socket.parent.is_dir() and not os.access(self._socket.parent, os.X_OK):
            return NodeUnreachable("This needs root.", remedy="Run it with sudo.")
        if self._socket.exists() and not os.access(self._socket, os.W_OK):
            return NodeUnreachable("This needs root.", remedy="Run it with sudo.")
        return NodeUnreachable(
            f"No node answers on {self._socket}.",
            remedy="Start it (systemctl start b3iq-node, or `b3iq serve`); "
            "for a development node name its --state directory.",
        )
