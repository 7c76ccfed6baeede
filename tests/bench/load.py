"""The two ways to the same answers: the bare engine loop, and the whole path over HTTP.

Both are given the same distinct prompts at the same moment and count tokens by `usage`.
The HTTP client runs on the same cores as what it measures, so it does as little as it can:
it reads events as bytes and looks into the last one alone.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from b3iq.engine.service import Engine, SamplingSettings
from tests.bench.midsize import words
from tests.integration.openai.served import Served

PROMPT_WORDS = 112
ANSWER_TOKENS = 64


@dataclass(frozen=True)
class Run:
    """One round: tokens generated in all, seconds from the first request to the last token.

    `node_cpu_s` is the processor time of the node's own processes meanwhile. It says what
    the node costs even where the machine has other work.
    """

    tokens: int
    seconds: float
    node_cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def prompts(count: int, seed: int, length: int = PROMPT_WORDS) -> list[list[dict[str, str]]]:
    """Distinct conversations, distinct from those of other seeds too."""
    rng = random.Random(seed)
    vocabulary = words(4096)
    return [
        [{"role": "user", "content": " " + " ".join(rng.choices(vocabulary, k=length))}]
        for _ in range(count)
    ]


def through_engine(engine: Engine, asked: list[list[dict[str, str]]], answer: int) -> Run:
    """Ask the engine in this process."""
    settings = SamplingSettings(temperature=0, max_tokens=answer)
    started = time.perf_counter()
    streams = [engine.submit(engine.encode_chat(messages), settings) for messages in asked]
    tokens = 0
    for stream in streams:
        for delta in stream:
            last = delta
        tokens += last.completion_tokens
    return Run(tokens, time.perf_counter() - started)


def through_path(served: Served, asked: list[list[dict[str, str]]], answer: int) -> Run:
    """Ask the node over HTTP: key check, receipt and re-emission included."""
    counts = [0] * len(asked)
    barrier = threading.Barrier(len(asked) + 1)

    def ask(index: int) -> None:
        request = _request(served, asked[index], answer)
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            barrier.wait()
            connection.sendall(request)
            counts[index] = _count(connection)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(asked))]
    for thread in threads:
        thread.start()
    before = _node_cpu_s(served)
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if 0 in counts:
        raise RuntimeError("an answer was refused or broke off")
    return Run(sum(counts), seconds, _node_cpu_s(served) - before)


def _node_cpu_s(served: Served) -> float:
    """User and system time of the node's processes (proc(5): stat fields 14 and 15)."""
    ticks = 0
    for pid in served.processes("node"):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _request(served: Served, messages: list[dict[str, str]], answer: int) -> bytes:
    body = json.dumps(
        {
            "model": served.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": answer,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {served.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _count(connection: socket.socket) -> int:
    tail = b""
    while part := connection.recv(65536):
        tail = (tail + part)[-4096:]
    events = [line for line in tail.split(b"\n") if line.startswith(b"data: {")]
    if not events or b"data: [DONE]" not in tail:
        return 0
    return int(json.loads(events[-1][6:])["usage"]["completion_tokens"])
