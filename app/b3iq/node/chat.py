"""POST /v1/chat/completions: parse → answer → respond, streaming and not."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

from flask import Flask, Response, request

from b3iq.node.chat_output import ChatOutput, error_event
from b3iq.node.chat_parse import parse
from b3iq.node.completion import Answer, prepare
from b3iq.node.limits import admission
from b3iq.node.problems import HttpError, respond
from b3iq.node.services import services

# nginx's code for a client that closed its connection; nobody reads it but the log.
CLIENT_CLOSED = 499


class StreamBody:
    """The events of a stream as a WSGI iterable.

    Its `close` settles the answer even if no event was ever asked for, which the `finally`
    of a generator that never started would not.
    """

    def __init__(self, answer: Answer, output: ChatOutput) -> None:
        self._answer = answer
        self._events = _events(answer, output)

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        """The server is done with the response, or its client is gone."""
        self._answer.finish("aborted")


def chat_completions() -> Response:
    """Answer a chat, as one object or as a stream of events."""
    started = time.monotonic()
    if request.mimetype != "application/json":
        raise HttpError(415, "Send the body as application/json.")
    asked = parse(request.get_data(cache=False))
    answer = prepare(services(), asked, admission(), started)
    try:
        answer.begin(services(), asked, _client_socket())
    except Exception as error:  # noqa: BLE001 - whatever happened, the slot and receipt end
        return _ended_early(answer, error)
    output = ChatOutput(answer.model.id, answer.runtime_id, with_usage=asked.wants_usage)
    return _streamed(answer, output) if asked.stream else _whole(answer, output)


def register(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/v1/chat/completions", view_func=chat_completions, methods=["POST"])


def _streamed(answer: Answer, output: ChatOutput) -> Response:
    response = Response(StreamBody(answer, output), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    # A proxy that buffers would turn a stream into a long wait.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _whole(answer: Answer, output: ChatOutput) -> Response:
    try:
        text = "".join(answer.batches())
    except Exception as error:  # noqa: BLE001 - as above
        return _ended_early(answer, error)
    facts = answer.finish("completed")
    body = output.completion(text, answer.finish_reason or "stop", answer.usage, facts)
    return Response(json.dumps(body), content_type="application/json")


def _events(answer: Answer, output: ChatOutput) -> Iterator[bytes]:
    first = output.role()
    try:
        for text in answer.batches():
            yield first + output.text(text)
            first = b""
        facts = answer.finish("completed")
        yield first + output.finish(answer.finish_reason or "stop", answer.usage, facts)
    except GeneratorExit:
        answer.finish("aborted")
        raise
    except Exception as error:  # noqa: BLE001 - a stream's only way to tell is an event
        told, facts = answer.finish_early(error)
        if told is not None:
            yield output.error(told, facts)


def _ended_early(answer: Answer, error: Exception) -> Response:
    told, facts = answer.finish_early(error)
    if told is None:
        return Response(status=CLIENT_CLOSED)
    response = respond(told)
    if facts["receipt_hash"] is not None:
        response.set_data(json.dumps(error_event(told, facts)))
    return response


def _client_socket() -> socket.socket | None:
    """The client's connection as gunicorn gives it; None under another server."""
    connection = request.environ.get("gunicorn.socket")
    return connection if isinstance(connection, socket.socket) else None
