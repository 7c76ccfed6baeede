"""TLS of the LAN listener, byte by byte: the slow, the senseless and the leaving."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import warnings

import pytest

from tests.integration.lan_process import LISTEN, claimed_lan_node

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.2\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def started():
    with claimed_lan_node() as started:
        yield started


@pytest.fixture
def node(started):
    return started[0]


@pytest.fixture
def lan(started):
    return started[1]


def everything(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def test_plain_http_on_the_tls_port_is_told_to_use_tls(lan):
    with lan.connect() as connection:
        connection.sendall(HEALTH)
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"tls_required" in answer
    assert b'"status": "ok"' not in answer


JUNK = {
    "nothing": b"",
    "zeros": b"\0" * 64,
    "a word": b"hello\r\n",
    "a handshake that stops": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a record too long": b"\x16\x03\x01\xff\xff" + b"\0" * 2048,
    "HTTP/2 in plain": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "application data first": b"\x17\x03\x03\x00\x20" + b"\0" * 32,
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_junk_gets_no_answer_and_hurts_nobody(node, lan, junk):
    with lan.connect() as connection:
        connection.sendall(junk)
        with contextlib.suppress(OSError):  # cut already
            connection.shutdown(socket.SHUT_WR)
        answer = everything(connection)
    assert b'"ok"' not in answer
    with lan.client() as client, node.client() as local:
        assert client.get("/health").status_code == local.get("/health").status_code == 200


def test_a_handshake_that_is_not_finished_is_cut(lan):
    with lan.connect() as silent, lan.connect() as stopped:
        stopped.sendall(JUNK["a handshake that stops"])
        # The deadline is the header's: 2 s here.
        assert everything(silent) == everything(stopped) == b""


def test_bytes_of_a_handshake_one_at_a_time_are_a_handshake(lan):
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = lan.trust.wrap_bio(inside, outside, server_hostname=LISTEN)
    with lan.connect() as connection:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outside.read():
                    connection.sendall(bytes([byte]))
                inside.write(connection.recv(65536))
        # The client's last word of the handshake and its request in one packet.
        tls.write(HEALTH)
        connection.sendall(outside.read())
        answer = b""
        while b'{"status":"ok"}' not in answer:
            inside.write(connection.recv(65536))
            try:
                answer += tls.read(65536)
            except ssl.SSLWantReadError:
                continue
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_hundred_half_open_handshakes_hold_no_thread(node, lan):
    idlers = [lan.connect() for _ in range(100)]  # far more than the node has threads
    try:
        for number, idler in enumerate(idlers):
            idler.sendall(JUNK["a handshake that stops"][: number % 11])
        with node.client() as local, lan.client() as client:
            assert local.get("/health").status_code == 200
            assert client.get("/health").status_code == 200
    finally:
        for idler in idlers:
            idler.close()


@pytest.fixture
def many_files():
    """Room for the descriptors of a crowd in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_crowd_on_the_lan_does_not_keep_out_the_local_console(node, lan):
    """More connections than the node keeps for the LAN; the slowest of them make room."""
    with contextlib.ExitStack() as crowd:
        for _ in range(1100):
            crowd.enter_context(lan.connect())
        with node.client() as local, lan.client() as client:
            assert local.get("/login").status_code == 200
            assert client.get("/health").status_code == 200


def test_a_slow_request_over_tls_is_cut_and_told(lan):
    with lan.tls() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0")
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_request_in_many_records_and_two_in_one_are_all_answered(lan):
    with lan.tls() as connection:
        for byte in HEALTH.replace(b"Connection: close\r\n", b""):
            connection.sendall(bytes([byte]))
        first = connection.recv(65536)
        connection.sendall(HEALTH.replace(b"Connection: close\r\n", b"") + HEALTH)
        rest = everything(connection)
    assert first.startswith(b"HTTP/1.1 200")
    assert rest.count(b"HTTP/1.1 200") == 2


def test_a_body_longer_than_a_record_arrives_whole(node, lan):
    """OpenSSL holds back what a read did not take; a poller would wait for it for ever."""
    _, key = node.new_key()
    body = b'{"model": "m", "messages": [{"role": "user", "content": "' + b"x" * 200_000 + b'"}]}'
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with lan.client(headers=headers) as client:
        assert client.post("/v1/chat/completions", content=body).status_code == 503


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_is_spoken_has_forward_secrecy(lan, version):
    trust = ssl.create_default_context(cadata=lan.pem)
    trust.minimum_version = trust.maximum_version = version
    with trust.wrap_socket(lan.connect(), server_hostname=LISTEN) as connection:
        name = connection.cipher()[0]
    assert name.startswith(("ECDHE-", "TLS_"))


def test_an_older_version_is_refused(lan):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with lan.connect() as connection, pytest.raises(ssl.SSLError, match="ALERT"):
        old.wrap_socket(connection)


def test_the_end_of_an_answer_is_the_end_of_tls_too(lan):
    """Without close_notify a client could not tell the end from a cut by somebody between."""
    strict = lan.trust.wrap_socket(
        lan.connect(), server_hostname=LISTEN, suppress_ragged_eofs=False
    )
    with strict:
        strict.sendall(HEALTH)
        assert everything(strict).endswith(b'{"status":"ok"}\n')


def test_a_client_that_leaves_in_every_way_is_no_error_of_the_node(node, lan):
    for leave in ("reset", "unwrap", "close"):
        connection = lan.tls()
        connection.sendall(HEALTH)
        if leave == "reset":
            linger = b"\x01\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if leave == "unwrap":
            connection.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                connection.unwrap()
        connection.close()
    with lan.client() as client:
        assert client.get("/health").status_code == 200
    assert '"level": "error"' not in node.log.read_text()
