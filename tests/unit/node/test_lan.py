"""The LAN listener's settings, its gate apart from the wire, and its sockets."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import pytest
from flask import Request
from gunicorn.config import Config
from pydantic import ValidationError
from werkzeug.test import EnvironBuilder

from b3iq.config import NodeConfig
from b3iq.credentials import secret_files, tls_pair
from b3iq.errors import ConfigError
from b3iq.node import connection, lan, tls
from b3iq.node.connections import LanConnections
from b3iq.node.main import refuse_lan_without_tls
from b3iq.paths import Paths
from b3iq.schemas import faults

GOOD = {"lan_listen_address": "192.168.1.10", "lan_allow": ["192.168.1.0/24", "fd00:1::/64"]}
WRONG = {
    "no allow-list": ({"lan_allow": []}, "lan_allow is empty"),
    "an allow-list of everybody": ({"lan_allow": ["0.0.0.0/0"]}, "no allow-list"),
    "everybody by IPv6": ({"lan_allow": ["::/0"]}, "no allow-list"),
    "a network that is none": ({"lan_allow": ["192.168.1.0/33"]}, "lan_allow.0"),
    "an address with a network's length": ({"lan_allow": ["192.168.1.7/24"]}, "host bits"),
    "a name as a network": ({"lan_allow": ["laptop.lan"]}, "lan_allow.0"),
    "a name to listen on": ({"lan_listen_address": "node.lan"}, "lan_listen_address"),
    "loopback's own address": ({"lan_listen_address": "127.0.0.1"}, "use one of the LAN"),
    "every address and no name": ({"lan_listen_address": "0.0.0.0"}, "lan_host_names"),
    "every address, the same port": (
        {"lan_listen_address": "0.0.0.0", "lan_host_names": ["n"], "lan_listen_port": 8831},
        "use another",
    ),
    "a name with a port": ({"lan_host_names": ["node.lan:8832"]}, "lan_host_names.0"),
    "a name with a slash": ({"lan_host_names": ["node.lan/"]}, "lan_host_names.0"),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG.keys())
def test_settings_that_would_open_too_much_or_nothing_are_refused(change, words):
    with pytest.raises(ValidationError) as caught:
        NodeConfig(**(GOOD | change))
    assert words in "; ".join(faults(caught.value))


def test_settings_without_a_certificate_are_refused_with_what_to_do(tmp_path):
    paths = Paths.under(tmp_path)
    refuse_lan_without_tls(NodeConfig(), paths)
    with pytest.raises(ConfigError) as caught:
        refuse_lan_without_tls(NodeConfig(**GOOD), paths)
    assert "b3iq lan renew" in caught.value.message
    secret_files.create_pair(paths.credentials, lambda: b"a pair")
    refuse_lan_without_tls(NodeConfig(**GOOD), paths)


@pytest.fixture
def opened(tmp_path):
    paths = Paths.under(tmp_path)
    secret_files.create_pair(paths.credentials, lambda: tls_pair.make(["192.168.1.10"]))
    return lan.load(NodeConfig(**GOOD, lan_host_names=["Node.lan", "fd00:1::10"]), paths)


@pytest.mark.parametrize(
    ("address", "admitted"),
    {
        "192.168.1.1": True,
        "192.168.2.1": False,
        "fd00:1::5": True,
        "fd00:2::5": False,
        # An IPv4 client of a listener that takes both.
        "::ffff:192.168.1.1": True,
        "::ffff:192.168.2.1": False,
        "127.0.0.1": False,
        "": False,
        "192.168.1.1, 192.168.2.1": False,
        "node.lan": False,
    }.items(),
)
def test_an_address_is_admitted_by_the_list_alone(opened, address, admitted):
    assert opened.admits(address) is admitted


def test_names_are_what_a_host_header_says(opened):
    assert opened.host_names == {"node.lan", "[fd00:1::10]", "192.168.1.10"}
    assert opened.missing_names == ("node.lan", "fd00:1::10")


def test_a_pair_that_others_could_read_is_refused(tmp_path):
    paths = Paths.under(tmp_path)
    secret_files.create_pair(paths.credentials, lambda: tls_pair.make(["192.168.1.10"]))
    (paths.credentials / secret_files.LAN_TLS).chmod(0o644)
    with pytest.raises(secret_files.CredentialFileError, match="open to other users"):
        lan.load(NodeConfig(**GOOD), paths)


def test_a_pair_that_openssl_cannot_use_is_refused_without_being_quoted(tmp_path):
    paths = Paths.under(tmp_path)
    first, second = tls_pair.make(["192.168.1.10"]), tls_pair.make(["192.168.1.10"])
    mark = b"-----BEGIN CERTIFICATE"
    mixed = first[: first.index(mark)] + second[second.index(mark) :]
    secret_files.create_pair(paths.credentials, lambda: mixed)
    with pytest.raises(secret_files.CredentialFileError) as caught:
        lan.load(NodeConfig(**GOOD), paths)
    assert "PRIVATE" not in caught.value.message
    assert "b3iq lan renew" in caught.value.message


@pytest.fixture
def connected(tmp_path):
    """A node's end and a client's end of one TLS connection."""
    pair = tmp_path / "pair"
    pair.write_bytes(tls_pair.make(["127.0.0.1"]))
    trust = ssl.create_default_context(cadata=tls_pair.describe(pair.read_bytes()).pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    ours = tls.wrap(accepted, tls.context(pair))
    shaken = threading.Thread(target=lambda: hands.append(shake_hands(ours)))
    hands: list[tls.Step] = []
    shaken.start()
    with trust.wrap_socket(connection, server_hostname="127.0.0.1") as theirs:
        shaken.join()
        assert hands == [tls.Step.DONE]
        yield ours, theirs
    ours.close()


def shake_hands(ours: ssl.SSLSocket) -> tls.Step:
    while (step := tls.shake(ours)) in (tls.Step.READ, tls.Step.WRITE):
        time.sleep(0.001)
    return step


def test_nothing_yet_is_not_the_end(connected):
    ours, theirs = connected
    assert tls.receive(ours, 100) is None
    theirs.close()
    while (said := tls.receive(ours, 100)) is None:
        pass
    assert said == b""


def test_what_is_decrypted_already_is_not_left_behind(connected):
    ours, theirs = connected
    theirs.sendall(b"x" * 16_000)
    ours.setblocking(True)
    assert len(tls.receive(ours, 100)) == 16_000


def test_one_write_has_one_deadline_however_many_records_it_takes(connected):
    """The reader takes a record whenever the writer would be about to give up."""
    ours, theirs = connected
    ours.settimeout(0.3)
    done = threading.Event()

    def read_slowly() -> None:
        while not done.wait(0.05):
            theirs.recv(16_384)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    with pytest.raises(TimeoutError):
        ours.sendall(b"x" * 50_000_000)
    done.set()
    reader.join()
    assert ours.gettimeout() == 0.3


def test_the_lan_has_its_share_of_places_and_no_more(opened):
    share = LanConnections(Config(), limit=1)
    address, pairs = ("192.168.1.1", 1), [socket.socketpair() for _ in range(3)]
    first = share.take(pairs[0][0], address, address, opened)
    assert first in share
    assert share.is_full
    assert share.take(pairs[1][0], address, address, opened) is None
    assert pairs[1][1].recv(1) == b""
    first.close()
    assert not share.is_full
    second = share.take(pairs[2][0], address, address, opened)
    assert second in share
    second.close()
    for _, theirs in pairs:
        theirs.close()


def test_a_listener_that_the_settings_do_not_know_gets_no_connection():
    ours, theirs = socket.socketpair()
    assert LanConnections(Config(), limit=1).take(ours, ("", 0), ("", 0), None) is None
    with theirs:
        assert theirs.recv(1) == b""


@pytest.mark.parametrize(
    ("address", "local", "remote"),
    [
        ("127.0.0.1", "loopback", "loopback over LAN"),
        ("127.9.9.9", "loopback", "loopback over LAN"),
        ("::1", "loopback", "loopback over LAN"),
        ("::ffff:127.0.0.1", "loopback", "loopback over LAN"),
        ("192.168.1.7", "192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7", "192.168.1.7"),
        # Every host of IPv6 has 2^64 addresses.
        ("fd00:1::7", "fd00:1::/64", "fd00:1::/64"),
        ("fd00:1::8:7:6:5", "fd00:1::/64", "fd00:1::/64"),
        ("junk", "unknown", "unknown"),
    ],
)
def test_guesses_count_for_a_client_that_cannot_be_multiplied(connected, address, local, remote):
    plain = EnvironBuilder(environ_overrides={"REMOTE_ADDR": address}).get_environ()
    assert connection.client_of(Request(plain)) == local
    over_tls = plain | {"gunicorn.socket": connected[0]}
    assert connection.client_of(Request(over_tls)) == remote
