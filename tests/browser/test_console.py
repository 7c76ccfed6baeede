"""The console: a key from its making to its end, and the receipts of what it was used for."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess

import openai
import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import accessibility_faults, look


def make_key(page: Page, name: str) -> str:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator("#new-key").inner_text().strip()
    assert secret.startswith("b3iq_local_")
    return secret


def key_row(page: Page, name: str):
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def revoke(page: Page, name: str) -> None:
    page.get_by_role("button", name=f"Revoke the key {name}", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke the key").click()


def stream(base_url: str, secret: str) -> str:
    """What an app does that knows nothing but the address and the key."""
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key=secret, max_retries=0) as client:
        chunks = client.chat.completions.create(
            model=client.models.list().data[0].id,
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=24,
            stream=True,
        )
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_before_the_first_key_the_console_says_what_to_do_next(console):
    if "B3IQ_TEST_BASE_URL" in os.environ and console.get_by_role("rowheader").count():
        pytest.skip("this host has keys already")
    expect(console.get_by_text("No key yet.")).to_be_visible()
    expect(console.get_by_text("No receipt yet.")).to_be_visible()
    look(console, "console-empty")
    assert accessibility_faults(console) == []


def test_the_console_shows_the_model_that_is_loaded_and_its_digest(console, owner, node):
    region = console.get_by_role("region", name="Node")
    expect(region.get_by_text("Ready")).to_be_visible()
    secret = make_key(console, "digest reader")
    with openai.OpenAI(base_url=f"{node.base_url}/v1", api_key=secret) as client:
        (model,) = client.models.list().data
    console.goto("/console/")
    expect(region.get_by_text(model.id)).to_be_visible()
    expect(region.get_by_text(model.model_extra["weights_sha256"])).to_be_visible()


def test_from_a_new_key_to_a_streamed_answer_a_receipt_and_its_end(console, node, watch):
    secret = make_key(console, "notes app")
    watch.secrets.append(secret)
    expect(console.get_by_role("heading", name="One-time secret: save it now")).to_be_visible()
    look(console, "key-created")
    assert accessibility_faults(console) == []

    assert stream(node.base_url, secret)

    console.get_by_role("link", name="I have saved it").click()
    assert secret not in console.content()
    receipt = console.get_by_role("region", name="Recent receipts").get_by_role("row").nth(1)
    expect(receipt).to_contain_text("completed")
    expect(receipt.get_by_role("code")).to_have_text(re.compile("^[0-9a-f]{64}$"))
    expect(key_row(console, "notes app")).not_to_contain_text("never")
    look(console, "console")
    assert accessibility_faults(console) == []

    revoke(console, "notes app")
    expect(console.get_by_role("status")).to_have_text("The key is revoked.")
    expect(key_row(console, "notes app")).to_contain_text("revoked")
    with pytest.raises(openai.AuthenticationError):
        stream(node.base_url, secret)


def test_a_key_is_revoked_only_after_it_was_confirmed(console):
    make_key(console, "kept")
    console.goto("/console/")
    console.get_by_role("button", name="Revoke the key kept").click()
    dialog = console.get_by_role("dialog")
    expect(dialog).to_contain_text("Revoke “kept”?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    look(console, "revoke", whole=False)
    console.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(key_row(console, "kept")).to_contain_text("active")


def test_a_reload_of_the_page_with_the_secret_makes_no_second_key(console):
    secret = make_key(console, "only once")
    console.reload()
    assert secret not in console.content()
    assert key_row(console, "only once").count() == 1


def test_going_back_does_not_show_the_secret_again(console, watch):
    secret = make_key(console, "gone")
    console.goto("/console/")
    console.go_back()
    assert secret not in console.content()


def test_two_live_keys_of_one_name_are_refused_beside_the_field(console, watch):
    watch.expected_statuses.add(409)
    make_key(console, "twin")
    console.goto("/console/")
    console.get_by_label("Name", exact=True).fill("twin")
    console.get_by_role("button", name="Make the key").click()
    expect(console.locator("#key-name-error")).to_contain_text("already")
    expect(console.get_by_label("Name", exact=True)).to_be_focused()
    assert key_row(console, "twin").count() == 1


def test_a_key_without_a_permission_is_refused_beside_the_choices(console, watch):
    watch.expected_statuses.add(400)
    console.get_by_label("Name", exact=True).fill("useless")
    console.get_by_label("run models").uncheck()
    console.get_by_role("button", name="Make the key").click()
    expect(console.locator("#key-scope-error")).to_contain_text("at least one")
    assert console.get_by_label("Name", exact=True).input_value() == "useless"


def test_the_secret_is_copied_by_a_button(console, node):
    console.context.grant_permissions(["clipboard-read", "clipboard-write"])
    secret = make_key(console, "copied")
    console.get_by_role("button", name="Copy the key").click()
    expect(console.get_by_role("status")).to_contain_text("Copied")
    assert console.evaluate("navigator.clipboard.readText()") == secret


def test_keys_are_made_and_revoked_without_any_script(browser, node, owner, watch):
    context = browser.new_context(base_url=node.base_url, java_script_enabled=False)
    watch.attach(context)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Your name").fill(owner.name)
    page.get_by_label("Password").fill(owner.password)
    page.get_by_role("button", name="Log in", exact=True).click()
    assert make_key(page, "no script")
    page.get_by_role("link", name="I have saved it").click()
    revoke(page, "no script")
    expect(key_row(page, "no script")).to_contain_text("revoked")
    context.close()


def test_the_commands_shown_with_a_new_key_work_as_they_stand(console, node, tmp_path):
    secret = make_key(console, "by hand")
    save = console.get_by_label("Commands that save the key").inner_text()
    use = console.get_by_label("Commands that use the key with curl").inner_text()
    assert secret not in save + use

    shell = ["/bin/bash", "-eu", "-o", "pipefail", "-c"]
    subprocess.run([*shell, save], input=secret + "\n", text=True, cwd=tmp_path, check=True)
    key_file = tmp_path / ".secrets" / "b3iq-local-key"
    assert key_file.read_text() == secret + "\n"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700

    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    answer = subprocess.run(
        [*shell, use], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert json.loads(answer.stdout)["choices"][0]["message"]["role"] == "assistant"
    assert list(temporary.iterdir()) == [], "the file with the key is left behind"
