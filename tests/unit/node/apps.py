"""The real application on a directory of its own, and clients of every credential class."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from b3iq.config import NodeConfig
from b3iq.credentials import secret_files
from b3iq.credentials.passwords import Passwords
from b3iq.node.factory import create_app
from b3iq.node.services import Services
from b3iq.paths import Paths
from b3iq.store.clock import utc_now
from b3iq.store.tables import second_factor, session

ORIGIN = "http://localhost:8831"
HOST = {"Host": "localhost:8831"}
PASSWORD = "correct horse battery"
OWNER = "Ada"


@dataclass
class Node:
    """One node without an engine: what needs the engine answers 503, past every gate."""

    app: Flask
    paths: Paths
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def services(self) -> Services:
        return self.app.extensions["b3iq"]

    def browser(self) -> Browser:
        return Browser(self.app.test_client())

    def mint(self) -> str:
        return self.services.setup.mint()[0]

    def claim(self) -> None:
        self.services.setup.claim(self.mint(), OWNER, PASSWORD)

    def key(self, *scopes: str) -> str:
        return self.services.keys.create("test key", scopes or ("inference",))[1]

    def admin_socket(self) -> socket.socket:
        """The node's end of a Unix connection whose peer is this process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        self.sockets += [ours, theirs]
        return ours

    def admin(self, path: str, method: str = "GET", **what: Any) -> TestResponse:
        over = {"gunicorn.socket": self.admin_socket()}
        return self.app.test_client().open(path, method=method, environ_overrides=over, **what)

    def let_time_pass(self) -> None:
        """Six minutes later, as far as proofs and used codes are concerned."""
        earlier = utc_now() - timedelta(minutes=6)
        with self.services.database.write() as connection:
            connection.execute(update(session).values(proved_at=earlier))
            used = second_factor.c.last_step
            connection.execute(update(second_factor).values(last_step=used - 12))

    def enrol(self) -> tuple[str, list[str]]:
        """Turn the second factor on; its secret and recovery codes."""
        secret = self.services.second_factor.begin()
        codes = self.services.second_factor.confirm(pyotp.TOTP(secret).now(), keep=self._newest())
        self.let_time_pass()
        return secret, codes

    def _newest(self) -> str:
        return next((s.session_id for s in self.services.sessions.list()), "")

    def close(self) -> None:
        self.services.database.close()
        for end in self.sockets:
            end.close()


class Browser:
    """A client that sends what a browser sends: cookies, Origin, Sec-Fetch-Site."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers={**HOST, "Accept": "text/html", **headers})

    def post(self, path: str, form: dict[str, str] | None = None, **changes: str | None) -> Any:
        """Post a form; `changes` replace headers, None drops one."""
        headers: dict[str, str | None] = {
            **HOST,
            "Accept": "text/html",
            "Origin": ORIGIN,
            "Sec-Fetch-Site": "same-origin",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        kept = {name: value for name, value in headers.items() if value is not None}
        return self.client.post(path, data=form or {}, headers=kept)

    def log_in(self, password: str = PASSWORD) -> TestResponse:
        return self.post("/login", {"owner_name": OWNER, "password": password})

    def log_in_with_code(self, code: str, password: str = PASSWORD) -> TestResponse:
        """Both steps of a login with a second factor; the answer to the second."""
        asked = self.log_in(password)
        found = re.search(r'name="challenge" value="([^"]+)"', asked.text)
        assert found
        return self.post("/login/code", {"challenge": found[1], "code": code})

    def change(self, path: str, **form: str) -> TestResponse:
        """Post a form of the console, with its token."""
        return self.post(path, {"csrf_token": self.csrf_token(), **form})

    def csrf_token(self) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/console/").text)
        assert found
        return found[1]

    @property
    def cookie(self) -> str:
        cookie = self.client.get_cookie("b3iq_session")
        assert cookie
        return cookie.value


def make(directory: Path, **config: Any) -> Node:
    """A fresh, unclaimed node; hundreds of them keep no disk space back."""
    paths = Paths.under(directory)
    secret_files.create_missing(paths.credentials)
    node = Node(create_app(NodeConfig(**{"disk_reserve_bytes": 0} | config), paths), paths)
    # The cheapest argon2: its real cost is tested where passwords are.
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    node.services.owners.passwords = Passwords(cheap)
    return node


def bearer(text: str) -> dict[str, str]:
    return {**HOST, "Authorization": f"Bearer {text}"}
