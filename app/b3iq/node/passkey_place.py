"""Whether passkeys can be used in the page that a request is about, and what to do where not."""

from __future__ import annotations

from flask import Request

from b3iq.credentials import relying_party
from b3iq.credentials.passkey_errors import NoPasskeysHere
from b3iq.credentials.relying_party import RelyingParty
from b3iq.node import connection


def find(request: Request) -> RelyingParty | None:
    """What a passkey belongs to here; None under an address, or under a name without TLS."""
    host = request.environ.get("HTTP_HOST", "")
    return relying_party.of_host(host, tls=connection.is_tls(request.environ))


def need(request: Request) -> RelyingParty:
    """The same, where there is no other way.

    Raises:
        NoPasskeysHere: the page was opened by address, or without TLS.
    """
    place = find(request)
    if place is None:
        raise NoPasskeysHere
    return place


def advice(request: Request) -> str:
    """Where passkeys would work; empty if they do here."""
    if find(request) is not None:
        return ""
    if connection.is_tls(request.environ):
        return (
            "A passkey belongs to a host name, and this page was opened by address. Open it by "
            "a name of the node; the setting lan_host_names adds one."
        )
    port = request.environ.get("SERVER_PORT", "")
    return (
        "A passkey belongs to a host name, and a browser uses it over TLS or on localhost. On "
        f"this machine, open http://localhost:{port}."
    )
