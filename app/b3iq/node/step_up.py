"""Step-up: what a stolen session must not do needs a proof of the last 5 minutes.

The proof rides in the same request as the change: the console asks for it on a page that
posts the change again, with the password (and code) or a passkey beside its fields. So there is one
address, one CSRF token and one policy line for both, and nowhere to be redirected to.
"""

from __future__ import annotations

from flask import Request

from b3iq.credentials.errors import CodeRefused, ProofNeeded, TooManyAttempts
from b3iq.credentials.passkey_errors import PasskeyRefused
from b3iq.credentials.sessions import Session
from b3iq.node import connection, owner, passkey_place
from b3iq.node.principal import Principal
from b3iq.node.services import Services

PASSWORD_FIELD = "proof_password"  # noqa: S105 (the name of a field)
CODE_FIELD = "proof_code"
PASSKEY_FIELD = "proof_passkey"
_Refusal = CodeRefused | PasskeyRefused | TooManyAttempts


def check(request: Request, who: Principal, node: Services) -> None:
    """Let a session pass that is proved; a proof that is shown must be right.

    Raises:
        ProofNeeded: the session is not proved, or what was shown is wrong or throttled.
        Unauthorized: the session was ended meanwhile.
    """
    session = who.session
    if session is None:
        return
    if not request.form.keys() & {PASSWORD_FIELD, PASSKEY_FIELD}:
        if not session.is_proved:
            raise _needed(request, session, node)
        return
    try:
        with owner.attempt("proof_refused"):
            _prove(request, session, node)
    except (CodeRefused, PasskeyRefused, TooManyAttempts) as refusal:
        raise _needed(request, session, node, refusal) from None
    node.throttle.clear(connection.client_of(request))


def _prove(request: Request, session: Session, node: Services) -> None:
    passkey = request.form.get(PASSKEY_FIELD)
    if passkey is not None:
        node.passkey_logins.prove(passkey, session, passkey_place.need(request))
        return
    password, code = (request.form.get(name, "") for name in (PASSWORD_FIELD, CODE_FIELD))
    node.logins.prove(session, password, code)


def _needed(
    request: Request, session: Session, node: Services, refusal: _Refusal | None = None
) -> ProofNeeded:
    return ProofNeeded(
        session.csrf_token,
        owner_name=session.owner.name,
        with_code=node.second_factor.state().is_on,
        with_passkey=node.passkeys.are_for(passkey_place.find(request)),
        refusal=refusal,
    )
