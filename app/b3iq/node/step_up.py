"""Step-up: what a stolen session must not do needs a proof of the last 5 minutes.

The proof rides in the same request as the change: the console asks for it on a page that
posts the change again, with the password (and code) beside its fields. So there is one
address, one CSRF token and one policy line for both, and nowhere to be redirected to.
"""

from __future__ import annotations

from flask import Request

from b3iq.credentials.errors import CodeRefused, ProofNeeded, TooManyAttempts
from b3iq.credentials.sessions import Session
from b3iq.node import connection, owner
from b3iq.node.principal import Principal
from b3iq.node.services import Services

PASSWORD_FIELD = "proof_password"  # noqa: S105 (the name of a field)
CODE_FIELD = "proof_code"


def check(request: Request, who: Principal, node: Services) -> None:
    """Let a session pass that is proved; a proof that is shown must be right.

    Raises:
        ProofNeeded: the session is not proved, or what was shown is wrong or throttled.
        Unauthorized: the session was ended meanwhile.
    """
    session = who.session
    if session is None:
        return
    password = request.form.get(PASSWORD_FIELD)
    if password is None:
        if not session.is_proved:
            raise _needed(session, node)
        return
    try:
        with owner.attempt("proof_refused"):
            node.logins.prove(session, password, request.form.get(CODE_FIELD, ""))
    except (CodeRefused, TooManyAttempts) as refusal:
        raise _needed(session, node, refusal) from None
    node.throttle.clear(connection.client_of(request))


def _needed(
    session: Session, node: Services, refusal: CodeRefused | TooManyAttempts | None = None
) -> ProofNeeded:
    return ProofNeeded(
        session.csrf_token,
        owner_name=session.owner.name,
        with_code=node.second_factor.state().is_on,
        refusal=refusal,
    )
