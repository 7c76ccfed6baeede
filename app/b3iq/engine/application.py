"""The engine's process: gunicorn with one worker of threads, the model inside the worker.

The arbiter holds the listening socket and starts a new worker when one dies; clients that
connect meanwhile wait in the socket's backlog, and are answered 503 until the model is
loaded again.

systemd must hear READY=1 from the worker once the model is loaded. gunicorn's arbiter would
send it as soon as it listens, so the variable is hidden from the arbiter and given back to
the worker (the unit says NotifyAccess=all).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from types import FrameType

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from b3iq import systemd
from b3iq.config import EngineConfig
from b3iq.engine.server import create_app
from b3iq.engine.service import Engine
from b3iq.engine.watchdog import start_watchdog

_log = logging.getLogger(__name__)
# gunicorn publishes no types, hence the `type: ignore` where its classes are extended.
# Threads for health, metrics, models and refusals, which must never wait for a stream.
_SPARE_THREADS = 8
# Time for error events to reach clients before a failed worker exits.
_LAST_WORDS_S = 2.0


class EngineLogger(Logger):  # type: ignore[misc]
    """gunicorn's loggers, written by the process's own JSON handler; no access log."""

    def setup(self, cfg: Config) -> None:
        """Leave the handlers to the root logger."""
        self.cfg = cfg
        self.error_log.setLevel(logging.INFO)
        self.error_log.propagate = True
        self.access_log.disabled = True


class EngineWorker(ThreadWorker):  # type: ignore[misc]
    """Drains the engine on SIGTERM, so that no stream is cut without a word."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: gunicorn stops accepting; the engine ends what lasts too long."""
        systemd.notify("STOPPING=1")
        engine: Engine = self.app.engine
        # From another thread: the handler may have interrupted one that holds a lock.
        seconds = max(0.0, self.cfg.graceful_timeout - _LAST_WORDS_S)
        threading.Thread(target=engine.drain, args=(seconds,), daemon=True).start()
        super().handle_exit(sig, frame)


class EngineApplication(BaseApplication):  # type: ignore[misc]
    """gunicorn's application object: settings before the fork, the engine after it."""

    def __init__(self, config: EngineConfig, model_dir: Path, socket: Path) -> None:
        self._config = config
        self._model_dir = model_dir
        self._socket = socket
        self._notify_socket = os.environ.pop("NOTIFY_SOCKET", None)
        self.engine: Engine
        super().__init__()

    def load_config(self) -> None:
        """Settings of gunicorn; see its documentation for each."""
        streams = self._config.batch_limit + self._config.queue_limit
        settings = {
            "bind": f"unix:{self._socket}",
            # Only bounds the mode of a socket that gunicorn binds itself: 0660.
            "umask": 0o117,
            "workers": 1,
            "threads": streams + _SPARE_THREADS,
            "worker_class": f"{__name__}.EngineWorker",
            "worker_connections": 2 * (streams + _SPARE_THREADS),
            "timeout": 120,
            "graceful_timeout": max(1, round(self._config.drain_s)),
            "keepalive": 30,
            "logger_class": EngineLogger,
            "accesslog": None,
            "control_socket_disable": True,
            "proc_name": "b3iq-engine",
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in the worker: start loading the model, and answer 503 until it is."""
        if self._notify_socket is not None:
            os.environ["NOTIFY_SOCKET"] = self._notify_socket
        self.engine = Engine(
            self._config, self._model_dir, on_ready=self._ready, on_failure=self._failed
        )
        app = create_app(self.engine)
        self.engine.start()
        start_watchdog(self.engine)
        return app

    def _ready(self) -> None:
        systemd.notify(f"READY=1\nSTATUS=Serving {self._config.model}")

    def _failed(self, error: BaseException) -> None:
        """End the worker; a model that cannot be loaded ends the arbiter too."""
        if self.engine.loading:
            _log.critical("model_not_loaded", extra={"detail": getattr(error, "message", "")})
            os._exit(Arbiter.APP_LOAD_ERROR)
        time.sleep(_LAST_WORDS_S)
        os._exit(1)
