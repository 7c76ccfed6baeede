"""GET /v1/models: the models that the engine serves, in OpenAI's form."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response

from b3iq.node.engine_client import EngineModel
from b3iq.node.principal import principal
from b3iq.node.services import services


def list_models() -> Response:
    """The installed models that may be used, with the digests of their weights.

    Raises:
        EngineUnavailable: the engine, which alone reads models, does not answer.
    """
    key = principal().key
    data = [
        model_object(model)
        for model in services().engine.models()
        if key is None or key.limits.allows_model(model.id)
    ]
    return Response(json.dumps({"object": "list", "data": data}), content_type="application/json")


def model_object(model: EngineModel) -> dict[str, Any]:
    """One model; members beyond OpenAI's have vLLM's or the manifest's names."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "max_model_len": model.max_model_len,
        "weights_sha256": model.weights_sha256,
        "manifest_sha256": model.manifest_sha256,
    }


def register(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/v1/models", view_func=list_models, methods=["GET"])
