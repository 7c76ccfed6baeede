"""Static files of the console, addressed by content so that browsers may keep them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Response, abort, request, send_from_directory

DIRECTORY = Path(__file__).parent / "static"
_FOREVER = "public, max-age=31536000, immutable"
# Read once: the files change only with the release, and so with the process.
_VERSIONS = {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in DIRECTORY.iterdir()
}


def static_url(filename: str) -> str:
    """Address of a static file, with its content's digest.

    Raises:
        KeyError: there is no such file.
    """
    return f"/static/{filename}?v={_VERSIONS[filename]}"


def static_file(filename: str) -> Response:
    """GET /static/<path:filename>: a file of `static/`, 404 for anything else.

    An address with the file's present digest may be cached for ever; any other
    must be asked for again, so that an updated node never shows an old page.
    """
    version = _VERSIONS.get(filename)
    if version is None:
        abort(404)
    response = send_from_directory(DIRECTORY, filename, max_age=0)
    current = request.args.get("v") == version
    response.headers["cache-control"] = _FOREVER if current else "no-cache"
    return response
