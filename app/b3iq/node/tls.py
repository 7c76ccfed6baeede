"""TLS of the LAN listener: what is offered, and sockets that a poller can work with."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from enum import Enum
from pathlib import Path

from b3iq.credentials.errors import CredentialFileError

# For TLS 1.2, with forward secrecy and authenticated; every suite of TLS 1.3 is both.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Step(Enum):
    """What a handshake waits for, or how it ended."""

    READ = "read"
    WRITE = "write"
    DONE = "done"
    PLAIN_HTTP = "plain_http"
    FAILED = "failed"


class TlsSocket(ssl.SSLSocket):
    """A client's connection; everything that is sent at once has one deadline.

    The base class gives each record of up to 16 KiB the whole timeout anew.
    """

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override] # bytes alone
        """Send all of it within the socket's timeout.

        Raises:
            TimeoutError: the client did not take it in time.
        """
        timeout = self.gettimeout()
        if timeout is None:
            super().sendall(data, flags)
            return
        end = time.monotonic() + timeout
        view = memoryview(data)
        try:
            while view:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.settimeout(left)
                view = view[self.send(view, flags) :]
        finally:
            self.settimeout(timeout)


def context(pair: Path) -> ssl.SSLContext:
    """The server's side of TLS 1.2 and 1.3, with the certificate and key in a PEM file.

    Raises:
        CredentialFileError: OpenSSL does not take them.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(_CIPHERS)
    # A handshake that the client may demand again and again is work for free.
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # No tickets: the key that encrypts them would open recorded traffic for as long as it lives.
    made.options |= ssl.OP_NO_TICKET
    made.num_tickets = 0
    made.set_alpn_protocols(["http/1.1"])
    made.sslsocket_class = TlsSocket
    try:
        made.load_cert_chain(pair)
    except (OSError, ssl.SSLError) as error:
        raise CredentialFileError(
            "The certificate and key of the LAN listener cannot be used.",
            remedy="Import them again (`b3iq lan import`), or make new ones (`b3iq lan renew`).",
        ) from error
    return made


def wrap(client: socket.socket, made: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection whose handshake has not begun.

    Raises:
        OSError: the client is gone.
    """
    client.setblocking(False)
    return made.wrap_socket(client, server_side=True, do_handshake_on_connect=False)


def shake(client: ssl.SSLSocket) -> Step:
    """Go on with the handshake as far as what has arrived allows."""
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return Step.READ
    except ssl.SSLWantWriteError:
        return Step.WRITE
    except ssl.SSLError as error:
        return Step.PLAIN_HTTP if error.reason == "HTTP_REQUEST" else Step.FAILED
    except (OSError, ValueError):
        return Step.FAILED
    # None: Python took the connection for closed and would hand on what arrived as it is.
    return Step.DONE if client.version() is not None else Step.FAILED


def receive(client: socket.socket, size: int) -> bytes | None:
    """What has arrived: b"" at the end of the connection, None if nothing did yet."""
    data = b""
    try:
        data = client.recv(size)
        while data and isinstance(client, ssl.SSLSocket) and client.pending():
            # Decrypted already: the poller would not tell of it.
            data += client.recv(client.pending())
    except _NOT_NOW:
        return data or None
    except OSError:
        return data
    return data


def close_write(client: socket.socket) -> None:
    """Say that nothing more comes; what is read from now on is raw, and thrown away.

    Raises:
        OSError: the client is gone.
    """
    client.setblocking(False)
    if isinstance(client, ssl.SSLSocket):
        # Sends close_notify, and does not wait for the client's.
        with contextlib.suppress(OSError, ValueError):
            client.unwrap()
    client.shutdown(socket.SHUT_WR)


def plain(client: ssl.SSLSocket) -> socket.socket:
    """The connection beneath, to answer somebody who does not speak TLS."""
    return socket.socket(fileno=client.detach())
