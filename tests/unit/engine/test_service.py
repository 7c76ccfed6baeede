from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from b3iq.engine.errors import (
    Cancelled,
    ContextLengthExceeded,
    EngineOverloaded,
    RequestRefused,
)
from b3iq.engine.service import Engine, SamplingSettings, TokenStream
from b3iq.engine.stream import Delta

from .conftest import StartEngine

GREEDY = SamplingSettings(temperature=0, max_tokens=24, ignore_end=True)
LONG = SamplingSettings(temperature=0, ignore_end=True)
PROMPT = [5, 6, 7, 8]


def value(engine: Engine, name: str, **labels: str) -> float:
    return engine.metrics.registry.get_sample_value(name, labels) or 0.0


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def text(stream: TokenStream) -> str:
    return "".join(delta.text for delta in stream)


def test_usage_counts_every_token_and_the_last_delta_says_why(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny)
    stream = engine.submit(PROMPT, GREEDY)
    deltas = list(stream)
    assert stream.prompt_tokens == 4
    assert deltas[-1].completion_tokens == 24
    assert deltas[-1].finish_reason == "length"
    counts = [delta.completion_tokens for delta in deltas]
    assert counts == sorted(counts)
    assert value(engine, "vllm:generation_tokens_total") == 24
    assert value(engine, "vllm:prompt_tokens_total") == 4
    assert value(engine, "vllm:request_success_total", finished_reason="length") == 1


def test_the_end_token_stops_the_answer_and_is_counted_but_not_shown(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny)
    first = []
    seeds = iter(range(1000))
    while not first or first[-1].finish_reason != "stop":
        settings = SamplingSettings(temperature=2.0, seed=next(seeds))
        first = list(engine.submit(PROMPT, settings))
    assert "<|end|>" not in "".join(delta.text for delta in first)
    again = list(
        engine.submit(PROMPT, SamplingSettings(temperature=2.0, seed=settings.seed, max_tokens=999))
    )
    assert again[-1] == Delta(again[-1].text, first[-1].completion_tokens, "stop")


def test_a_stop_string_ends_the_answer_before_it(tiny: Path, start_engine: StartEngine) -> None:
    engine = start_engine(tiny)
    whole = text(engine.submit(PROMPT, LONG))
    stop = whole[20:24]
    cut = whole.index(stop)
    stream = engine.submit(PROMPT, SamplingSettings(temperature=0, stop=(stop,), ignore_end=True))
    deltas = list(stream)
    assert "".join(delta.text for delta in deltas) == whole[:cut]
    assert deltas[-1].finish_reason == "stop"


def test_a_seed_repeats_its_answer_beside_any_batch_mates(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny)
    settings = SamplingSettings(seed=42, max_tokens=30, ignore_end=True)
    alone = text(engine.submit(PROMPT, settings))
    mates = [
        engine.submit([9 + n], SamplingSettings(seed=n, top_p=0.8, ignore_end=True))
        for n in range(6)
    ]
    beside = engine.submit(PROMPT, settings)
    assert text(beside) == alone
    for mate in mates:
        text(mate)
    other = SamplingSettings(seed=43, max_tokens=30, ignore_end=True)
    assert text(engine.submit(PROMPT, other)) != alone


def test_without_a_seed_answers_differ(tiny: Path, start_engine: StartEngine) -> None:
    engine = start_engine(tiny)
    settings = SamplingSettings(max_tokens=30, ignore_end=True)
    assert len({text(engine.submit(PROMPT, settings)) for _ in range(4)}) > 1


def test_a_late_short_request_does_not_wait_for_an_early_long_one(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny, precision="fp32")
    long = engine.submit(PROMPT, LONG)
    next(iter(long))
    short = engine.submit([9, 9], SamplingSettings(temperature=0, max_tokens=2, ignore_end=True))
    text(short)
    assert engine.unfinished == 1
    text(long)


def test_answers_end_at_the_end_of_the_context(tiny: Path, start_engine: StartEngine) -> None:
    engine = start_engine(tiny)
    for length in (255, 200):
        deltas = list(engine.submit([7] * length, LONG))
        assert deltas[-1].completion_tokens == 256 - length
        assert deltas[-1].finish_reason == "length"


@pytest.mark.parametrize("length", [256, 5000])
def test_a_prompt_that_leaves_no_room_is_refused(
    tiny: Path, start_engine: StartEngine, length: int
) -> None:
    with pytest.raises(ContextLengthExceeded) as refused:
        start_engine(tiny).submit([7] * length, GREEDY)
    assert refused.value.param == "messages"


def test_messages_too_long_for_any_tokenizer_are_refused_before_they_cost_anything(
    tiny: Path, start_engine: StartEngine
) -> None:
    """Reading four megabytes takes twenty seconds of a core and a gigabyte of memory."""
    engine = start_engine(tiny)
    with pytest.raises(ContextLengthExceeded) as refused:
        engine.encode_chat([{"role": "user", "content": "word " * 800_000}])
    assert refused.value.param == "messages"


def test_messages_of_the_longest_tokens_are_read_as_long_as_they_fit(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny)
    tokenizer = engine.model.tokenizer
    longest = max((tokenizer.decoder.decode([token]) for token in range(400)), key=len)
    prompt = engine.encode_chat([{"role": "user", "content": longest * 200}])
    assert text(engine.submit(prompt, GREEDY))


def test_long_prompts_are_read_one_after_the_other_and_short_ones_pass_them(
    tiny: Path, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b3iq.engine.service._LONG_PROMPT", 100)
    monkeypatch.setattr("b3iq.engine.service._READING_S", 0.01)
    engine = start_engine(tiny)
    long, short = ([{"role": "user", "content": "word " * count}] for count in (30, 3))
    with engine._reading:
        assert engine.encode_chat(short)
        with pytest.raises(EngineOverloaded):
            engine.encode_chat(long)
    assert engine.encode_chat(long)


@pytest.mark.parametrize("prompt", [[], [-1], [10**6], [5, 100_000]])
def test_a_token_outside_the_vocabulary_is_refused_and_harms_nobody(
    tiny: Path, start_engine: StartEngine, prompt: list[int]
) -> None:
    engine = start_engine(tiny)
    with pytest.raises(RequestRefused):
        engine.submit(prompt, GREEDY)
    assert text(engine.submit(PROMPT, GREEDY))


def test_messages_that_the_template_refuses_are_the_clients_fault(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny)
    with pytest.raises(RequestRefused) as refused:
        engine.encode_chat([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}])
    assert refused.value.param == "messages"


def test_a_cancelled_answer_ends_within_two_steps_and_frees_its_slot(
    tiny: Path, start_engine: StartEngine, stepwise: threading.Semaphore
) -> None:
    engine = start_engine(tiny, batch_limit=1, queue_limit=1)
    stream = engine.submit(PROMPT, LONG)
    waiting = engine.submit(PROMPT, GREEDY)
    stepwise.release(5)
    eventually(lambda: value(engine, "vllm:generation_tokens_total") >= 6)
    stream.cancel()
    before = value(engine, "vllm:generation_tokens_total")
    stepwise.release(1)
    with pytest.raises(Cancelled):
        list(stream)
    assert value(engine, "vllm:generation_tokens_total") - before <= 2
    stepwise.release(100)
    assert text(waiting)
    assert value(engine, "b3iq_engine_requests_ended_total", reason="cancelled") == 1
    assert engine.unfinished == 0


def test_a_request_cancelled_in_the_queue_never_runs(
    tiny: Path, start_engine: StartEngine, stepwise: threading.Semaphore
) -> None:
    engine = start_engine(tiny, batch_limit=1, queue_limit=1)
    running = engine.submit(PROMPT, GREEDY)
    waiting = engine.submit([9] * 50, GREEDY)
    waiting.cancel()
    stepwise.release(100)
    with pytest.raises(Cancelled):
        list(waiting)
    text(running)
    assert value(engine, "vllm:prompt_tokens_total") == 4


def test_cancelling_one_does_not_change_the_answers_of_the_others(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny)
    asked = [[5 + n] * (3 + n) for n in range(6)]
    alone = [text(engine.submit(prompt, GREEDY)) for prompt in asked]
    victims = [engine.submit([50 + n], LONG) for n in range(3)]
    streams = []
    for prompt, victim in zip(asked, [*victims, *victims], strict=True):
        streams.append(engine.submit(prompt, GREEDY))
        victim.cancel()
    assert [text(stream) for stream in streams] == alone


def test_past_the_queue_limit_requests_are_refused_at_once(
    tiny: Path, start_engine: StartEngine, stepwise: threading.Semaphore
) -> None:
    engine = start_engine(tiny, batch_limit=2, queue_limit=3)
    streams = [engine.submit(PROMPT, GREEDY) for _ in range(5)]
    with pytest.raises(EngineOverloaded) as refused:
        engine.submit(PROMPT, GREEDY)
    assert refused.value.status == 429
    stepwise.release(1000)
    assert len({text(stream) for stream in streams}) == 1
    assert text(engine.submit(PROMPT, GREEDY))


def test_many_threads_of_clients_all_get_their_own_answers(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny, batch_limit=4, queue_limit=100)
    asked = [[5 + n] * (1 + n % 7) for n in range(24)]
    alone = [text(engine.submit(prompt, GREEDY)) for prompt in asked]
    got: dict[int, str] = {}

    def ask(index: int) -> None:
        got[index] = text(engine.submit(asked[index], GREEDY))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[index] for index in range(24)] == alone
    assert engine.unfinished == 0


def test_at_high_rates_a_delta_carries_several_tokens(
    tiny: Path, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b3iq.engine.loop._WAKEUPS_PER_SECOND", 0.01)
    deltas = list(start_engine(tiny).submit(PROMPT, GREEDY))
    assert [delta.completion_tokens for delta in deltas] == [1, 24]
