"""Where a request came from: TCP, or the administrator's Unix socket.

gunicorn hands over the connection as `environ["gunicorn.socket"]` (gunicorn.http.wsgi,
`default_environ`). The only Unix listener of the node is the admin socket; the kernel
tells who connected (unix(7), SO_PEERCRED), which no header can forge.
"""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
import sys
import termios
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from flask import Request

from b3iq.paths import Paths


def is_unix(environ: dict[str, Any]) -> bool:
    """Whether the request came over the admin socket."""
    connection = environ.get("gunicorn.socket")
    return isinstance(connection, socket.socket) and connection.family == socket.AF_UNIX


def is_tls(environ: dict[str, Any]) -> bool:
    """Whether the node itself ended TLS; a forwarded header says nothing here."""
    return isinstance(environ.get("gunicorn.socket"), ssl.SSLSocket)


def is_admin(environ: dict[str, Any], paths: Paths) -> bool:
    """Whether the peer is root, or in development the user who runs the node."""
    if not is_unix(environ):
        return False
    form = struct.Struct("3i")  # struct ucred: pid, uid, gid
    credentials = environ["gunicorn.socket"].getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, form.size
    )
    uid = form.unpack(credentials)[1]
    return uid == 0 or (paths != Paths.system() and uid == os.geteuid())


def cookie_name(request: Request) -> str:
    """The session cookie's name; under TLS a prefix binds it to this host (RFC 6265bis)."""
    return "__Host-b3iq_session" if is_tls(request.environ) else "b3iq_session"


def had_session(request: Request) -> bool:
    """Whether a session cookie was shown, valid or not."""
    return cookie_name(request) in request.cookies


def client_of(request: Request) -> str:
    """Whom the throttle counts for; whatever comes over the LAN listener is never the console.

    This machine is one client: any local process may call from each of the 2^24 addresses
    of 127.0.0.0/8. So is a network of IPv6, of which every host has 2^64 addresses.
    """
    try:
        peer = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(peer, IPv6Address):
        peer = peer.ipv4_mapped or peer
    lan = is_tls(request.environ)
    if peer.is_loopback:
        return "loopback over LAN" if lan else "loopback"
    return str(ip_network((peer, 64), strict=False)) if peer.version == 6 else str(peer)


def unread(client: socket.socket) -> int:
    """Bytes sent that have not arrived yet (SIOCOUTQ of tcp(7), the number of TIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
