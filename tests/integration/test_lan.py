"""The LAN listener: TLS or nothing, listed addresses or nothing, a claimed node or nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings

import httpx
import pytest

from tests.integration.lan_process import (
    ALLOWED,
    LISTEN,
    NAME,
    STRANGER,
    lan_node,
)
from tests.integration.node_process import PASSWORD

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.2\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def started():
    with lan_node() as (node, lan):
        with node.client() as client:
            assert node.claim(client).status_code == 201
        yield node, lan


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


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# --- who is answered ---------------------------------------------------------------------


def test_a_listed_address_is_answered_with_the_certificate_that_the_node_names(node, lan):
    with lan.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
    with lan.tls() as connection:
        shown = connection.getpeercert()
    assert ("IP Address", LISTEN) in shown["subjectAltName"]
    assert ("DNS", NAME) in shown["subjectAltName"]


PATHS = ["/health", "/", "/login", "/setup/", "/v1/models", "/nothing", "/static/base.css"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_address_that_is_not_listed_is_told_so_and_nothing_else(node, lan, method, path):
    _, key = node.new_key()
    headers = {"Authorization": f"Bearer {key}", "Host": "evil.example"}
    with lan.client(STRANGER, headers=headers) as client:
        answer = client.request(method, path)
    assert answer.status_code == 403
    assert "allow-list" in answer.text


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"],
)
def test_no_header_makes_an_address_a_listed_one(lan, header):
    with lan.client(STRANGER, headers={header: ALLOWED}) as client:
        assert code(client.get("/health")) == (403, "address_not_allowed")
    forwarded = {"Forwarded": f"for={ALLOWED};proto=https;host={LISTEN}"}
    with lan.client(STRANGER, headers=forwarded) as client:
        assert code(client.get("/health")) == (403, "address_not_allowed")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "evil.example", "node.test.evil.example", ""]
)
def test_another_name_is_refused_even_from_a_listed_address(node, lan, host):
    _, key = node.new_key()
    with lan.client(headers={"Host": host, "Authorization": f"Bearer {key}"}) as client:
        assert client.get("/v1/models").status_code in {400, 421}


def test_the_configured_name_is_one_of_the_lan_listener_alone(node, lan):
    with lan.client(headers={"Host": f"{NAME}:{lan.port}"}) as client:
        assert client.get("/health").status_code == 200
    with node.client() as client:
        for host in (NAME, LISTEN):
            assert client.get("/health", headers={"Host": host}).status_code == 421


def test_loopback_stays_plain_and_the_administrators_routes_stay_away(node, lan):
    with node.client() as client:
        assert client.get("/health").status_code == 200
    with lan.client() as client:
        for path in ("/admin/status", "/admin/keys"):
            assert client.get(path).status_code == 404
        assert client.get("/setup/").status_code == 404


def test_a_node_without_an_owner_answers_nothing_but_the_refusal():
    with lan_node() as (node, lan):
        token = node.setup_token()
        with lan.client() as client:
            for path in (*PATHS, f"/setup/#token={token}"):
                answer = client.get(path)
                assert answer.status_code == 403
                assert "no owner yet" in answer.text
            body = {"token": token, "owner_name": "Eve", "password": PASSWORD}
            assert code(client.post("/setup/claim", json=body)) == (403, "node_not_claimed")
            bearer = {"Authorization": f"Bearer {token}"}
            assert code(client.get("/v1/models", headers=bearer)) == (403, "node_not_claimed")
            with node.client() as local:
                assert node.claim(local).status_code == 201
            # From the next request on, without a restart.
            assert client.get("/health").status_code == 200


# --- the owner's session -----------------------------------------------------------------


def log_in(lan, client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    form = {"owner_name": "Ada", "password": password}
    return client.post("/login", data=form, headers={"Origin": lan.base_url})


def test_the_cookie_is_bound_to_the_host_and_to_tls(node, lan):
    with lan.client() as client:
        answer = log_in(lan, client)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-b3iq_session=")
        words = {word.strip() for word in cookie.split(";")[1:]}
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= words
        assert not any(word.startswith("Domain") for word in words)
        page = client.get("/console/")
        assert page.status_code == 200
        assert f"{lan.base_url}/v1" in page.text
        value = client.cookies["__Host-b3iq_session"]
    # Under the name that loopback knows it opens nothing here.
    with lan.client(cookies={"b3iq_session": value}) as client:
        assert client.get("/v1/receipts").status_code == 401


def test_a_plain_or_foreign_origin_changes_nothing(lan):
    form = {"owner_name": "Ada", "password": PASSWORD}
    for origin in (f"http://{LISTEN}:{lan.port}", f"https://{NAME}:{lan.port}", "null"):
        with lan.client(headers={"Origin": origin}) as client:
            assert client.post("/login", data=form).status_code == 403


def test_whoever_guesses_over_the_lan_does_not_lock_out_the_local_console(node, lan):
    with lan.client() as guesser, node.client() as owner:
        said = [log_in(lan, guesser, "wrong password here").status_code for _ in range(7)]
        assert said == [401] * 5 + [429] * 2
        assert log_in(lan, guesser).status_code == 429
        assert node.log_in(owner).status_code == 303


# --- the wire ----------------------------------------------------------------------------


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
