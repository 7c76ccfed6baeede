from __future__ import annotations

import io
import json
import os

import pytest
from click.testing import CliRunner

from b3iq.cli import local_key
from b3iq.cli.chat import chat
from b3iq.cli.main import cli
from b3iq.credentials import tokens
from b3iq.errors import UsageError

KEY = tokens.mint("local").text


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    monkeypatch.delenv(local_key.VARIABLE, raising=False)
    monkeypatch.delenv(local_key.FILE_VARIABLE, raising=False)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return path


def test_the_environment_is_the_last_resort_and_is_emptied(monkeypatch, key_file):
    monkeypatch.setenv(local_key.VARIABLE, "from-environment")
    assert local_key.read(None, from_stdin=False) == "from-environment"
    assert local_key.VARIABLE not in os.environ
    monkeypatch.setenv(local_key.VARIABLE, "from-environment")
    monkeypatch.setenv(local_key.FILE_VARIABLE, str(key_file))
    assert local_key.read(None, from_stdin=False) == KEY
    assert local_key.VARIABLE not in os.environ


def test_the_key_comes_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\nmore"))
    assert local_key.read(None, from_stdin=True) == KEY


def test_a_key_file_that_others_can_read_is_refused(key_file):
    key_file.chmod(0o640)
    with pytest.raises(UsageError, match="other users"):
        local_key.read(key_file, from_stdin=False)


def test_a_missing_key_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="missing"):
        local_key.read(tmp_path / "missing", from_stdin=False)


ELSEWHERE = {
    "as an option of chat": ["chat", "--api-key", "{}", "hi"],
    "as an option with its value": ["chat", "--api-key={}", "hi"],
    "before the verb": ["--api-key={}", "chat", "hi"],
    "as a token of another program": ["chat", "--token", "{}"],
    "as a message": ["chat", "{}"],
    "within a message": ["chat", "say", "x{}"],
    "after a double dash": ["chat", "--", "--key={}"],
    "as a file": ["chat", "--api-key-file", "{}"],
    "in an address": ["chat", "--base-url", "http://{}@localhost:8831", "hi"],
    "as the id of a key": ["keys", "revoke", "{}"],
    "as the name of a key": ["keys", "create", "{}"],
    "as a state directory": ["--state", "{}", "status"],
    "with a verb that is none": ["login", "{}"],
    "beside a question for help": ["chat", "--help", "{}"],
}


@pytest.mark.parametrize("arguments", ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("spoil", [str, lambda key: key[:-20], lambda key: key + "x"])
def test_a_key_given_as_an_argument_is_refused_with_the_reason(arguments, spoil):
    key = spoil(KEY)
    result = CliRunner().invoke(cli, [word.replace("{}", key) for word in arguments])
    assert result.exit_code == 2
    assert "process listings" in result.output
    assert "--api-key-file" in result.output
    assert "keys list" in result.output
    assert not [part for part in key.split("_")[2:] if part in result.output]


@pytest.mark.parametrize("option", ["--api-key", "--key", "--token", "--password", "--secret"])
def test_an_option_for_a_secret_is_refused_whatever_its_value(option):
    for words in ([option, "canary"], [f"{option}=canary"]):
        result = CliRunner().invoke(cli, ["chat", *words, "hi"])
        assert result.exit_code == 2
        assert "process listings" in result.output
        assert "canary" not in result.output


def test_a_refused_key_is_told_to_programs_as_json():
    result = CliRunner().invoke(cli, ["keys", "revoke", "--json", KEY])
    assert result.exit_code == 2
    assert json.loads(result.stderr)["error"]["code"] == "usage"


@pytest.mark.parametrize("word", [".secrets/b3iq_local_key", "what is b3iq_local_?", "--", "-key-"])
def test_what_only_speaks_of_keys_is_no_key(word):
    local_key.refuse_in_arguments(["chat", word])


def test_without_a_key_the_ways_to_give_one_are_named():
    result = CliRunner().invoke(cli, ["chat", "hi"])
    assert result.exit_code == 2
    assert "--api-key-file" in result.output


def test_no_option_of_chat_takes_a_key_as_its_value():
    shown = {parameter.name for parameter in chat.params if not getattr(parameter, "hidden", False)}
    assert {name for name in shown if "key" in str(name)} == {"api_key_file", "api_key_stdin"}
