"""gunicorn's threaded worker, made patient with slow clients and strict with its threads.

What differs from `gunicorn.workers.gthread` (27):
- A request is gathered by the poller (`intake`) and handed to a thread when it is whole.
  gunicorn waits for the first byte only and then reads for as long as the client likes.
- A thread never reads from a client, and its writes have a deadline.
- A client that has not read its answers gets no other.
- TLS, on the LAN listener alone, shakes hands in the poller too, under the deadline of the
  header. gunicorn spends a thread on it.
- Closing lingers in the poller (`linger`). gunicorn waits up to two seconds for the client's
  own close in the loop that serves everybody.
- Refusals of what is not HTTP are JSON and quote nothing.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Container
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from b3iq import systemd
from b3iq.node import junk, tls
from b3iq.node.connection import unread
from b3iq.node.connections import LanConnections
from b3iq.node.intake import GatheredUnreader, Intake
from b3iq.node.linger import LINGER_S, Lingering

_RECV = 64 * 1024
# All half-received requests together may hold this much memory.
_GATHERED_LIMIT = 128 * 1024 * 1024
# How long a client may take to read what it is sent before the socket's buffers fill again.
_SEND_S = 30.0
# What a client may have left unread of earlier answers, in bytes, when it asks for another. The
# socket's buffer takes this and any answer that is open to everybody, so that no write waits.
_UNREAD_LIMIT = 8 * 1024
_log = logging.getLogger(__name__)

OnReadable = Callable[[TConn, Any], None]


class PatientWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """See the module. `self.app` is a `b3iq.node.server.NodeServer`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*arguments, **named)
        self._config = self.app.config
        self._intakes: dict[TConn, Intake] = {}
        self._gathered = 0
        # The console and the administrator have the other half, whatever comes from the LAN.
        self._lan = LanConnections(self.cfg, self.worker_connections // 2)
        self._watchdog_s = systemd.watchdog_interval_s()
        self._pinged = 0.0

    def run(self) -> None:
        """Serve until told to stop."""
        self._lingering = Lingering(self.poller, self._close)
        super().run()

    # --- accepting ---------------------------------------------------------------------

    def accept(self, listener: socket.socket) -> None:
        """Take a connection and begin to gather its request."""
        if not self.alive:
            return  # the listener may be closed by an event of the same round
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._intakes:
                raise
            self._drop(next(iter(self._intakes)))
            return
        server = listener.getsockname()
        if isinstance(server, tuple) and server[0] != self._config.listen_address:
            if self._lan.is_full:
                self._drop_slowest(self._lan)
            connection = self._lan.take(client, address, server, self.app.services.lan)
            if connection is not None:
                self._begin(connection, self._on_handshake)
            return
        crowded = len(self._intakes) >= self.worker_connections // 2
        # The slowest makes room, so that idle connections cannot lock anybody out.
        if crowded and not self._drop_slowest(self._lan):
            self._drop_slowest(self._intakes)
        self._begin(TConn(self.cfg, client, address, server), self._on_gather)

    def _drop_slowest(self, among: Container[TConn]) -> bool:
        slowest = next((waiting for waiting in self._intakes if waiting in among), None)
        if slowest is not None:
            self._drop(slowest)
        return slowest is not None

    def _begin(self, connection: TConn, on_readable: OnReadable) -> None:
        self.nr_conns += 1
        connection.init()
        connection.parser.unreader = GatheredUnreader(connection.sock)
        self._gather(connection, b"", on_readable)

    def _on_handshake(self, connection: TConn, client: ssl.SSLSocket) -> None:
        if connection not in self._intakes:
            return  # dropped by an event of the same round
        step = tls.shake(client)
        if step is tls.Step.DONE:
            self._watch(connection, selectors.EVENT_READ, self._on_gather)
            self._on_gather(connection, client)
        elif step is tls.Step.PLAIN_HTTP:
            self._forget(connection)
            connection.sock = tls.plain(client)
            junk.send(connection.sock, junk.PLAIN_HTTP)
            self._lingering.add(connection)
        elif step is tls.Step.FAILED:
            self._drop(connection)
        else:
            wanted = step is tls.Step.WRITE
            event = selectors.EVENT_WRITE if wanted else selectors.EVENT_READ
            self._watch(connection, event, self._on_handshake)

    def _watch(self, connection: TConn, event: int, callback: OnReadable) -> None:
        self.poller.modify(connection.sock, event, partial(callback, connection))

    # --- gathering ---------------------------------------------------------------------

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """A kept-alive connection begins its next request."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._gather(conn, b"", self._on_gather)

    def _gather(self, connection: TConn, data: bytes, on_readable: OnReadable) -> None:
        config = self._config
        intake = Intake(config.body_limit_bytes, config.header_deadline_s, config.body_deadline_s)
        connection.sock.setblocking(False)
        self._intakes[connection] = intake
        self.poller.register(
            connection.sock, selectors.EVENT_READ, partial(on_readable, connection)
        )
        if data:
            self._add(connection, intake, data)

    def _on_gather(self, connection: TConn, client: socket.socket) -> None:
        intake = self._intakes.get(connection)
        if intake is None:
            return  # dropped by an event of the same round
        data = tls.receive(client, _RECV)
        if data:
            self._add(connection, intake, data)
        elif data is not None:
            self._drop(connection)

    def _add(self, connection: TConn, intake: Intake, data: bytes) -> None:
        self._gathered += len(data)
        if intake.add(data):
            self._forget(connection)
            self._hand_over(connection, intake)
        elif self._gathered > _GATHERED_LIMIT:
            self._refuse(connection, junk.BUSY)
        elif intake.wants_continue:
            intake.wants_continue = False
            junk.send_continue(connection.sock)

    def _hand_over(self, connection: TConn, intake: Intake) -> None:
        if unread(connection.sock) > _UNREAD_LIMIT:
            # Whoever asks on and reads no answer would hold a thread with each of them.
            _log.info("slow_reader_cut")
            self._lingering.add(connection)
            return
        connection.parser.unreader.unread(bytes(intake.buffer))
        connection.data_ready = True
        self.enqueue_req(connection)

    def _forget(self, connection: TConn) -> None:
        intake = self._intakes.pop(connection)
        self._gathered -= len(intake.buffer)
        self.poller.unregister(connection.sock)

    def _drop(self, connection: TConn) -> None:
        self._forget(connection)
        self._close(connection)

    def _close(self, connection: TConn) -> None:
        self.nr_conns -= 1
        connection.close()

    def _refuse(self, connection: TConn, refusal: junk.Refusal) -> None:
        self._forget(connection)
        junk.send(connection.sock, refusal)
        self._lingering.add(connection)

    def murder_pending(self) -> None:
        """Cut whoever is past a deadline (called by the loop at least every second)."""
        now = time.monotonic()
        for connection, intake in list(self._intakes.items()):
            if now < intake.deadline:
                continue
            if intake.buffer:
                _log.info("slow_client_cut", extra={"in_body": intake.in_body})
                self._refuse(connection, junk.TOO_SLOW)
            else:
                self._drop(connection)
        self._lingering.expire()

    # --- serving -----------------------------------------------------------------------

    def handle(self, conn: TConn) -> object:
        """Serve one request in a thread."""
        conn.parser.unreader.in_head = True
        return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:  # noqa: ANN401 - gunicorn's own
        """Serve one parsed request; the client may take only so long to read."""
        conn.parser.unreader.in_head = False
        # Said in the loop, before the body was gathered.
        req._expected_100_continue = False  # noqa: SLF001 - gunicorn has no setting for it
        conn.sock.settimeout(_SEND_S)
        if isinstance(conn.sock, ssl.SSLSocket):
            req.scheme = "https"
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError:
            _log.info("slow_reader_cut")
            return False
        except ssl.SSLError:
            # The client left in its own way; gunicorn would answer it with a 500.
            return False

    def handle_error(
        self, _req: object, client: socket.socket, _addr: object, exc: BaseException
    ) -> None:
        """Refuse what is not HTTP; nothing of it is quoted, in the answer or the log."""
        refusal = junk.refusal_of(exc)
        level = logging.ERROR if refusal.status >= 500 else logging.INFO
        _log.log(level, "junk_refused", extra={"status": refusal.status}, exc_info=exc)
        junk.send(client, refusal)

    def finish_request(self, conn: TConn, fs: Future[object]) -> None:
        """Keep the connection for another request, or close it; in the loop."""
        try:
            keep = fs.exception() is None and bool(fs.result())
            if not keep:
                self._lingering.add(conn)
            elif ahead := conn.parser.unreader.take_buffered():
                self._gather(conn, ahead, self._on_gather)
            else:
                self._keep(conn)
        except (OSError, CancelledError):
            self._close(conn)

    def _keep(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + LINGER_S)
        self.keepalived_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
        )

    # --- life --------------------------------------------------------------------------

    def notify(self) -> None:
        """Tell the arbiter, and systemd if it asked, that the loop turns."""
        super().notify()
        now = time.monotonic()
        if self._watchdog_s is not None and now - self._pinged >= self._watchdog_s:
            self._pinged = now
            systemd.notify("WATCHDOG=1")

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM: finish what runs, for as long as `drain_s`."""
        if self.alive:
            # Not left to the loop: with nothing to finish it may end without another turn.
            systemd.notify("STOPPING=1")
            self.method_queue.defer(self._begin_drain)
        super().handle_exit(sig, frame)

    def _begin_drain(self) -> None:
        # New connections are refused from now on; those that systemd listens for wait in its
        # queue for the next process.
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        soon = time.monotonic() + LINGER_S
        # One of which nothing has arrived may have a request on its way, and closing resets it.
        for intake in self._intakes.values():
            intake.deadline = min(intake.deadline, soon)
        # Whoever still streams then is told so, and has its receipt sealed.
        end = threading.Timer(self._config.drain_s, self.app.services.streams.cut_all)
        end.daemon = True
        end.start()
