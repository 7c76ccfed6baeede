"""The page that asks the owner for a proof, and then goes on with what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, request

from b3iq.console.limit_form import FIELDS
from b3iq.console.render import page
from b3iq.credentials.errors import ProofNeeded

_LIMITS = tuple(field.name for field in FIELDS)


@dataclass(frozen=True)
class Action:
    """What a proof can be asked for.

    Attributes:
        sentence: what will be done, for the owner.
        button: the same as a command.
        carried: fields of the form that go on with the proof.
        asked: fields that are secret and so typed again, with their labels.
    """

    sentence: str
    button: str
    carried: tuple[str, ...] = ()
    asked: tuple[tuple[str, str], ...] = ()


# By route, and nothing else: no address, no field and no word on this page comes from a link.
# A contract test holds it equal to the lines of the policy that need a proof.
ACTIONS = {
    "/console/keys": Action("This makes a local key.", "Make the key", ("name", "scope", *_LIMITS)),
    "/console/keys/<key_id>/revoke": Action("This revokes a local key.", "Revoke the key"),
    "/console/keys/<key_id>/rotate": Action(
        "This gives a local key a new secret.", "Make the new secret", ("overlap_minutes",)
    ),
    "/console/keys/<key_id>/limits": Action(
        "This changes the limits of a local key.", "Change the limits", _LIMITS
    ),
    "/console/sessions/<session_id>/revoke": Action("This ends a session.", "End the session"),
    "/console/sessions/revoke-others": Action(
        "This ends every session but this one.", "End the other sessions"
    ),
    "/console/second-factor": Action("This sets up a second factor.", "Set it up"),
    "/console/second-factor/confirm": Action(
        "This turns the second factor on.", "Turn it on", ("code",)
    ),
    "/console/second-factor/codes": Action(
        "This makes new recovery codes; the old ones stop working.", "Make new codes"
    ),
    "/console/second-factor/off": Action("This turns the second factor off.", "Turn it off"),
    "/console/passkeys": Action("This adds a passkey.", "Go on", ("name",)),
    "/console/passkeys/confirm": Action(
        "This adds a passkey.", "Add the passkey", ("name", "credential")
    ),
    "/console/passkeys/<passkey_id>/remove": Action(
        "This removes a passkey and ends every other session.", "Remove the passkey"
    ),
    "/console/updates/check": Action("This looks for a newer release.", "Look for it"),
    "/console/updates/apply": Action(
        "This asks the updater to install the newer release.", "Ask for the update"
    ),
    "/console/updates/rollback": Action(
        "This asks the updater to go back to the release before.", "Ask to go back"
    ),
    "/console/name": Action(
        "This changes your name and ends every other session.",
        "Change the name",
        ("owner_name",),
    ),
    "/console/password": Action(
        "This changes your password and ends every other session.",
        "Change the password",
        asked=(
            ("new_password", "New password"),
            ("new_password_again", "New password again"),
        ),
    ),
}


def ask(needed: ProofNeeded) -> Response:
    """The page; its form posts the same change to the same address, with the proof beside it."""
    rule = request.url_rule.rule if request.url_rule else ""
    action = ACTIONS[rule]
    return page(
        "step_up.html",
        needed.status,
        action=action,
        address=request.path,
        fields=[(name, v) for name in action.carried for v in request.form.getlist(name)],
        csrf_token=needed.csrf_token,
        owner_name=needed.owner_name,
        with_code=needed.with_code,
        with_passkey=needed.with_passkey,
        refusal=needed.refusal,
    )
