"""Answers to what never became a request: not HTTP, too large a header, too slow."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from http import HTTPStatus

from gunicorn.http import errors


@dataclass(frozen=True)
class Refusal:
    """A status, a code for programs and a sentence for people."""

    status: int
    code: str
    detail: str


TOO_SLOW = Refusal(408, "request_timeout", "The request took too long to arrive.")
BUSY = Refusal(503, "too_many_requests_arriving", "Too many requests are arriving at once.")
PLAIN_HTTP = Refusal(400, "tls_required", "This port speaks TLS only: use https://.")
_NOT_HTTP = Refusal(400, "bad_request", "This is not a request that HTTP/1.1 allows.")
_FAULT = Refusal(500, "internal_error", "The node could not do this.")
_LINE = Refusal(414, "uri_too_long", "The request line is too long.")
_HEAD = Refusal(431, "header_too_large", "The header fields are too many or too long.")
_CODING = Refusal(501, "unsupported_transfer_coding", "This transfer coding is not supported.")
_EXPECT = Refusal(417, "expectation_failed", "This expectation cannot be met.")


def refusal_of(fault: BaseException) -> Refusal:
    """What a client is told about what gunicorn's parser raised."""
    if isinstance(fault, TimeoutError):
        return TOO_SLOW
    if isinstance(fault, errors.LimitRequestLine):
        return _LINE
    if isinstance(fault, errors.LimitRequestHeaders):
        return _HEAD
    if isinstance(fault, errors.UnsupportedTransferCoding):
        return _CODING
    if isinstance(fault, errors.ExpectationFailed):
        return _EXPECT
    if isinstance(fault, errors.ParseException | errors.InvalidProxyLine):
        return _NOT_HTTP
    return _FAULT


def send(client: socket.socket, refusal: Refusal) -> None:
    """Send the refusal in the native form, as far as the client takes it, and no more."""
    title = HTTPStatus(refusal.status).phrase
    body = json.dumps(
        {
            "error": {
                "status": refusal.status,
                "title": title,
                "detail": refusal.detail,
                "code": refusal.code,
            }
        }
    ).encode()
    head = (
        f"HTTP/1.1 {refusal.status} {title}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        client.setblocking(False)
        client.send(head.encode("ascii") + body)


def send_continue(client: socket.socket) -> None:
    """Tell a client that waits with its body to send it (RFC 9110 section 10.1.1)."""
    with contextlib.suppress(OSError):
        client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
