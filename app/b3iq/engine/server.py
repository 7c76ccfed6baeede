"""HTTP routes of the engine (Flask). Whoever can open the socket may use them all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http import HTTPStatus

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from b3iq.engine.chat_schema import parse_chat_request
from b3iq.engine.completion import Completion, error_object
from b3iq.engine.disconnects import DisconnectWatcher
from b3iq.engine.errors import EngineError, EngineNotReady, ModelNotFound
from b3iq.engine.service import Engine
from b3iq.engine.stream import TokenStream

_BODY_LIMIT_BYTES = 16 * 1024 * 1024


def create_app(engine: Engine) -> Flask:
    """The engine's WSGI application."""
    app = Flask("b3iq.engine", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _BODY_LIMIT_BYTES
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.extensions["engine"] = engine
    app.extensions["watcher"] = DisconnectWatcher()
    app.add_url_rule("/health", view_func=health, methods=["GET"])
    app.add_url_rule("/metrics", view_func=metrics, methods=["GET"])
    app.add_url_rule("/v1/models", view_func=models, methods=["GET"])
    app.add_url_rule("/v1/chat/completions", view_func=chat_completions, methods=["POST"])
    app.register_error_handler(EngineError, _engine_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    return app


def _engine() -> Engine:
    engine: Engine = current_app.extensions["engine"]
    return engine


def health() -> Response:
    """200 when requests are taken, 503 while loading, stopping or after a failure."""
    if not _engine().ready:
        raise EngineNotReady("The engine is loading or stopping.")
    return jsonify(status="ok")


def metrics() -> Response:
    """Prometheus text."""
    return Response(_engine().metrics.render(), content_type="text/plain; version=0.0.4")


def models() -> Response:
    """The one model, with the digests that receipts name."""
    model = _engine().model
    return jsonify(
        object="list",
        data=[
            {
                "id": model.manifest.name,
                "object": "model",
                "created": model.loaded_at,
                "owned_by": "b3iq",
                "max_model_len": model.context_length,
                "weights_sha256": model.manifest.weights_sha256,
                "manifest_sha256": model.manifest_sha256,
            }
        ],
    )


def chat_completions() -> Response:
    """Answer a conversation, streamed or whole."""
    engine = _engine()
    asked = parse_chat_request(request.get_data(cache=False))
    name = engine.model.manifest.name
    if asked.model != name:
        raise ModelNotFound(
            "This engine does not serve that model.", remedy=f"It serves {name}.", param="model"
        )
    prompt = engine.encode_chat([message.as_template() for message in asked.messages])
    stream = engine.submit(prompt, asked.settings())
    completion = Completion(asked, stream)
    watcher: DisconnectWatcher = current_app.extensions["watcher"]
    client = request.environ.get("gunicorn.socket")
    if not asked.stream:
        with watcher.watch(client, stream):
            return jsonify(completion.whole())
    response = Response(
        _watched(watcher, client, stream, completion), content_type="text/event-stream"
    )
    response.headers["cache-control"] = "no-store"
    return response


def _watched(
    watcher: DisconnectWatcher,
    client: socket.socket | None,
    stream: TokenStream,
    completion: Completion,
) -> Iterator[bytes]:
    with watcher.watch(client, stream):
        yield from completion.events()


def _engine_error(error: EngineError) -> Response:
    response = jsonify(error=error_object(error))
    response.status_code = error.status
    if error.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response.headers["retry-after"] = "1"
    return response


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    kind = "not_found_error" if status == HTTPStatus.NOT_FOUND else "invalid_request_error"
    title = HTTPStatus(status).phrase
    code = title.lower().replace(" ", "_").replace("-", "_")
    body = {"message": f"{title}.", "type": kind, "param": None, "code": code}
    response = jsonify(error=body)
    response.status_code = status
    return response


def _unexpected(error: Exception) -> Response:
    current_app.logger.error("request_failed", exc_info=error)
    body = {
        "message": "The engine failed to answer.",
        "type": "api_error",
        "param": None,
        "code": "internal_error",
    }
    response = jsonify(error=body)
    response.status_code = 500
    return response
