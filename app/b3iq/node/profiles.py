"""Readiness of each model for local use; paid routing has no evidence yet, so it is closed."""

from __future__ import annotations

from typing import Literal

from flask import Flask, Response

from b3iq.node.bodies import Body
from b3iq.node.engine_errors import EngineUnavailable
from b3iq.node.services import services


class ModelProfile(Body):
    """One profile (values: installed, runtime_missing; the rest come with routing).

    `model_id` is null where no runtime answers that could name its models.
    """

    model_id: str | None
    status: Literal["installed", "runtime_missing"]
    runtime_kind: str
    route_tier: Literal["local_convenience"] = "local_convenience"
    network_eligible: Literal[False] = False
    benchmark_verified: Literal[False] = False
    observed_benchmark: None = None
    paid_route_eligible: Literal[False] = False
    queue_health: Literal["healthy", "blocked", "unhealthy"]


class ModelProfileList(Body):
    """Every profile of the node."""

    data: list[ModelProfile]


def get_model_profiles() -> Response:
    """GET /v1/model-profiles."""
    listing = ModelProfileList(data=_profiles())
    return Response(listing.model_dump_json(), mimetype="application/json")


def _profiles() -> list[ModelProfile]:
    node = services()
    kind = node.config.runtime_kind
    try:
        models = node.engine.models()
    except EngineUnavailable:
        return [
            ModelProfile(
                model_id=None,
                status="runtime_missing",
                runtime_kind=kind,
                queue_health="unhealthy",
            )
        ]
    full = node.streams.active >= node.streams.limit
    return [
        ModelProfile(
            model_id=model.id,
            status="installed",
            runtime_kind=kind,
            queue_health="blocked" if full else "healthy",
        )
        for model in models
    ]


def register(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/v1/model-profiles", view_func=get_model_profiles)
