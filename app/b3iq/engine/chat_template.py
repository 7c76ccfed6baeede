"""The model's tokenizer: chat messages to prompt tokens, and which tokens end an answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jinja2
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from b3iq.engine.detokenize import Decoder
from b3iq.engine.errors import RequestRefused
from b3iq.models.errors import ModelRefused

# A special token in a message on its way through the template: between halves of surrogate
# pairs, which no text has (Unicode 15, D90) and no message may have.
_HIDDEN = re.compile("\ud800([0-9]+)\udfff")
_HALF = re.compile("[\ud800-\udfff]")


class ChatTokenizer:
    """A fast tokenizer with its chat template; safe to use from several threads.

    Attributes:
        decoder: what `detokenize.TextAssembler` needs.
        end_tokens: ids that end an answer.
        longest_token: characters of the longest token in the vocabulary.
    """

    def __init__(self, directory: Path) -> None:
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
        if not self._tokenizer.chat_template:
            raise ModelRefused("The model has no chat template.")
        # The library's own methods set truncation on the shared object for each call, which
        # fails when two threads do it at once; encoding and decoding by themselves do not.
        self._backend = self._tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self.decoder: Decoder = self._backend
        self.longest_token = max(map(len, self._backend.get_vocab()), default=0)
        self._special = {
            token.content: number
            for number, token in self._backend.get_added_tokens_decoder().items()
            if token.special
        }
        self._texts = {number: content for content, number in self._special.items()}
        longest_first = sorted(self._special, key=len, reverse=True)
        self._specials = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._plain = Tokenizer.from_str(self._backend.to_str())
        self._plain.encode_special_tokens = True
        self.end_tokens = self._end_tokens(directory)

    def _end_tokens(self, directory: Path) -> frozenset[int]:
        found: set[object] = set()
        for name in ("generation_config.json", "config.json"):
            path = directory / name
            value = json.loads(path.read_bytes()).get("eos_token_id") if path.exists() else None
            found |= set(value) if isinstance(value, list) else {value}
        found.add(self._tokenizer.eos_token_id)
        return frozenset(token for token in found if isinstance(token, int))

    def encode_chat(self, messages: list[dict[str, str]]) -> list[int]:
        """Prompt tokens of a conversation, up to where the assistant speaks next.

        Only the template speaks in special tokens. Where a message holds the text of one, it
        stays text: otherwise whoever writes a message could end it and speak in another role.

        Raises:
            RequestRefused: the template does not take such a conversation, or a message is
                no Unicode text.
        """
        if any(_HALF.search(message["content"]) for message in messages):
            raise RequestRefused("A message holds half a character.", param="messages")
        hidden = [
            message | {"content": self._specials.sub(self._hide, message["content"])}
            for message in messages
        ]
        text = self._render(hidden)
        return self._encode_hidden(text) if _HIDDEN.search(text) else self.encode(text)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text that already holds its special tokens."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def _render(self, messages: list[dict[str, str]]) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError) as error:
            raise RequestRefused(
                "The model's chat template does not take these messages.", param="messages"
            ) from error

    def _hide(self, special: re.Match[str]) -> str:
        return f"\ud800{self._special[special[0]]}\udfff"

    def _show(self, hidden: re.Match[str]) -> str:
        return self._texts[int(hidden[1])]

    def _encode_hidden(self, text: str) -> list[int]:
        """Tokens of a rendered text in which messages hold special tokens, hidden."""
        ids: list[int] = []
        at = 0
        for special in [*self._specials.finditer(text), None]:
            piece = text[at : special.start() if special else None]
            piece = _HIDDEN.sub(self._show, piece)
            ids += self._plain.encode(piece, add_special_tokens=False).ids
            if special:
                ids.append(self._special[special[0]])
                at = special.end()
        return ids
