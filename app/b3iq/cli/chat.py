"""`b3iq chat`: ask a model of the node, once or in a conversation; a small API client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from b3iq.cli import local_key, output
from b3iq.cli.client import NodeUnreachable
from b3iq.errors import B3iqError, UsageError

_CONNECT_S = 5.0


class ChatRefused(B3iqError):
    """The node answered with an error; its words are in `detail`."""

    code = "refused"
    title = "The node refused"


@dataclass
class Reply:
    """An answer as it grows; `facts` is the node's `b3iq` object once it is complete."""

    text: str = ""
    finish_reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@click.command()
@click.option(
    "--base-url",
    envvar="B3IQ_LOCAL_BASE_URL",
    default="http://localhost:8831",
    show_default=True,
    help="The node, without /v1.",
)
@click.option(
    "--api-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the local key, mode 0600.",
)
@click.option("--api-key-stdin", is_flag=True, help="Read the key from standard input.")
@click.option("--model", help="Model to ask (default: the first that is installed).")
@click.option("--system", help="What the model is told before the conversation.")
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0 takes the likeliest token.")
@click.option("--seed", type=int, help="Equal seeds give equal answers.")
@output.json_option
@click.argument("message", nargs=-1)
def chat(
    base_url: str,
    api_key_file: Path | None,
    api_key_stdin: bool,
    model: str | None,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    message: tuple[str, ...],
) -> None:
    """Ask a model: MESSAGE once, or without it a conversation until Ctrl-D."""
    key = local_key.read(api_key_file, from_stdin=api_key_stdin)
    if not message and (api_key_stdin or output.is_json()):
        raise UsageError("A conversation needs the terminal.", remedy="Give a MESSAGE.")
    settings = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    with _client(base_url, key) as client:
        asking: dict[str, Any] = {
            name: value for name, value in settings.items() if value is not None
        }
        asking["model"] = model or _first_model(client)
        history = [{"role": "system", "content": system}] if system else []
        if message:
            _ask(client, asking, history, " ".join(message))
        else:
            _converse(client, asking, history)


def _client(base_url: str, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=base_url.rstrip("/"),
        headers={"Authorization": f"Bearer {key}"},
        # An answer may take as long as it takes; Ctrl-C ends it.
        timeout=httpx.Timeout(None, connect=_CONNECT_S),
        # No proxy and no netrc of the environment may see the key.
        trust_env=False,
    )


def _first_model(client: httpx.Client) -> str:
    try:
        answer = client.get("/v1/models")
    except httpx.HTTPError as error:
        raise _unreachable(client) from error
    if answer.is_error:
        raise _refusal(answer.content)
    models = answer.json()["data"]
    if not models:
        raise ChatRefused("The node has no model installed.")
    return str(models[0]["id"])


def _converse(client: httpx.Client, asking: dict[str, Any], history: list[dict[str, str]]) -> None:
    console = output.terminal()
    console.print(f"Talking to {asking['model']}. Ctrl-D ends.", style="dim")
    while True:
        try:
            said = console.input("[bold cyan]you>[/] ")
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if said.strip():
            try:
                _ask(client, asking, history, said)
            except KeyboardInterrupt:
                console.print("\n(stopped)", style="dim")
            except ChatRefused as error:
                output.show_error(error)
                history.pop()


def _ask(
    client: httpx.Client, asking: dict[str, Any], history: list[dict[str, str]], said: str
) -> None:
    history.append({"role": "user", "content": said})
    console = output.terminal()
    reply = Reply()
    for text in _stream(client, asking | {"messages": history, "stream": True}, reply):
        if not output.is_json():
            console.print(text, end="", markup=False, soft_wrap=True)
    history.append({"role": "assistant", "content": reply.text})
    if output.is_json():
        fields = {"text": reply.text, "finish_reason": reply.finish_reason, "b3iq": reply.facts}
        click.echo(json.dumps(fields))
        return
    console.print()
    cut = " (cut at the token limit)" if reply.finish_reason == "length" else ""
    console.print(f"receipt {reply.facts.get('receipt_hash')}{cut}", style="dim", soft_wrap=True)


def _stream(client: httpx.Client, body: dict[str, Any], reply: Reply) -> Iterator[str]:
    try:
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.is_error:
                raise _refusal(answer.read())
            for line in answer.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                event = json.loads(line[6:])
                if "error" in event:
                    raise _refusal(line[6:].encode())
                reply.facts = event.get("b3iq", reply.facts)
                for choice in event["choices"]:
                    reply.finish_reason = choice["finish_reason"] or reply.finish_reason
                    text = choice["delta"].get("content") or ""
                    reply.text += text
                    yield text
    except httpx.HTTPError as error:
        raise _unreachable(client) from error


def _refusal(body: bytes) -> ChatRefused:
    try:
        error = json.loads(body)["error"]
        receipt = error.get("b3iq", {}).get("receipt_hash")
        words = str(error.get("message") or error.get("detail"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return ChatRefused("The answer is not one of a B3IQ node.")
    return ChatRefused(words, remedy=f"Receipt {receipt}." if receipt else "")


def _unreachable(client: httpx.Client) -> NodeUnreachable:
    return NodeUnreachable(
        f"No node answers at {client.base_url}, or the answer broke off.",
        remedy="Start it (`b3iq serve`, or systemctl start b3iq-node), or name it with --base-url.",
    )
