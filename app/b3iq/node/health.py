"""Liveness: the process answers. It says nothing else to strangers."""

from __future__ import annotations

from flask import Flask, Response, jsonify


def get_health() -> Response:
    """GET /health."""
    return jsonify(status="ok")


def register(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/health", view_func=get_health)
