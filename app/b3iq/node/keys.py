"""Local keys over the admin socket; revoking one also ends its running streams."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from flask import Flask, Response, request
from pydantic import AwareDatetime, Field

from b3iq.credentials.keys import LocalKey
from b3iq.node.bodies import Body, read_json
from b3iq.node.services import services

_log = logging.getLogger(__name__)


class NewKey(Body):
    """Body of POST /admin/keys."""

    name: Annotated[str, Field(max_length=256)]
    scopes: tuple[str, ...] = ("inference",)
    expires_at: AwareDatetime | None = None


class KeyView(Body):
    """What is shown of a key."""

    key_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

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
        )


class CreatedKey(Body):
    """The one answer that carries the secret."""

    key: KeyView
    secret: str = Field(repr=False)


class KeyList(Body):
    """Every key, newest first."""

    data: list[KeyView]


def create(
    name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> tuple[LocalKey, str]:
    """Make a key and note that it was made; the console calls this too."""
    key, secret = services().keys.create(name, scopes, expires_at)
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


def post_key() -> Response:
    """POST /admin/keys: 201 with the secret, shown this once."""
    body = read_json(NewKey, request)
    key, secret = create(body.name, body.scopes, body.expires_at)
    created = CreatedKey(key=KeyView.of(key), secret=secret)
    return Response(created.model_dump_json(), status=201, mimetype="application/json")


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
