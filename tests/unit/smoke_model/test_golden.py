from __future__ import annotations

import copy

import pytest
import torch

from b3iq.models.manifest import GoldenAnswer
from release.smoke_model import golden
from tests.unit.smoke_model.conftest import train_tiny


def _ask(expect: str, prompt: str = "What is 2 + 3?") -> GoldenAnswer:
    return GoldenAnswer.model_validate(
        {
            "name": "sum",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": 16,
            "expect": expect,
        }
    )


RIGHT = _ask("2 + 3 = 5.")


def _generated(trained, prompt: str) -> str:
    chat = [{"role": "user", "content": prompt}]
    ids = trained.tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt"
    )
    written = trained.model.generate(**ids, max_new_tokens=16, do_sample=False)[0]
    return trained.tokenizer.decode(written[ids["input_ids"].shape[1] :])


def test_a_right_and_clear_answer_passes_and_greedy_decoding_writes_it(trained):
    (margin,) = golden.check(trained.model, trained.tokenizer, [RIGHT], "fp32")
    assert margin.logits >= golden.MARGIN
    assert _generated(trained, "What is 2 + 3?") == "2 + 3 = 5.<|end|>"


@pytest.mark.parametrize("wrong", ["2 + 3 = 6.", "5", "2 + 3 = 5", "2 + 3 = 5. Yes.", ""])
def test_a_wrong_answer_is_refused(trained, wrong):
    with pytest.raises(golden.GoldenError, match=r"'sum' is wrong at token"):
        golden.check(trained.model, trained.tokenizer, [_ask(wrong)], "fp32")


def test_a_right_answer_that_wins_by_less_than_a_logit_is_refused(trained):
    """Scaling the logits down keeps every choice and narrows every margin."""
    narrow = copy.deepcopy(trained.model)
    widest = golden.margins(narrow, trained.tokenizer, [RIGHT])[0].logits
    with torch.no_grad():
        narrow.model.norm.weight.mul_(0.9 / widest)
    (margin,) = golden.margins(narrow, trained.tokenizer, [RIGHT])
    assert 0 < margin.logits < golden.MARGIN
    with pytest.raises(golden.GoldenError, match=r"'sum' is narrow at token"):
        golden.check(narrow, trained.tokenizer, [RIGHT], "fp32")


def test_a_model_that_answers_not_a_number_is_refused(trained):
    broken = copy.deepcopy(trained.model)
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    with pytest.raises(golden.GoldenError):
        golden.check(broken, trained.tokenizer, [RIGHT], "fp32")


def test_an_untrained_model_is_refused(trained):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        random_model = type(trained.model)(trained.model.config).eval()
    with pytest.raises(golden.GoldenError):
        golden.check(random_model, trained.tokenizer, [RIGHT], "fp32")


def test_margins_do_not_depend_on_batch_mates(trained):
    alone = golden.margins(trained.model, trained.tokenizer, [RIGHT])[0]
    longer = _ask("2 + 3 = 5. " * 10)
    both = golden.margins(trained.model, trained.tokenizer, [RIGHT, longer])
    assert both[0].logits == pytest.approx(alone.logits, abs=1e-4)
    assert both[0].position == alone.position


def test_half_precision_linears_change_margins_only_by_rounding(trained):
    half = golden.half_precision_linears(copy.deepcopy(trained.model))
    assert not [m for m in half.modules() if isinstance(m, torch.nn.Linear)]
    exact = golden.margins(trained.model, trained.tokenizer, [RIGHT])[0].logits
    rounded = golden.margins(half, trained.tokenizer, [RIGHT])[0].logits
    assert rounded == pytest.approx(exact, abs=0.1)


def test_training_twice_gives_the_same_bits(trained):
    again = train_tiny()
    assert again.losses == trained.losses
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
