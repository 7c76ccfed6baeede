"""Local keys over the admin socket; what ends a secret also ends its running streams."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

from flask import Flask, Response, request
from pydantic import AwareDatetime, Field

from b3iq.credentials.keys import LocalKey
from b3iq.credentials.limits import NO_LIMITS, KeyLimits
from b3iq.node.bodies import Body, read_json
from b3iq.node.services import services

OVERLAP_MINUTES = 7 * 24 * 60

_log = logging.getLogger(__name__)


class NewKey(Body):
    """Body of POST /admin/keys."""

    name: Annotated[str, Field(max_length=256)]
    scopes: tuple[str, ...] = ("inference",)
    expires_at: AwareDatetime | None = None
    limits: KeyLimits = NO_LIMITS


class KeyChange(Body):
    """Body of POST /admin/keys/<key_id>/limits: what is stated changes, null lifts a limit."""

    limits: KeyLimits = NO_LIMITS
    expires_at: AwareDatetime | None = None


class Rotation(Body):
    """Body of POST /admin/keys/<key_id>/rotate."""

    overlap_minutes: Annotated[int, Field(ge=0, le=OVERLAP_MINUTES)] = 0


class KeyView(Body):
    """What is shown of a key."""

    key_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    limits: KeyLimits
    # How often it was rotated, and until when the secret before is good too.
    generation: int
    previous_until: datetime | None

    @classmethod
    def of(cls, key: LocalKey) -> KeyView:
        """The view of one key."""
        return cls(
            key_id=key.key_id,
            name=key.name,
            scopes=list(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            limits=key.limits,
            generation=key.generation,
            previous_until=key.previous_until,
        )


class CreatedKey(Body):
    """The one answer that carries the secret."""

    key: KeyView
    secret: str = Field(repr=False)


class KeyList(Body):
    """Every key, newest first."""

    data: list[KeyView]


def create(
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    limits: KeyLimits = NO_LIMITS,
) -> tuple[LocalKey, str]:
    """Make a key and note that it was made; the console calls this too."""
    key, secret = services().keys.create(name, scopes, expires_at, limits)
    _log.info("local_key_created", extra={"key_id": key.key_id, "scopes": " ".join(key.scopes)})
    return key, secret


def revoke(key_id: str) -> LocalKey:
    """End a key and its running streams; the console calls this too.

    Raises:
        UnknownKey: no key has this id.
    """
    node = services()
    key = node.keys.revoke(key_id)
    cut = node.streams.cut(key_id)
    _log.info("local_key_revoked", extra={"key_id": key_id, "streams_ended": cut})
    return key


def rotate(key_id: str, overlap_minutes: int) -> tuple[LocalKey, str]:
    """Give a key a new secret; the one before ends now or in so many minutes.

    Streams of a secret that ends now are ended with it. The console calls this too.

    Raises:
        UnknownKey, KeyNotLive: there is no such key, or it opens nothing.
    """
    node = services()
    key, secret = node.keys.rotate(key_id, timedelta(minutes=overlap_minutes))
    # With an overlap the secret before is still good; those before it are not.
    cut = node.streams.cut(key_id, key.generation - (1 if overlap_minutes else 0))
    _log.info(
        "local_key_rotated",
        extra={"key_id": key_id, "overlap_minutes": overlap_minutes, "streams_ended": cut},
    )
    return key, secret


def change(
    key_id: str,
    limits: KeyLimits,
    *,
    expires_at: datetime | None = None,
    keep_expiry: bool = True,
) -> LocalKey:
    """Change the limits that are stated, from the next request on; the console calls this too.

    Raises:
        UnknownKey, KeyNotLive: there is no such key, or it opens nothing.
    """
    key = services().keys.change(key_id, limits, expires_at=expires_at, keep_expiry=keep_expiry)
    changed = sorted(limits.model_fields_set) + ([] if keep_expiry else ["expires_at"])
    _log.info("local_key_limited", extra={"key_id": key_id, "changed": " ".join(changed)})
    return key


def post_key() -> Response:
    """POST /admin/keys: 201 with the secret, shown this once."""
    body = read_json(NewKey, request)
    key, secret = create(body.name, body.scopes, body.expires_at, body.limits)
    created = CreatedKey(key=KeyView.of(key), secret=secret)
    return Response(created.model_dump_json(), status=201, mimetype="application/json")


def post_rotate(key_id: str) -> Response:
    """POST /admin/keys/<key_id>/rotate: the new secret, shown this once."""
    body = read_json(Rotation, request)
    key, secret = rotate(key_id, body.overlap_minutes)
    created = CreatedKey(key=KeyView.of(key), secret=secret)
    return Response(created.model_dump_json(), mimetype="application/json")


def post_limits(key_id: str) -> Response:
    """POST /admin/keys/<key_id>/limits."""
    body = read_json(KeyChange, request)
    keep = "expires_at" not in body.model_fields_set
    key = change(key_id, body.limits, expires_at=body.expires_at, keep_expiry=keep)
    return Response(KeyView.of(key).model_dump_json(), mimetype="application/json")


def get_keys() -> Response:
    """GET /admin/keys."""
    listing = KeyList(data=[KeyView.of(key) for key in services().keys.list()])
    return Response(listing.model_dump_json(), mimetype="application/json")


def post_revoke(key_id: str) -> Response:
    """POST /admin/keys/<key_id>/revoke; again changes nothing."""
    return Response(KeyView.of(revoke(key_id)).model_dump_json(), mimetype="application/json")


def register(app: Flask) -> None:
    """Add the routes."""
    app.add_url_rule("/admin/keys", methods=["GET"], view_func=get_keys)
    app.add_url_rule("/admin/keys", methods=["POST"], view_func=post_key)
    app.add_url_rule("/admin/keys/<key_id>/revoke", methods=["POST"], view_func=post_revoke)
    app.add_url_rule("/admin/keys/<key_id>/rotate", methods=["POST"], view_func=post_rotate)
    app.add_url_rule("/admin/keys/<key_id>/limits", methods=["POST"], view_func=post_limits)
