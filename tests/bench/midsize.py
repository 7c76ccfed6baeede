"""A random Llama of 135 million weights (SmolLM2's shape), made once and cached.

The embedded model is so small that HTTP would be most of what is measured; this one has
the size of the smallest model that somebody would really serve.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from b3iq.models.manifest import write_manifest

NAME = "bench-135m"
VOCABULARY = 49152
CONTEXT = 512
END = "<|end|>"
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": True,
}


def words(count: int) -> list[str]:
    """Distinct pseudo-words, the same every time."""
    rng = random.Random(135)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choices("abcdefghijklmnoprstuvwxyz", k=rng.randint(4, 6)))] = None
    return list(found)


def midsize() -> Path:
    """The model's directory, made if it is not in the cache."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "b3iq" / "models"
    directory = cache / f"{NAME}-{recipe}"
    if not (directory / "manifest.json").is_file():
        beside = cache / f".{NAME}-{os.getpid()}"
        try:
            _make(beside)
            shutil.rmtree(directory, ignore_errors=True)
            beside.rename(directory)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return directory


def _tokenizer() -> PreTrainedTokenizerFast:
    """Whole words with their space before them, bytes for the rest: a token a word."""
    specials = [END, "<|system|>", "<|user|>", "<|assistant|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = [*specials, *alphabet]
    vocabulary = {token: index for index, token in enumerate(known)}
    for word in words(VOCABULARY - len(known)):
        vocabulary[f"Ġ{word}"] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in specials])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, chat_template=TEMPLATE)


def _make(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True)
    tokens = _tokenizer()
    torch.manual_seed(135)
    config = LlamaConfig(**SHAPE, bos_token_id=None, eos_token_id=tokens.eos_token_id)
    model = LlamaForCausalLM(config)
    model.half().save_pretrained(directory)
    tokens.save_pretrained(directory)
    write_manifest(
        directory,
        name=NAME,
        version="1",
        description="Random weights in the shape of SmolLM2 135M, for benchmarks.",
        architecture="LlamaForCausalLM",
        parameters=model.num_parameters(),
        context_length=CONTEXT,
        licence="Apache-2.0",
        source="tests/bench",
    )
