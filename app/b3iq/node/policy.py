"""The one table of who may ask what. What is not in it is refused.

A contract test holds this table equal to the routes of the application, and `b3iq.node.gate`
refuses at run time a route that is missing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal


class Access(Enum):
    """Credential classes of the local API."""

    PUBLIC = "public"
    LOCAL_KEY = "local_key"
    OWNER = "owner"
    SETUP_TOKEN = "setup_token"  # noqa: S105 (the name of a class, not a token)
    ADMIN = "admin"


PUBLIC = Access.PUBLIC
LOCAL_KEY = Access.LOCAL_KEY
OWNER = Access.OWNER
SETUP_TOKEN = Access.SETUP_TOKEN
ADMIN = Access.ADMIN

Form = Literal["native", "openai", "page"]


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Attributes:
        path: the route as Flask prints it.
        methods: what is answered; HEAD comes with GET.
        classes: credentials of any of these classes open it.
        scope: what a local key must have been made for.
        csrf: a session's unsafe request must carry the session's CSRF token.
        step_up: a session must have been proved in the last 5 minutes (`b3iq.node.step_up`).
        token_in_body: the credential is in the request body and the view checks it.
        form: `openai` answers errors in OpenAI's form, `native` in the native one; `page` is
            for browsers, and looks who is logged in even where nobody has to be.
        metered: the rates of a local key hold here.
        purpose: one sentence for the API description.
    """

    path: str
    methods: frozenset[str]
    classes: frozenset[Access]
    purpose: str
    scope: str | None = None
    csrf: bool = False
    token_in_body: bool = False
    form: Form = "native"
    metered: bool = False
    step_up: bool = False


def _rule(
    method: str,
    path: str,
    classes: set[Access],
    purpose: str,
    *,
    scope: str | None = None,
    csrf: bool = False,
    token_in_body: bool = False,
    form: Form = "native",
    metered: bool = False,
) -> Rule:
    return Rule(
        path,
        frozenset({method}),
        frozenset(classes),
        purpose,
        scope,
        csrf,
        token_in_body,
        form,
        metered,
    )


def _change(path: str, purpose: str) -> Rule:
    """Something that the owner's pages change, and that a stolen session must not."""
    return Rule(
        path,
        frozenset({"POST"}),
        frozenset({OWNER}),
        purpose,
        csrf=True,
        form="page",
        step_up=True,
    )


POLICY: tuple[Rule, ...] = (
    # The local API.
    _rule("GET", "/health", {PUBLIC}, "Liveness."),
    _rule("GET", "/metrics", {LOCAL_KEY, OWNER}, "Prometheus metrics.", scope="metrics"),
    _rule("GET", "/openapi.json", {OWNER}, "This description."),
    _rule(
        "GET",
        "/v1/models",
        {LOCAL_KEY, SETUP_TOKEN, OWNER},
        "Installed models.",
        scope="inference",
        form="openai",
    ),
    _rule(
        "POST",
        "/v1/chat/completions",
        {LOCAL_KEY},
        "Chat completion, streamed or whole.",
        scope="inference",
        form="openai",
        metered=True,
    ),
    _rule("GET", "/v1/model-profiles", {SETUP_TOKEN, OWNER}, "Readiness of each model."),
    _rule("GET", "/v1/receipts", {SETUP_TOKEN, OWNER}, "Recent signed receipts."),
    # Setup and login.
    _rule("GET", "/", {PUBLIC}, "Leads to setup, login or console.", form="page"),
    _rule("GET", "/setup/", {PUBLIC}, "The setup page; 404 once claimed.", form="page"),
    _rule("POST", "/setup/claim", {SETUP_TOKEN}, "Makes the owner.", token_in_body=True),
    _rule("GET", "/login", {PUBLIC}, "The login page.", form="page"),
    _rule("POST", "/login", {PUBLIC}, "Opens a session.", form="page"),
    _rule("POST", "/login/code", {PUBLIC}, "Goes on with the code.", form="page"),
    _rule("POST", "/login/passkey/challenge", {PUBLIC}, "What a passkey signs.", form="page"),
    _rule("POST", "/login/passkey", {PUBLIC}, "Opens a session by a passkey.", form="page"),
    _rule("GET", "/recover/", {PUBLIC}, "The page of a recovery link.", form="page"),
    _rule("POST", "/recover/owner", {SETUP_TOKEN}, "Recovers the owner.", token_in_body=True),
    _rule("POST", "/logout", {OWNER}, "Ends the session.", csrf=True, form="page"),
    # The console.
    _rule("GET", "/console/", {OWNER}, "Keys, models, receipts, activity.", form="page"),
    _change("/console/keys", "Makes a local key."),
    _rule("GET", "/console/keys/<key_id>", {OWNER}, "One local key.", form="page"),
    _change("/console/keys/<key_id>/revoke", "Ends a local key."),
    _change("/console/keys/<key_id>/rotate", "Gives a local key a new secret."),
    _change("/console/keys/<key_id>/limits", "Changes the limits of a local key."),
    # The owner's security page.
    _rule("GET", "/console/security", {OWNER}, "Sessions, second factor, account.", form="page"),
    _change("/console/sessions/<session_id>/revoke", "Ends a session."),
    _change("/console/sessions/revoke-others", "Ends all sessions but this one."),
    _change("/console/second-factor", "Begins the second factor: shows its secret."),
    _change("/console/second-factor/confirm", "Turns the second factor on."),
    _change("/console/second-factor/codes", "Makes new recovery codes."),
    _change("/console/second-factor/off", "Turns the second factor off."),
    _rule(
        "POST",
        "/console/passkeys/challenge",
        {OWNER},
        "What a passkey signs as a proof.",
        csrf=True,
        form="page",
    ),
    _change("/console/passkeys", "Begins a passkey: shows the page that makes it."),
    _change("/console/passkeys/confirm", "Adds the passkey."),
    _change("/console/passkeys/<passkey_id>/remove", "Removes a passkey."),
    _change("/console/name", "Changes the owner's name."),
    _change("/console/password", "Changes the owner's password."),
    _rule("GET", "/console/updates", {OWNER}, "Updates: state, gates, chain.", form="page"),
    _change("/console/updates/check", "Asks the updater to look for a release."),
    _change("/console/updates/apply", "Asks the updater to install the release."),
    _change("/console/updates/rollback", "Asks the updater for the release before."),
    _rule("GET", "/static/<path:filename>", {PUBLIC}, "Files of the pages."),
    # The administrator's socket; these do not exist on TCP.
    _rule("POST", "/admin/setup-token", {ADMIN}, "Mints the setup token."),
    _rule("POST", "/admin/recovery-token", {ADMIN}, "Mints the recovery token."),
    _rule("GET", "/admin/sessions", {ADMIN}, "Lists the owner's sessions."),
    _rule("POST", "/admin/sessions/<session_id>/revoke", {ADMIN}, "Ends a session."),
    _rule("POST", "/admin/sessions/revoke-all", {ADMIN}, "Ends every session."),
    _rule("GET", "/admin/keys", {ADMIN}, "Lists local keys."),
    _rule("POST", "/admin/keys", {ADMIN}, "Makes a local key."),
    _rule("POST", "/admin/keys/<key_id>/revoke", {ADMIN}, "Ends a local key."),
    _rule("POST", "/admin/keys/<key_id>/rotate", {ADMIN}, "Gives a local key a new secret."),
    _rule("POST", "/admin/keys/<key_id>/limits", {ADMIN}, "Changes the limits of a local key."),
    _rule("GET", "/admin/receipts", {ADMIN}, "Recent signed receipts."),
    _rule("GET", "/admin/audit", {ADMIN}, "Audit events and their checkpoint."),
    _rule("POST", "/admin/audit/accept", {ADMIN}, "Goes on from a broken audit log."),
    _rule("GET", "/admin/status", {ADMIN}, "What the node is doing."),
)

_TABLE = {(rule.path, method): rule for rule in POLICY for method in rule.methods}


def find(path: str, method: str) -> Rule | None:
    """The rule of a route and method; None is a refusal."""
    return _TABLE.get((path, "GET" if method == "HEAD" else method))
