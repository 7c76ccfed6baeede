"""Which errors become pages, for whom, and what they say."""

from __future__ import annotations

import pytest
from flask import Flask

from b3iq.console import error_pages
from b3iq.console.notices import notice_of
from b3iq.errors import B3iqError

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
APP = Flask("console-test", static_folder=None)


def refusal(status: int) -> B3iqError:
    error = B3iqError("What happened.", remedy="What to do.")
    error.status = status
    return error


@pytest.mark.parametrize("path", ["/", "/login", "/console/", "/console/keys", "/setup/", "/any"])
def test_a_browser_gets_a_page(path):
    with APP.test_request_context(path, headers={"accept": BROWSER}):
        assert error_pages.wants_page()


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/plain", ""])
def test_a_program_gets_no_page(accept):
    with APP.test_request_context("/console/", headers={"accept": accept}):
        assert not error_pages.wants_page()


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/none", "/setup/claim", "/metrics", "/health", "/admin/keys"]
)
def test_an_address_for_programs_never_answers_with_a_page(path):
    with APP.test_request_context(path, headers={"accept": BROWSER}):
        assert not error_pages.wants_page()


def test_an_ended_session_leads_a_reader_to_the_login_and_says_why():
    with APP.test_request_context("/console/"):
        answer = error_pages.error_page(refusal(401), had_session=True)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?notice=session-ended"


def test_a_stranger_is_led_to_the_login_without_a_word_of_a_session():
    with APP.test_request_context("/console/"):
        answer = error_pages.error_page(refusal(401), had_session=False)
    assert answer.headers["location"] == "/login"


def test_a_form_sent_after_the_session_ended_is_told_that_nothing_was_changed():
    with APP.test_request_context("/console/keys", method="POST"):
        answer = error_pages.error_page(refusal(401), had_session=True)
    assert answer.status_code == 401
    assert "Nothing was changed" in answer.get_data(as_text=True)


def test_the_page_for_a_foreign_name_needs_no_other_file_of_the_node():
    with APP.test_request_context("/"):
        answer = error_pages.error_page(refusal(421), had_session=False)
    assert answer.status_code == 421
    body = answer.get_data(as_text=True)
    assert "/static/" not in body
    assert "localhost" in body


@pytest.mark.parametrize("status", [403, 404, 405, 413, 429, 500, 503])
def test_every_other_error_is_a_page_with_its_status_and_a_way_on(status):
    with APP.test_request_context("/console/"):
        answer = error_pages.error_page(refusal(status), had_session=True)
    assert answer.status_code == status
    assert 'href="/"' in answer.get_data(as_text=True)


def test_an_error_without_words_of_its_own_shows_detail_and_remedy():
    with APP.test_request_context("/console/"):
        answer = error_pages.error_page(refusal(503), had_session=True)
    assert "What happened. What to do." in answer.get_data(as_text=True)


def test_a_notice_is_chosen_by_name_and_no_link_can_put_words_on_the_page():
    assert notice_of("logged-out").text == "You are logged out."
    assert notice_of("Call this number") is None
    assert notice_of(None) is None
