"""Refusals around passkeys. None tells what was wrong with one that was shown."""

from __future__ import annotations

from b3iq.errors import B3iqError


class PasskeyRefused(B3iqError):
    """A passkey did not prove the owner: unknown, of another name, used, or not verified."""

    code = "unauthorized"
    title = "The passkey was not accepted"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "The passkey was not accepted.", remedy="Try again, or use the password instead."
        )


class PasskeyNotAdded(B3iqError):
    """What the browser sent is not a new passkey that was asked for here."""

    code = "passkey_not_added"
    title = "The passkey was not added"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "The node did not accept this passkey, or it took longer than 5 minutes.",
            remedy="Begin again.",
        )


class PasskeyConflict(B3iqError):
    """It is there already, or there are too many."""

    code = "passkey_conflict"
    title = "The passkey cannot be added"
    status = 409


class UnknownPasskey(B3iqError):
    """No passkey has this id."""

    code = "passkey_not_found"
    title = "There is no such passkey"
    status = 404

    def __init__(self) -> None:
        super().__init__("No passkey has this id.", remedy="See the security page.")


class NoPasskeysHere(B3iqError):
    """The page was opened in a way in which no browser uses a passkey."""

    code = "passkey_needs_a_name"
    title = "There are no passkeys under this address"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "A passkey belongs to a host name, and a browser uses it over TLS or on localhost.",
            remedy="Open the console as localhost, or by the node's name over https.",
        )
