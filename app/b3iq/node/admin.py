"""What only the administrator of the machine may ask, over the admin socket."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, jsonify

import b3iq
from b3iq.node.engine_errors import EngineUnavailable
from b3iq.node.lan import Lan
from b3iq.node.services import services

_log = logging.getLogger(__name__)


def post_setup_token() -> Response:
    """POST /admin/setup-token: the link that claims the node; the one before is void."""
    node = services()
    token, expires_at = node.setup.mint()
    _log.info("setup_token_minted")
    # In the fragment, which a browser sends to nobody.
    url = f"http://localhost:{node.config.listen_port}/setup/#token={token}"
    return jsonify(url=url, expires_at=expires_at.isoformat())


def get_status() -> Response:
    """GET /admin/status."""
    node = services()
    try:
        models = [model.id for model in node.engine.models()]
        engine = "ok"
    except EngineUnavailable:
        models, engine = [], "unavailable"
    last = node.receipts.recent(1)
    return jsonify(
        version=b3iq.__version__,
        node_id=node.receipts.node_id,
        claimed=node.owners.is_claimed(),
        engine=engine,
        runtime_kind=node.config.runtime_kind,
        models=models,
        streams=node.streams.active,
        stream_limit=node.config.stream_limit,
        audit_events=node.audit.size(),
        audit_intact=node.audit.is_intact(),
        receipts=last[0].receipt.sequence if last else 0,
        address=f"http://localhost:{node.config.listen_port}",
        lan=None if node.lan is None else _lan(node.lan),
    )


def _lan(lan: Lan) -> dict[str, Any]:
    certificate = lan.certificate
    return {
        "urls": list(lan.urls),
        "allow": [str(network) for network in lan.allow],
        "fingerprint_sha256": certificate.fingerprint,
        "self_signed": certificate.self_signed,
        "not_after": certificate.not_after.isoformat(),
        "missing_names": list(lan.missing_names),
        "pem": certificate.pem,
    }


def register(app: Flask) -> None:
    """Add the routes."""
    app.add_url_rule("/admin/setup-token", methods=["POST"], view_func=post_setup_token)
    app.add_url_rule("/admin/status", view_func=get_status)
