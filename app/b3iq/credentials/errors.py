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


class SetupTokenRefused(B3iqError):
    """A setup token that is wrong, used, replaced or expired; which is not said."""

    code = "unauthorized"
    title = "The setup link is not valid"
    status = 401

    def __init__(self, detail: str = "The setup link is used, expired or wrong.") -> None:
        super().__init__(detail, remedy="Make a new one with `b3iq setup-url`.")


class AlreadyClaimed(B3iqError):
    """The node has its owner; setup is over."""

    code = "not_found"
    title = "Setup is over"
    status = 404

    def __init__(self) -> None:
        super().__init__("This node has an owner.", remedy="Log in.")


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
