"""A real node, a real browser, and a watch on everything the browser does.

Without variables, a development node is started by `b3iq serve`, with the
embedded model or, where that was not made, with a tiny random one. To look at an installed
host instead, set both:

    B3IQ_TEST_BASE_URL            its address as this machine reaches it
    B3IQ_TEST_SETUP_URL_COMMAND   a command that prints a fresh setup link

The host must not have an owner yet: the first test makes one.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright
from sqlalchemy import Executable, delete, update

from b3iq.paths import Paths
from b3iq.store.clock import utc_now
from b3iq.store.database import Database
from b3iq.store.tables import second_factor, session
from tests.integration.openai.served import serving
from tests.unit.engine.tiny_model import build

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "build" / "models" / "b3iq-smoke"
REBOUND_NAME = "rebound.test"
# Debian's Chromium, kept from talking to anybody on its own account.
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name of somebody else's that leads to this machine, as DNS rebinding makes one.
    f"--host-resolver-rules=MAP {REBOUND_NAME} 127.0.0.1",
]


@dataclass(frozen=True)
class Node:
    """A running node and the way to get a setup link for it."""

    base_url: str
    setup_url_command: str
    # Of a development node alone.
    state: Path | None = None

    def setup_url(self) -> str:
        """A fresh setup link, at the address by which this machine reaches the node."""
        return self._link(self.setup_url_command, "setup")

    def recovery_url(self) -> str:
        """A fresh recovery link, likewise."""
        return self._link(self.setup_url_command.replace("setup-url", "recover-owner"), "recover")

    def _link(self, command: str, page: str) -> str:
        done = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True)
        link = re.search(rf"https?://\S+?/{page}/#token=[\w.~-]+", done.stdout)
        assert link, "the command printed no link"
        return f"{self.base_url}/{page}/#{urlsplit(link.group()).fragment}"

    def let_time_pass(self) -> None:
        """Six minutes later, as far as proofs and used codes are concerned."""
        earlier = utc_now() - timedelta(minutes=6)
        used = second_factor.c.last_step
        self._write(
            update(session).values(proved_at=earlier),
            update(second_factor).values(last_step=used - 12),
        )

    def forget_second_factor(self) -> None:
        """Whatever became of a test, the next ones log in with a password."""
        self._write(delete(second_factor))

    def _write(self, *statements: Executable) -> None:
        if self.state is None:
            pytest.skip("only the database of a development node can be changed from outside")
        database = Database(Paths.under(self.state).database)
        with database.write() as connection:
            for statement in statements:
                connection.execute(statement)
        database.close()


@dataclass
class Watch:
    """What the browser did and complained about, in every page of the session."""

    base_url: str
    secrets: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected_statuses: set[int] = field(default_factory=set)

    def attach(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self.requests.append(request))
        context.on("console", lambda message: self._hear(message.type, message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _hear(self, kind: str, text: str) -> None:
        refused = re.search(r"Failed to load resource.*status of (\d+)", text)
        if refused and int(refused.group(1)) in self.expected_statuses:
            return
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    def check(self) -> None:
        """Nothing left the node's origin, nothing secret was in an address, no complaint."""
        elsewhere = [r.url for r in self.requests if not r.url.startswith(self.base_url + "/")]
        assert elsewhere == []
        for request in self.requests:
            assert not [s for s in self.secrets if s in request.url], "a secret in an address"
            assert "referer" not in request.headers or "token" not in request.headers["referer"]
        assert self.complaints == []


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The node under test; see the module's docstring."""
    base_url = os.environ.get("B3IQ_TEST_BASE_URL")
    if base_url:
        yield Node(base_url.rstrip("/"), os.environ["B3IQ_TEST_SETUP_URL_COMMAND"])
        return
    # A Unix socket's path has 108 bytes at most; pytest's own directories are too deep.
    with tempfile.TemporaryDirectory(prefix="b3iq-") as directory:
        model = SMOKE if (SMOKE / "manifest.json").is_file() else build(Path(directory) / "tiny")
        with serving(Path(directory) / "state", model, with_key=False) as served:
            b3iq = Path(sys.executable).with_name("b3iq")
            command = f"{b3iq} --state {served.state} setup-url"
            yield Node(f"http://localhost:{served.port}", command, served.state)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def watch(node: Node) -> Iterator[Watch]:
    """Attach it to a context; what it saw is judged when the test is over."""
    watch = Watch(node.base_url)
    yield watch
    watch.check()


@pytest.fixture
def page(browser: Browser, node: Node, watch: Watch) -> Iterator[Page]:
    """A page of a visitor that the node has not seen before."""
    context = browser.new_context(base_url=node.base_url)
    watch.attach(context)
    page = context.new_page()
    page.set_default_timeout(10_000)
    yield page
    context.close()


@dataclass(frozen=True)
class Owner:
    """The owner that the first test made, and the setup link that it used up."""

    name: str
    password: str
    setup_url: str


@pytest.fixture(scope="session")
def owner(browser: Browser, node: Node) -> Owner:
    """Claim the node through the wizard, as a person would."""
    owner = Owner("ada", "correct horse battery staple", node.setup_url())
    watch = Watch(node.base_url, secrets=[urlsplit(owner.setup_url).fragment.split("=", 1)[1]])
    context = browser.new_context(base_url=node.base_url)
    watch.attach(context)
    page = context.new_page()
    page.goto(owner.setup_url)
    assert page.url == f"{node.base_url}/setup/", "the token stays in the address bar"
    page.get_by_label("Your name").fill(owner.name)
    page.get_by_label("Password", exact=True).fill(owner.password)
    page.get_by_label("Password again").fill(owner.password)
    page.get_by_role("button", name="Claim the node").click()
    page.wait_for_url("**/console/")
    context.close()
    watch.check()
    return owner


def log_in(page: Page, owner: Owner) -> None:
    """Log in as a person would; the page ends up in the console."""
    page.goto("/login")
    page.get_by_label("Your name").fill(owner.name)
    page.get_by_label("Password").fill(owner.password)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/console/")


@pytest.fixture(scope="session")
def session_cookies(browser: Browser, node: Node, owner: Owner) -> list[dict[str, object]]:
    """The cookies of one login, for the tests that are about something else."""
    context = browser.new_context(base_url=node.base_url)
    log_in(context.new_page(), owner)
    cookies = context.cookies()
    context.close()
    return cookies


@pytest.fixture
def console(page: Page, session_cookies: list[dict[str, object]]) -> Page:
    """The console, logged in."""
    page.context.add_cookies(session_cookies)
    page.goto("/console/")
    return page


@pytest.fixture
def fresh_console(page: Page, owner: Owner) -> Page:
    """The console with a session of its own, which the test may end."""
    log_in(page, owner)
    return page
