"""Every route by every method by every credential class, asked of a real node process.

What must come back is worked out from the policy table alone. `sweep` asks it all and
counts; the tests assert that nothing differed, `make soak` prints the counts.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from b3iq.credentials import tokens
from b3iq.node.policy import ADMIN, LOCAL_KEY, OWNER, POLICY, PUBLIC, SETUP_TOKEN, Rule, find
from tests.integration.node_process import NodeProcess

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PATHS = sorted({rule.path for rule in POLICY})
# Whoever shows one of these has shown nothing that this node made.
STRANGERS = (
    "nobody",
    "revoked key",
    "expired key",
    "forged key",
    "another secret",
    "support grant",
    "gateway key",
    "router headers",
    "customer headers",
    "admin header",
    "ended session",
)
# The views' own refusals, past the gate.
_OWN = {
    "/login": {401},
    "/login/code": {401},
    "/login/passkey": {401},
    "/recover/": {404},
    "/setup/": {404},
}


def concrete(path: str) -> str:
    """A route's path as somebody would ask for it."""
    return re.sub(r"<[^>]*>", "base.css" if path.startswith("/static/") else "0" * 12, path)


@dataclass
class Tally:
    """What was asked, by credential class and by what came of it."""

    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, holder: str, verdict: str) -> None:
        self.cases[holder, verdict] += 1

    @property
    def total(self) -> int:
        return self.cases.total()

    def opened(self, holder: str) -> int:
        return self.cases[holder, "opened"]


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """One kept-alive connection that sends what it is told, the Host header too.

    Attributes:
        alone: to be held by whoever shares the connection with other threads.
    """

    def __init__(self, node: NodeProcess) -> None:
        self.alone = threading.Lock()
        self._connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        self._connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self._connection.putheader(name, value)
        self._connection.endheaders(body)
        with self._connection.getresponse() as response:
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())


class Holders:
    """A credential of every class, made on one node."""

    def __init__(self, node: NodeProcess, *, claimed: bool) -> None:
        self.node = node
        self.claimed = claimed
        self.secrets = {
            "inference key": node.new_key("inference")[1],
            "metrics key": node.new_key("metrics")[1],
            "revoked key": self._revoked(),
            "expired key": self._expired(),
            "forged key": tokens.mint("local").text,
            "support grant": tokens.mint("support").text,
            "gateway key": tokens.mint("gateway").text,
            "setup token": tokens.mint("setup").text if claimed else node.setup_token(),
        }
        self.secrets["another secret"] = self._another_secret()
        self.cookies = {"ended session": "0" * 43}
        if claimed:
            self.cookies["owner"] = self._session()
            self.cookies["ended session"] = self._ended()

    @property
    def names(self) -> list[str]:
        return sorted({"nobody", *STRANGERS, *self.secrets, *self.cookies})

    def headers(self, holder: str) -> dict[str, str]:
        """What a request of this class carries."""
        if holder in self.secrets:
            return {"Authorization": f"Bearer {self.secrets[holder]}"}
        if holder in self.cookies:
            return {"Cookie": f"b3iq_session={self.cookies[holder]}"}
        return {
            "nobody": {},
            "router headers": {"X-B3IQ-Router-Signature": "ab" * 32, "X-B3IQ-Router-Nonce": "1"},
            "customer headers": {"X-B3IQ-Customer-ID": "c", "X-B3IQ-Customer-Token": "ab" * 16},
            "admin header": {"X-B3IQ-Admin-Token": "ab" * 16},
        }[holder]

    def _revoked(self) -> str:
        key_id, secret = self.node.new_key("inference", "metrics")
        self.node.admin.post(f"/admin/keys/{key_id}/revoke")
        return secret

    def _expired(self) -> str:
        end = datetime.now(UTC) + timedelta(seconds=0.5)
        body = {"name": "brief", "scopes": ["inference", "metrics"], "expires_at": end.isoformat()}
        secret = self.node.admin.post("/admin/keys", body)["secret"]
        while datetime.now(UTC) <= end:
            time.sleep(0.05)
        return str(secret)

    def _another_secret(self) -> str:
        """A live key's id before a secret that is not its own, with the right checksum."""
        live, other = self.secrets["inference key"], tokens.mint("local").text
        body = f"{live[:24]}{other[24:-6]}"
        return body + tokens._checksum(body)

    def _session(self) -> str:
        with self.node.client() as client:
            response = self.node.log_in(client)
            assert response.status_code == 303, response.status_code
            return str(client.cookies["b3iq_session"])

    def _ended(self) -> str:
        with self.node.client() as client:
            self.node.log_in(client)
            cookie = str(client.cookies["b3iq_session"])
            token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/console/").text)
            assert token
            form, origin = {"csrf_token": token[1]}, {"Origin": self.node.base_url}
            assert client.post("/logout", data=form, headers=origin).status_code == 303
        return cookie


def sweep(holders: Holders, paths: Sequence[str] = PATHS) -> Tally:
    """Ask for everything as everybody; the login, which counts its guesses, comes last."""
    tally, caller = Tally(), Caller(holders.node)
    for path in sorted(paths, key=lambda path: (path == "/login", path)):
        for method in METHODS:
            for holder in holders.names:
                answer = caller.ask(
                    method, concrete(path), *_request(path, method, holders, holder)
                )
                verdict = expected(path, method, holder, claimed=holders.claimed)
                tally.add(holder, verdict)
                case = f"{method} {path} as {holder}: {answer.status}, expected {verdict}"
                if not fits(answer.status, verdict, path):
                    tally.wrong.append(case)
                tally.wrong += [f"{case}: {fault}" for fault in faults(holders, method, answer)]
    return tally


def _request(path: str, method: str, holders: Holders, holder: str) -> tuple[dict[str, str], bytes]:
    rule = find(path, method)
    page = rule is not None and rule.form == "page"
    headers = {"Host": f"localhost:{holders.node.port}", **holders.headers(holder)}
    if method in {"GET", "HEAD"}:
        return headers, b""
    if page:
        headers["Origin"] = holders.node.base_url
        return headers | {"Content-Type": "application/x-www-form-urlencoded"}, b""
    return headers | {"Content-Type": "application/json"}, b"{}"


def expected(path: str, method: str, holder: str, *, claimed: bool) -> str:
    """`opened`, or the status of the refusal, by the policy table."""
    lines = [rule for rule in POLICY if rule.path == path]
    if any(ADMIN in rule.classes for rule in lines):
        return "404"
    rule = find(path, method)
    if rule is None:
        return "405"
    if PUBLIC in rule.classes or rule.token_in_body:
        return "opened"
    return _with_credential(rule, holder, claimed=claimed)


def _with_credential(rule: Rule, holder: str, *, claimed: bool) -> str:
    if holder in STRANGERS:
        return "401"
    if holder == "setup token":
        if claimed:
            return "401"
        return "opened" if SETUP_TOKEN in rule.classes else "403"
    if holder == "owner":
        if OWNER not in rule.classes:
            return "401"
        # It carries no CSRF token, as a request that another site had sent would not.
        return "403" if rule.csrf else "opened"
    fits_scope = rule.scope is not None and holder.startswith(rule.scope)
    return "opened" if LOCAL_KEY in rule.classes and fits_scope else "403"


def fits(status: int, verdict: str, path: str) -> bool:
    """Whether a status is what was expected; behind the gate anything that is no refusal is."""
    if verdict != "opened":
        return str(status) == verdict
    own = _OWN.get(path, set()) | (
        {404} if "<" in path and not path.startswith("/static") else set()
    )
    return status not in {401, 403, 404, 405, 421} - own


def faults(holders: Holders, method: str, answer: Answer) -> list[str]:
    """What no answer may have, whatever was asked."""
    text = answer.body.decode("utf-8", errors="replace") + str(answer.headers)
    known = [*holders.secrets.values(), *holders.cookies.values(), "ab" * 16]
    wrong = {
        "a credential came back": any(secret in text for secret in known),
        "a stack trace": "Traceback" in text or 'File "' in text,
        "no request id": not answer.headers.get("x-request-id"),
        "a body after HEAD": method == "HEAD" and bool(answer.body),
        "another origin is let in": any("access-control" in name for name in answer.headers),
        # Without an engine, these two say so.
        "a fault of the node": answer.status >= 500 and answer.status != 503,
    }
    return [fault for fault, found in wrong.items() if found]
