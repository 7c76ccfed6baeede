"""Makes the application: services, gate, resources."""

from __future__ import annotations

from flask import Flask
from werkzeug.routing import BaseConverter

from b3iq.config import NodeConfig
from b3iq.console import pages, security, updates
from b3iq.console import passkeys as passkey_pages
from b3iq.credentials.tokens import ID_FORM
from b3iq.errors import ConfigError
from b3iq.node import (
    admin,
    audit,
    chat,
    gate,
    health,
    keys,
    metrics,
    models,
    openapi,
    passkeys,
    problems,
    profiles,
    receipts,
    recovery,
    sessions,
    setup,
)
from b3iq.node.services import build
from b3iq.paths import Paths

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_RESOURCES = (
    admin,
    audit,
    chat,
    health,
    keys,
    metrics,
    models,
    openapi,
    pages,
    passkey_pages,
    passkeys,
    profiles,
    receipts,
    recovery,
    security,
    sessions,
    setup,
    updates,
)


class Id(BaseConverter):
    """The id of a key or a session in a path; what has another form is no path of the node's."""

    regex = ID_FORM


def create_app(config: NodeConfig, paths: Paths) -> Flask:
    """The node's application, ready to serve.

    Raises:
        ConfigError: it would listen beyond the machine without TLS.
        CredentialFileError: a secret of the node is missing or open to others.
        PairRefused: the certificate of the LAN listener cannot be used.
    """
    if config.listen_address not in _LOOPBACK:
        raise ConfigError(
            f"listen_address {config.listen_address} is not loopback, and there is no TLS there.",
            remedy="Use 127.0.0.1; for other machines there is lan_listen_address.",
        )
    # No static folder: a route that Flask adds by itself would bypass the policy's authors.
    app = Flask("b3iq.node", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=config.body_limit_bytes,
        # Nothing answers OPTIONS: no page of another origin is let in by CORS.
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    # `//` and a missing slash are other paths, not spellings to be corrected by redirect.
    app.url_map.merge_slashes = False
    app.url_map.converters["default"] = Id
    app.url_map.redirect_defaults = False
    app.extensions["b3iq"] = build(config, paths)
    gate.register(app)
    problems.register(app)
    for resource in _RESOURCES:
        resource.register(app)
    return app
