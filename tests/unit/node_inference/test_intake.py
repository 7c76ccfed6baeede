from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b3iq.node.intake import HEAD_LIMIT, Intake

LIMIT = 1000
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\ncontent-length: 10\r\n\r\n0123456789"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
TRAILED = CHUNKED[:-2] + b"A: b\r\n\r\n"
HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
# The end of a chunked body within a chunk's data.
NESTED = HEAD + b"A;a=b\r\n\r\n0\r\n\r\nx\r\n\r\n0\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
EMPTY_CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


def intake() -> Intake:
    return Intake(LIMIT, header_s=60, body_s=60)


@given(
    cuts=st.sets(st.integers(1, 90)),
    request=st.sampled_from([GET, POST, CHUNKED, EMPTY_CHUNKED, TRAILED, NESTED, EXPECTING]),
)
@settings(max_examples=200, deadline=None)
def test_a_request_is_ready_with_its_last_byte_and_not_before(cuts, request):
    edges = [0, *sorted(cut for cut in cuts if cut < len(request)), len(request)]
    pieces = [request[a:b] for a, b in itertools.pairwise(edges)]
    gathering = intake()
    readiness = [gathering.add(piece) for piece in pieces]
    assert readiness == [False] * (len(pieces) - 1) + [True]
    assert bytes(gathering.buffer) == request


AT_ONCE = {
    "junk": b"\x16\x03\x01",
    "lower case": b"get / http",
    "a header without an end": b"GET / HTTP/1.1\r\nA: " + b"b" * HEAD_LIMIT,
    "a body over the limit": b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n",
    "a length beyond all limits": b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "somebody who expects what is unknown": b"GET / HTTP/1.1\r\nExpect: tea\r\n\r\n",
    "a chunk over the limit": HEAD + b"3E9\r\n" + b"a" * (LIMIT + 1),
    "chunks over the limit": HEAD + b"1F4\r\n%b\r\n1F5\r\n%b" % (b"a" * 500, b"a" * 501),
    "chunks of one byte": HEAD + b"1\r\na\r\n" * (LIMIT // 2),
    "a size that is none": HEAD + b"five\r\n",
    "a negative size": HEAD + b"-5\r\nabc",
    "an endless size": HEAD + b"1" * 9000,
    "endless trailers": HEAD + b"0\r\n" + b"A: b\r\n" * 12_000,
    "a chunk longer than it says": HEAD + b"3\r\nabcd\r\n",
    "a request behind a chunked one": CHUNKED + GET,
    "two requests": GET + GET,
}


@pytest.mark.parametrize("data", AT_ONCE.values(), ids=AT_ONCE.keys())
def test_what_would_be_waited_for_in_vain_is_handed_over_at_once(data):
    assert intake().add(data)


def test_the_body_has_a_deadline_of_its_own():
    gathering = Intake(LIMIT, header_s=1, body_s=100)
    before = gathering.deadline
    assert not gathering.add(POST[:-1])
    assert gathering.in_body
    assert gathering.deadline > before + 50


def test_a_client_that_waits_to_be_told_is_told_before_its_body_is_there():
    gathering = intake()
    assert not gathering.add(EXPECTING[:-2])
    assert gathering.wants_continue


def test_a_client_of_http_1_0_is_told_nothing():
    gathering = intake()
    assert not gathering.add(EXPECTING[:-2].replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert not gathering.wants_continue
