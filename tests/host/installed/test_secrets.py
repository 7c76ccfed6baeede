"""Canaries: no secret and no prompt in a journal, a process listing, an environment, a file, or
in what playbooks and commands print."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from b3iq.credentials import secret_files
from tests.host.canaries import found_in, sealed, search
from tests.host.conftest import Playbook
from tests.host.installed.conftest import Node
from tests.host.installed.owner import Owner

PROMPT = "canary prompt 7f3a91c4e2 of the host tests"


@pytest.fixture(scope="module")
def needles(node: Node) -> Iterator[dict[str, str | bytes]]:
    """The secrets of a node that has been used, right and wrong, with each of them."""
    assert node.setup_token, "run these on a host that nobody has claimed yet"
    ask = {"model": "b3iq-smoke", "messages": [{"role": "user", "content": PROMPT}]}
    client = node.client()
    answer = client.chat.completions.create(**ask, max_tokens=48, temperature=0)
    list(client.chat.completions.create(**ask, stream=True, max_tokens=8))
    foreign = "b3iq_gateway_0000canary_" + "c" * 40
    for key in (foreign, node.setup_token):
        refused = node.client(key).with_options(max_retries=0)
        with pytest.raises(Exception, match="401"):
            refused.chat.completions.create(**ask)
    with pytest.raises(Exception, match="400"):
        client.chat.completions.create(**ask, n=3)
    said = str(answer.choices[0].message.content)
    owner = Owner(node.base_url, node.owner_password)
    shown = owner.turn_second_factor_on()
    yield {
        "setup token": node.setup_token,
        "local key": node.key,
        "gateway key": foreign,
        "owner password": node.owner_password,
        "session cookie": shown.cookie,
        "second factor": shown.totp,
        "recovery code": shown.recovery_code,
        "token pepper": sealed(node.host, secret_files.TOKEN_PEPPER),
        "node identity": sealed(node.host, secret_files.NODE_IDENTITY),
        "prompt": PROMPT,
        # A few words could be in any file; the test below shows that this is long enough.
        "output": said[:60],
    }
    owner.close()


def test_no_secret_prompt_or_output_is_anywhere(
    node: Node, needles: dict[str, str | bytes]
) -> None:
    assert search(node.host, needles) == []


def test_no_secret_is_in_what_the_playbook_and_doctor_print(
    node: Node, needles: dict[str, str | bytes], playbook: Playbook
) -> None:
    printed = playbook("install", "--diff", "-vvv")
    assert printed.returncode == 0, printed.stdout[-2000:]
    examined = node.host.run("b3iq doctor --json", check=False).stdout
    listed = node.host.run(
        "b3iq audit list --json; b3iq sessions list --json; b3iq keys list --json"
    )
    told = (printed.stdout + printed.stderr + examined + listed.stdout).encode()
    assert b"TASK [node : configure | Make the credentials" in told
    assert found_in({"what was printed": told}, needles) == []


@pytest.fixture
def leak(node: Node) -> Iterator[str]:
    """A secret that somebody did put everywhere: in an argument, an environment, the journal."""
    planted = "planted-leak-5d1e77"
    node.host.run(
        f"systemd-run --quiet --unit=planted-leak --setenv=LEAK={planted} sleep 300 && "
        f"systemd-run --quiet --unit=planted-argument sh -c ': {planted}; sleep 300' && "
        f"echo {base64.b64encode(planted.encode()).decode()} | systemd-cat -t planted && "
        f"echo {planted.encode().hex()} >/var/log/planted-leak && journalctl --sync"
    )
    yield planted
    node.host.run("systemctl stop planted-leak planted-argument; rm /var/log/planted-leak")


def test_the_search_finds_a_planted_leak_in_each_place(node: Node, leak: str) -> None:
    found = search(node.host, {"leak": leak})
    assert "leak in the journal" in found
    assert "leak in environ of sleep" in found
    assert "leak in cmdline of sh" in found
    assert "leak in /var/log/planted-leak" in found
