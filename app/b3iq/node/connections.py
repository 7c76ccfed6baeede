"""The connections of other machines, as gunicorn's worker keeps them, and their share."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from gunicorn.workers.gthread import TConn

from b3iq.node import tls
from b3iq.node.lan import Lan


class LanConnection(TConn):  # type: ignore[misc] # gunicorn has no types
    """One of another machine; it is among `others` until it is closed."""

    def __init__(self, others: set[TConn], *arguments: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*arguments)
        self._others = others
        others.add(self)

    def close(self, graceful: bool = False) -> None:
        """Close, whoever asks for it."""
        self._others.discard(self)
        super().close(graceful)


class LanConnections:
    """The open connections of other machines, which may not take every place.

    Args:
        cfg: gunicorn's settings.
        limit: how many may be open at once.
    """

    def __init__(self, cfg: object, limit: int) -> None:
        self._cfg = cfg
        self._limit = limit
        self._open: set[TConn] = set()

    def __contains__(self, connection: TConn) -> bool:
        return connection in self._open

    @property
    def is_full(self) -> bool:
        """Whether one more is not taken."""
        return len(self._open) >= self._limit

    def take(
        self, client: socket.socket, address: object, server: object, lan: Lan | None
    ) -> LanConnection | None:
        """A connection that has yet to shake hands; None if it was closed instead."""
        # A listener that the settings do not know is not answered, and never plainly.
        if lan is not None and not self.is_full:
            with contextlib.suppress(OSError, ValueError):
                wrapped = tls.wrap(client, lan.context)
                return LanConnection(self._open, self._cfg, wrapped, address, server)
        client.close()
        return None
