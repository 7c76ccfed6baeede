"""The arithmetic of one-time codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from b3iq.credentials import totp

# RFC 6238 appendix B: the secret of its SHA-1 rows, and the last six of its eight digits.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = int(NOON.timestamp()) // 30


@pytest.mark.parametrize(("seconds", "code"), RFC_VECTORS)
def test_the_codes_are_those_of_the_standard(seconds, code):
    now = datetime.fromtimestamp(seconds, UTC)
    assert totp.matching_step(RFC_SECRET, code, now, None) == seconds // 30


@pytest.mark.parametrize(
    ("drift", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_clock_may_be_one_step_off_and_no_more(drift, accepted):
    code = pyotp.HOTP(RFC_SECRET).at(STEP + drift)
    found = totp.matching_step(RFC_SECRET, code, NOON, None)
    assert found == (STEP + drift if accepted else None)


@pytest.mark.parametrize("last", [STEP, STEP + 1, STEP + 1000])
def test_a_code_of_a_step_at_or_before_the_last_used_one_is_no_code(last):
    code = pyotp.HOTP(RFC_SECRET).at(STEP)
    assert totp.matching_step(RFC_SECRET, code, NOON, last) is None


def test_a_clock_moved_back_does_not_make_a_used_code_new():
    code = pyotp.HOTP(RFC_SECRET).at(STEP)
    for back in (timedelta(seconds=30), timedelta(days=300)):
        old = pyotp.TOTP(RFC_SECRET).at(NOON - back)
        assert totp.matching_step(RFC_SECRET, old, NOON - back, STEP) is None
        assert totp.matching_step(RFC_SECRET, code, NOON - back, STEP) is None


@pytest.mark.parametrize(
    "typed",
    ["", "12345", "1234567", "12345a", "\uff11\uff12\uff13\uff14\uff15\uff16", "-12345", "e" * 99],
)
def test_what_is_not_six_digits_is_no_code(typed):
    assert totp.matching_step(RFC_SECRET, typed, NOON, None) is None


def test_spaces_in_a_code_do_not_count():
    code = pyotp.HOTP(RFC_SECRET).at(STEP)
    assert totp.matching_step(RFC_SECRET, f" {code[:3]} {code[3:]} ", NOON, None) == STEP


def test_the_secret_has_160_bits_and_the_app_reads_it_from_the_address():
    secret = totp.new_secret()
    assert len(secret) == 32
    parsed = pyotp.parse_uri(totp.address(secret, "Ada & Söhne?"))
    assert parsed.secret == secret
    assert (parsed.name, parsed.issuer) == ("Ada & Söhne?", totp.ISSUER)


def test_recovery_codes_are_ten_all_different_and_easy_to_type():
    codes = totp.new_recovery_codes()
    assert len(set(codes)) == totp.RECOVERY_CODES
    for code in codes:
        assert not set(code) & set("01loi")
        for typed in (code, code.upper(), code.replace("-", ""), f" {code.replace('-', ' ')} "):
            assert totp.normal_recovery_code(typed) == code
