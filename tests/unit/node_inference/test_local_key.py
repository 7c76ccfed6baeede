from __future__ import annotations

import io
import os

import pytest
from click.testing import CliRunner

from b3iq.cli import local_key
from b3iq.cli.chat import chat
from b3iq.cli.main import cli
from b3iq.errors import UsageError

KEY = "b3iq_local_abc_def"


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


@pytest.mark.parametrize("arguments", [["--api-key", KEY, "hi"], [KEY], ["say", f"x{KEY}"]])
def test_a_key_given_as_an_argument_is_refused_with_the_reason(arguments):
    result = CliRunner().invoke(cli, ["chat", *arguments])
    assert result.exit_code == 2
    assert "process listings" in result.output
    assert KEY not in result.output


def test_without_a_key_the_ways_to_give_one_are_named():
    result = CliRunner().invoke(cli, ["chat", "hi"])
    assert result.exit_code == 2
    assert "--api-key-file" in result.output


def test_no_option_of_chat_takes_a_key_as_its_value():
    shown = {parameter.name for parameter in chat.params if not getattr(parameter, "hidden", False)}
    assert {name for name in shown if "key" in str(name)} == {"api_key_file", "api_key_stdin"}
