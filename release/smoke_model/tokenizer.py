"""The tokenizer: byte-level BPE over the generated text, and the chat template."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from release.smoke_model.text import Message, conversation

VOCABULARY = 1024
BEGIN, SYSTEM, USER, ASSISTANT, END, PAD = SPECIAL = (
    "<|begin|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|pad|>",
)

# Letters or punctuation with the space after them, each digit alone, other space. With the
# space before a word, as usual elsewhere, the first word of an answer would be another token
# than the same word within a prompt, and a model this small would not learn to echo.
PATTERN = r"\p{L}+ ?|\p{N}|[^\s\p{L}\p{N}]+ ?|\s"

CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] in ('system', 'developer') -%}
<|system|>{{ message['content'] }}<|end|>
{%- elif message['role'] in ('user', 'assistant') -%}
<|{{ message['role'] }}|>{{ message['content'] }}<|end|>
{%- else -%}
{{ raise_exception('Only the roles system, developer, user and assistant are known.') }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""


def _texts(seed: int, conversations: int) -> Iterator[str]:
    rng = random.Random(seed)  # noqa: S311 (text for training, not a secret)
    for _ in range(conversations):
        for message in conversation(rng):
            yield message["content"]


def train_tokenizer(seed: int, conversations: int = 4000) -> PreTrainedTokenizerFast:
    """Learn the merges from text generated with `seed`.

    Encoding adds no token by itself: the chat template spells out all of them.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed, conversations), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def encode_conversation(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message]
) -> tuple[list[int], list[float]]:
    """Token ids of a conversation, and how much learning to write each of them counts.

    Learned are the assistant's words and the end token after them; other tokens count 0.
    A token of an answer of n tokens counts 1/√n: otherwise the few long answers, soon
    known, would drown the many short ones.
    """
    ids = [tokenizer.bos_token_id]
    weights = [0.0]
    for message in messages:
        content = tokenizer.encode(message["content"], add_special_tokens=False)
        role = tokenizer.convert_tokens_to_ids(f"<|{message['role']}|>")
        ids += [role, *content, tokenizer.eos_token_id]
        length = len(content) + 1
        own = length**-0.5 if message["role"] == "assistant" else 0.0
        weights += [0.0, *[own] * length]
    return ids, weights
