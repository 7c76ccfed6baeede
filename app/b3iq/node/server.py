"""The node under gunicorn: one worker, its threads, its listeners, its readiness.

One worker, because stream slots, open streams and metrics are counted in memory; threads,
because a stream is mostly waiting.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.errors import AppImportError
from gunicorn.glogging import Logger

from b3iq import systemd
from b3iq.config import NodeConfig
from b3iq.errors import B3iqError, ConfigError
from b3iq.node.factory import create_app
from b3iq.node.request_log import RequestLog
from b3iq.node.services import Services
from b3iq.node.worker import PatientWorker
from b3iq.paths import Paths

# Connections beyond the threads are kept alive or still gathering their request.
_CONNECTIONS = 2048
# Longer than HTTP clients pool idle connections (httpx: 5 s), so that they close first.
_KEEPALIVE_S = 30
# Beyond `drain_s`, for streams that were cut to have their receipts sealed.
_SEAL_S = 5


class JournalLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's own words as JSON lines; requests are logged by `request_log`."""

    def setup(self, cfg: object) -> None:
        """Hand everything to the root logger."""
        self.cfg = cfg
        self._access_log_enabled = False
        for log in (self.error_log, self.access_log):
            log.handlers[:] = []
            log.propagate = True
        self.error_log.setLevel(logging.WARNING)

    def reopen_files(self) -> None:
        """There are none."""


class NodeServer(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """Runs the node until SIGTERM.

    Attributes:
        services: the node behind its routes, in the worker once it is loaded.
    """

    services: Services

    def __init__(self, config: NodeConfig, paths: Paths) -> None:
        self.config = config
        self.paths = paths
        # The arbiter would tell systemd READY before there is anything to ask.
        self._notify_socket = os.environ.pop("NOTIFY_SOCKET", None)
        super().__init__(prog="b3iq-node")

    def load_config(self) -> None:
        """gunicorn's settings; none is read from its environment variable or a file."""
        settings: dict[str, Any] = {
            "bind": [*map(_bind, _listeners(self.config)), f"unix:{self.paths.admin_socket}"],
            # For the admin socket, which gunicorn would make open to everybody.
            "umask": 0o177,
            "workers": 1,
            "worker_class": PatientWorker,
            "threads": self.config.stream_limit + self.config.spare_threads,
            "worker_connections": _CONNECTIONS,
            "keepalive": _KEEPALIVE_S,
            "graceful_timeout": int(self.config.drain_s) + _SEAL_S,
            "timeout": 60,
            "logger_class": JournalLogger,
            "post_worker_init": self._ready,
            "control_socket_disable": True,
            # Nobody's forwarded headers are believed.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> RequestLog:
        """Make the application: secrets, migrations, recovery (in the worker)."""
        try:
            app = create_app(self.config, self.paths)
        except B3iqError as error:
            # gunicorn prints these words and stops; it would start over after any other.
            raise AppImportError(error.message) from error
        self.services = app.extensions["b3iq"]
        return RequestLog(app)

    def _ready(self, _worker: object) -> None:
        if self._notify_socket is not None:
            os.environ["NOTIFY_SOCKET"] = self._notify_socket
        systemd.notify("READY=1\nSTATUS=Serving")
        logging.getLogger(__name__).info("ready")


def refuse_taken_port(config: NodeConfig) -> None:
    """Say at once what gunicorn would try five times and then say less clearly.

    Raises:
        ConfigError: another process listens there, or the address is not this machine's.
    """
    for address, port in _listeners(config):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise ConfigError(
                    f"Cannot listen on {address} port {port}: {error.strerror}.",
                    remedy="Stop the process that listens there, or choose another port.",
                ) from error


def _listeners(config: NodeConfig) -> list[tuple[str, int]]:
    lan = [(config.lan_listen_address, config.lan_listen_port)] if config.has_lan else []
    return [(config.listen_address, config.listen_port), *lan]


def _bind(listener: tuple[str, int]) -> str:
    address, port = listener
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
