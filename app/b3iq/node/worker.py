"""gunicorn's threaded worker, made patient with slow clients and strict with its threads.

What differs from `gunicorn.workers.gthread` (27):
- A request is gathered by the poller (`intake`) and handed to a thread when it is whole.
  gunicorn waits for the first byte only and then reads for as long as the client likes.
- A thread never reads from a client, and its writes have a deadline.
- A client that has not read its answers gets no other.
- Closing lingers in the poller. gunicorn waits up to two seconds for the client's own
  close in the loop that serves everybody.
- Refusals of what is not HTTP are JSON and quote nothing.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import threading
import time
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from b3iq import systemd
from b3iq.node import junk
from b3iq.node.connection import unread
from b3iq.node.intake import GatheredUnreader, Intake

_RECV = 64 * 1024
# All half-received requests together may hold this much memory.
_GATHERED_LIMIT = 128 * 1024 * 1024
# How long a client may take to read what it is sent before the socket's buffers fill again.
_SEND_S = 30.0
_LINGER_S = 2.0
# What a client may have left unread of earlier answers, in bytes, when it asks for another. The
# socket's buffer takes this and any answer that is open to everybody, so that no write waits.
_UNREAD_LIMIT = 8 * 1024
_log = logging.getLogger(__name__)


class PatientWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """See the module. `self.app` is a `b3iq.node.server.NodeServer`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*arguments, **named)
        self._config = self.app.config
        self._intakes: dict[TConn, Intake] = {}
        self._gathered = 0
        self._lingering: dict[TConn, float] = {}
        self._watchdog_s = systemd.watchdog_interval_s()
        self._pinged = 0.0

    # --- gathering ---------------------------------------------------------------------

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
        if len(self._intakes) >= self.worker_connections // 2:
            # The slowest makes room, so that idle connections cannot lock anybody out.
            self._drop(next(iter(self._intakes)))
        self.nr_conns += 1
        connection = TConn(self.cfg, client, address, listener.getsockname())
        connection.init()
        connection.parser.unreader = GatheredUnreader(connection.sock)
        self._gather(connection, b"")

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """A kept-alive connection begins its next request."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._gather(conn, b"")

    def _gather(self, connection: TConn, data: bytes) -> None:
        config = self._config
        intake = Intake(config.body_limit_bytes, config.header_deadline_s, config.body_deadline_s)
        connection.sock.setblocking(False)
        self._intakes[connection] = intake
        self.poller.register(
            connection.sock, selectors.EVENT_READ, partial(self._on_gather, connection)
        )
        if data:
            self._add(connection, intake, data)

    def _on_gather(self, connection: TConn, client: socket.socket) -> None:
        intake = self._intakes.get(connection)
        if intake is None:
            return  # dropped by an event of the same round
        try:
            data = client.recv(_RECV)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._add(connection, intake, data)
        else:
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
            self._linger(connection)
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
        self.nr_conns -= 1
        connection.close()

    def _refuse(self, connection: TConn, refusal: junk.Refusal) -> None:
        self._forget(connection)
        junk.send(connection.sock, refusal)
        self._linger(connection)

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
        for connection, until in list(self._lingering.items()):
            if now >= until:
                self._end_linger(connection)

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
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError:
            _log.info("slow_reader_cut")
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
                self._linger(conn)
            elif ahead := conn.parser.unreader.take_buffered():
                self._gather(conn, ahead)
            else:
                self._keep(conn)
        except (OSError, CancelledError):
            self.nr_conns -= 1
            conn.close()

    def _keep(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + _LINGER_S)
        self.keepalived_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
        )

    # --- closing -----------------------------------------------------------------------

    def _linger(self, connection: TConn) -> None:
        """Say that nothing more comes, and read on until the client has closed too.

        Closing with unread bytes in the buffer would reset the connection and take the
        end of the answer with it (RFC 9112 section 9.6).
        """
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
            self.poller.register(
                connection.sock, selectors.EVENT_READ, partial(self._on_linger, connection)
            )
        except (OSError, ValueError):
            self.nr_conns -= 1
            connection.close()
            return
        self._lingering[connection] = time.monotonic() + _LINGER_S

    def _on_linger(self, connection: TConn, client: socket.socket) -> None:
        if connection not in self._lingering:
            return
        try:
            if client.recv(_RECV):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self._end_linger(connection)

    def _end_linger(self, connection: TConn) -> None:
        del self._lingering[connection]
        self.poller.unregister(connection.sock)
        self.nr_conns -= 1
        connection.close()

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
        soon = time.monotonic() + _LINGER_S
        # A connection of which nothing has arrived may be a request on its way: closing it now
        # would reset it.
        for intake in self._intakes.values():
            intake.deadline = min(intake.deadline, soon)
        # Whoever still streams then is told so, and has its receipt sealed.
        end = threading.Timer(self._config.drain_s, self.app.services.streams.cut_all)
        end.daemon = True
        end.start()
