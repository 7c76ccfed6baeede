"""Refusals of the credential services. None quotes what was presented."""

from __future__ import annotations

from b3iq.errors import B3iqError


class Unauthorized(B3iqError):
    """No valid credential: the same words whatever was wrong with it."""

    code = "unauthorized"
    title = "A valid credential is required"
    status = 401

    def __init__(self, detail: str = "The credential is missing or not valid.") -> None:
        super().__init__(detail, remedy="Ask the owner of the node for a local key.")


class ForeignCredential(B3iqError):
    """A credential of another class, for another service."""

    code = "unauthorized"
    title = "This credential is for another service"
    status = 401

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"A b3iq_{kind}_ credential does not open the local API; it was not kept or logged.",
            remedy="Use a local key (b3iq_local_) made on this node.",
        )


class LoginRefused(B3iqError):
    """Wrong name or wrong password; which of the two is not said."""

    code = "unauthorized"
    title = "The name or the password is wrong"
    status = 401

    def __init__(self) -> None:
        super().__init__("The name or the password is wrong.", remedy="Check both and try again.")


class CodeRefused(B3iqError):
    """Wrong name, password or code; which of them is not said."""

    code = "unauthorized"
    title = "The name, the password or the code is wrong"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "The name, the password or the code is wrong.",
            remedy="Each code works once: wait for the next one, or start again.",
        )


class ChallengeOver(B3iqError):
    """The login took longer than its challenge lives, or its password was changed."""

    code = "unauthorized"
    title = "The login took too long"
    status = 401

    def __init__(self) -> None:
        super().__init__("This login is over.", remedy="Start again.")


class EnrolmentCodeRefused(B3iqError):
    """A code that does not fit the second factor that is being set up."""

    code = "code_refused"
    title = "The code is wrong"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "This is not the code that the app shows now.",
            remedy="Check the clock of the phone, then type the code that it shows next.",
        )


class SecondFactorConflict(B3iqError):
    """The second factor is on already, off already, or was never begun."""

    code = "second_factor_conflict"
    title = "The second factor is not in that state"
    status = 409


class ProofNeeded(B3iqError):
    """The owner must show who they are, again, before this; it carries what the page needs."""

    code = "step_up_required"
    title = "Confirm that it is you"
    status = 403

    def __init__(
        self,
        csrf_token: str,
        *,
        owner_name: str,
        with_code: bool,
        with_passkey: bool = False,
        refusal: B3iqError | None = None,
    ) -> None:
        super().__init__(
            "This needs a proof, not older than 5 minutes, that you are the owner.",
            remedy="Do it in the console, which asks for your password or a passkey.",
        )
        self.csrf_token = csrf_token
        self.owner_name = owner_name
        self.with_code = with_code
        self.with_passkey = with_passkey
        self.refusal = refusal
        if refusal is not None and refusal.retry_after_s is not None:
            self.status, self.retry_after_s = refusal.status, refusal.retry_after_s


class UnknownSession(B3iqError):
    """No open session has this id."""

    code = "session_not_found"
    title = "There is no such session"
    status = 404

    def __init__(self) -> None:
        super().__init__("No open session has this id.", remedy="See `b3iq sessions list`.")


class SetupTokenRefused(B3iqError):
    """A setup or recovery token that is wrong, used, replaced or expired; which is not said."""

    code = "unauthorized"
    title = "The link is not valid"
    status = 401

    def __init__(
        self, detail: str = "The setup link is used, expired or wrong.", *, verb: str = "setup-url"
    ) -> None:
        super().__init__(detail, remedy=f"Make a new one with `b3iq {verb}`.")


class NotClaimed(B3iqError):
    """There is no owner to recover."""

    code = "not_claimed"
    title = "The node has no owner yet"
    status = 409

    def __init__(self) -> None:
        super().__init__("This node has no owner yet.", remedy="Claim it: `b3iq setup-url`.")


class AlreadyClaimed(B3iqError):
    """The node has its owner; setup is over."""

    code = "not_found"
    title = "Setup is over"
    status = 404

    def __init__(self) -> None:
        super().__init__(
            "This node has an owner.", remedy="Log in; if that is lost, `b3iq recover-owner`."
        )


class InsufficientScope(B3iqError):
    """A valid key that was not made for this."""

    code = "insufficient_scope"
    title = "The key does not have the scope that this needs"
    status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This key does not have the scope '{scope}'.",
            remedy=f"Make a key with `b3iq keys create NAME --scope {scope}`.",
        )


class TooManyAttempts(B3iqError):
    """Too many wrong passwords from one client; `retry_after_s` seconds to wait."""

    code = "too_many_attempts"
    title = "Too many attempts"
    status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many wrong attempts.", remedy=f"Wait {retry_after_s} seconds.")
        self.retry_after_s = retry_after_s


class InvalidName(B3iqError):
    """A name that cannot be shown safely or told apart."""

    code = "invalid_name"
    title = "The name is not usable"
    status = 400


class InvalidScope(B3iqError):
    """A scope that does not exist, or none at all."""

    code = "invalid_scope"
    title = "The scope does not exist"
    status = 400


class WeakPassword(B3iqError):
    """A password that is too short or too long."""

    code = "weak_password"
    title = "The password cannot be used"
    status = 400


class UnknownKey(B3iqError):
    """No key has this id."""

    code = "key_not_found"
    title = "There is no such key"
    status = 404

    def __init__(self) -> None:
        super().__init__("No local key has this id.", remedy="See `b3iq keys list`.")


class KeyNotLive(B3iqError):
    """A change that only a key that still opens something can have."""

    code = "key_not_live"
    title = "The key is revoked or expired"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "The key is revoked or expired.", remedy="Make another with `b3iq keys create`."
        )


class CredentialFileError(B3iqError):
    """A secret file is missing, of the wrong size, or open to others."""

    code = "credential_file"
    title = "A secret file of the node is not as it must be"
