"""Small random Llama models in real model directories: trained tokenizer, chat template,
safetensors, manifest. Nothing is downloaded, and the same arguments give the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from b3iq.models.manifest import write_manifest

END = "<|end|>"
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' and not loop.first %}"
    "{{ raise_exception('the system speaks first') }}{% endif %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXT = [
    "The node answers its owner and nobody else.",
    "Wörter mit Umlauten: äöüß, 日本語, Ελληνικά, emoji 🙂🚀 and numbers 0123456789.",
    "def add(a, b):\n    return a + b\n",
] * 20


def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END, "<|system|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, chat_template=TEMPLATE)


def byte_fallback_tokenizer() -> Tokenizer:
    """A tokenizer in the manner of Llama 2: what is not in the vocabulary is spelled in bytes."""
    words = ["<unk>", "▁", "a", "b", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return backend


def build(
    directory: Path, *, seed: int = 0, name: str = "tiny", endless: bool = False, **changes: Any
) -> Path:
    """Write a complete model directory; `changes` are fields of LlamaConfig.

    An endless model (untied) never ends a greedy answer: its end token's logit is the mean
    of two others', so it is never the largest.
    """
    tokens = tokenizer()
    fields: dict[str, Any] = {
        "vocab_size": len(tokens),
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": tokens.eos_token_id,
    }
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**(fields | changes)))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data.normal_(1.0, 0.1)
    if endless:
        rows = model.lm_head.weight.data
        rows[tokens.eos_token_id] = rows[10:12].mean(0)
    directory.mkdir(parents=True)
    model.save_pretrained(directory)
    tokens.save_pretrained(directory)
    return seal(directory, name=name, parameters=model.num_parameters())


def seal(directory: Path, *, name: str = "tiny", parameters: int = 1) -> Path:
    """Write the manifest of what lies in the directory."""
    write_manifest(
        directory,
        name=name,
        version="1",
        description="Random weights for tests.",
        architecture="LlamaForCausalLM",
        parameters=parameters,
        context_length=256,
        licence="Apache-2.0",
        source="tests",
    )
    return directory


def reference(directory: Path, *, half: bool = False) -> LlamaForCausalLM:
    """transformers' own model in fp32, on the weights as the engine holds them."""
    model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    for parameter in model.parameters():
        rounded = parameter.data.half() if half and parameter.ndim == 2 else parameter.data
        # A copy, because safetensors maps the file into memory at odd addresses, and MKL
        # rounds differently there.
        parameter.data = rounded.float().clone()
    return model.eval()


@torch.inference_mode()
def generate(model: LlamaForCausalLM, prompt: list[int], tokens: int) -> list[int]:
    """Greedy decoding by transformers, batch of one."""
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=0,
    )
    return output[0, len(prompt) :].tolist()
