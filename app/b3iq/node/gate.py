"""What every request passes before its view: numbered as in docs/architecture.md, denying by
default.

3. On the LAN listener, the address is on the allow-list and the node has its owner (403
   otherwise, see `b3iq.node.lan`). The Host is one of the node's own names (421 otherwise):
   a page of another site whose name was rebound to this address gets nothing. The admin
   socket has no host.
4. Route and method have a line in the policy table; the admin socket and TCP each see
   only their own routes (404/405).
5. A credential of one of the line's classes is shown (401/403), and a local key's own limits
   let it in (403/429).
6. A request that changes something comes from the node's own pages or from no browser
   at all, and a session's carries its CSRF token (403). What a stolen session must not do
   needs a proof of the last five minutes, too (403).
"""

from __future__ import annotations

import hmac
import logging
import re
import uuid

from flask import Flask, Request, Response, current_app, g, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from b3iq.node import connection, limits, step_up
from b3iq.node.policy import ADMIN, PUBLIC, Rule, find
from b3iq.node.principal import Principal, authenticate
from b3iq.node.problems import HttpError
from b3iq.node.services import Services, services

_log = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", re.ASCII)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.ASCII | re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# Any token is a method on the wire; only these may become a label or a line of a log.
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE = frozenset({"GET", "HEAD"})


def register(app: Flask) -> None:
    """Put the gate before every view and the request id on every response."""
    app.before_request(_pass)
    app.after_request(_finish)


def _pass() -> None:
    g.request_id = _request_id(request)
    node = services()
    admin = connection.is_unix(request.environ)
    if admin:
        if not connection.is_admin(request.environ, node.paths):
            raise HttpError(403, "Only the administrator may ask here.", code="forbidden")
    else:
        _check_peer(request, node)
        _check_host(request, node)
    rule = _rule(request, admin=admin)
    g.rule = rule
    g.principal = authenticate(rule, request, node)
    if g.principal.key is not None:
        limits.check_address(g.principal.key, request.remote_addr)
        if rule.metered:
            limits.admit(g.principal.key, node)
    if not admin and request.method not in _SAFE:
        _check_origin(request, rule, g.principal)
    if rule.step_up:
        step_up.check(request, g.principal, node)


def _request_id(request: Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def _check_peer(request: Request, node: Services) -> None:
    if not connection.is_tls(request.environ):
        return
    if node.lan is None:
        raise HttpError(403, "Other machines are not answered.", code="forbidden")
    node.lan.check(request, node.owners)


def _check_host(request: Request, node: Services) -> None:
    named = [request.environ.get("HTTP_HOST", "")]
    if absolute := _ABSOLUTE.match(request.environ.get("RAW_URI", "")):
        # The host in a target counts beside the field's (RFC 9112 section 3.2.2).
        named.append(absolute[1])
    if connection.is_tls(request.environ) and node.lan is not None:
        own, setting = node.lan.host_names, "lan_host_names"
    else:
        own = LOOPBACK_NAMES | {name.lower() for name in node.config.host_names}
        setting = "host_names"
    matches = [_HOST.fullmatch(name.lower()) for name in named]
    if any(match is None or match[1] not in own for match in matches):
        raise HttpError(
            421,
            "This is not a name of this node.",
            code="misdirected_request",
            remedy=f"Use a name that it has, or add this one to {setting}.",
        )


def _rule(request: Request, *, admin: bool) -> Rule:
    if request.environ.get("PATH_INFO", "").startswith("//") or _encodes_a_slash(request):
        # The router would take it for one plain slash; a proxy in between might not.
        raise NotFound
    if request.url_rule is None:
        raise _no_route(request, admin=admin)
    rule = find(request.url_rule.rule, request.method)
    if rule is None:
        _log.error("route_not_in_policy", extra={"route": request.url_rule.rule})
        raise NotFound
    if admin != (ADMIN in rule.classes):
        raise NotFound
    return rule


def _encodes_a_slash(request: Request) -> bool:
    path = request.environ.get("RAW_URI", "").partition("?")[0].lower()
    return "%2f" in path or "%5c" in path


def _no_route(request: Request, *, admin: bool) -> MethodNotAllowed | NotFound:
    """Whatever the router would have said (a redirect, too), only these two go out."""
    exception = request.routing_exception
    if not isinstance(exception, MethodNotAllowed) or not exception.valid_methods:
        return NotFound()
    # Another method has a route here, which may be one that this listener does not have.
    method = next(iter(exception.valid_methods))
    routes = current_app.create_url_adapter(request)
    route, _ = routes.match(method=method, return_rule=True) if routes else (None, None)
    rule = find(route.rule, method) if route else None
    return exception if rule and admin == (ADMIN in rule.classes) else NotFound()


def _check_origin(request: Request, rule: Rule, who: Principal) -> None:
    if who.kind == "local_key":
        return  # shown in a header, which no foreign page can set
    refusal = HttpError(
        403, "This request did not come from the node's own pages.", code="cross_site_request"
    )
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise refusal
    origin = request.headers.get("Origin")
    scheme = "https" if connection.is_tls(request.environ) else "http"
    if origin is None:
        # Every browser names the origin of a POST; before a login there is no token yet.
        if PUBLIC in rule.classes:
            raise refusal
    elif origin.lower() != f"{scheme}://{request.environ['HTTP_HOST'].lower()}":
        raise refusal
    if rule.csrf and who.session is not None:
        given = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
        if not hmac.compare_digest(given.encode(), who.session.csrf_token.encode()):
            raise HttpError(
                403,
                "The form is not of this session.",
                code="csrf_token_mismatch",
                remedy="Reload the page and try again.",
            )


def _finish(response: Response) -> Response:
    response.headers["x-request-id"] = g.get("request_id") or str(uuid.uuid4())
    limits.tell(response)
    route = request.url_rule.rule if request.url_rule is not None else "unmatched"
    method = request.method if request.method in KNOWN_METHODS else "other"
    services().metrics.requests.labels(route, method, response.status_code).inc()
    return response
