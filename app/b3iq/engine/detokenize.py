"""From tokens to text, piece by piece, never half a character and never a stop string.

Text is decoded over a small window of recent tokens (as text-generation-inference and
vLLM do), because a token's text may depend on the token before it. Bytes that may be the
start of a longer UTF-8 character decode to U+FFFD at the end; they are held back until a
later token settles them.
"""

from __future__ import annotations

from typing import Protocol

_REPLACEMENT = "\ufffd"
# A character has at most four bytes, so no more than these may still be unsettled.
_UNSETTLED_LIMIT = 4
# The window is cut back to the last tokens when it grows past its limit, so that decoding
# a token costs the same at the start and at the end of a long answer.
_WINDOW_LIMIT = 32
_WINDOW_KEPT = 8


class Decoder(Protocol):
    """What is needed of a tokenizer (tokenizers.Tokenizer has it)."""

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        """Text of the tokens; bytes that are no UTF-8 become U+FFFD."""
        ...


class TextAssembler:
    """Assembles one answer's text and cuts it before the first stop string."""

    def __init__(self, decoder: Decoder, stop: tuple[str, ...] = ()) -> None:
        self.stopped = False
        self._decoder = decoder
        self._stop = stop
        self._longest = max((len(text) for text in stop), default=0)
        self._window: list[int] = []
        self._fresh = False
        self._shown = 0  # characters of the window's text that were taken over
        self._text = ""  # decoded, not yet taken

    def push(self, token: int) -> None:
        """Add a token; it is decoded by `advance` or `take`."""
        self._window.append(token)
        self._fresh = True

    def advance(self, *, final: bool = False) -> bool:
        """Decode what was pushed and look for stop strings; True once one was found."""
        if self.stopped:
            return True
        old = len(self._text)
        self._text += self._decode(final=final)
        self._cut(max(0, old - self._longest))
        return self.stopped

    def take(self, *, final: bool) -> str:
        """Text that can be shown now; with `final`, all the text that is left."""
        self.advance(final=final)
        hold = 0 if final or self.stopped else self._possible_stop()
        end = len(self._text) - hold
        text, self._text = self._text[:end], self._text[end:]
        return text

    def _decode(self, *, final: bool) -> str:
        if not self._fresh and not final:
            return ""
        self._fresh = False
        text = self._settled(self._window, final=final)
        new = text[self._shown :]
        self._shown = max(self._shown, len(text))
        if len(self._window) > _WINDOW_LIMIT:
            self._window, kept = self._last_of_window(final=final)
            self._shown = max(0, self._shown - len(text) + len(kept))
        return new

    def _settled(self, tokens: list[int], *, final: bool) -> str:
        """Text of the tokens that no later token can change; with `final`, all of it.

        The last tokens are left out rather than their text: where every byte is a token
        (Llama 2), one byte too few spoils the text of all the bytes before it.
        """
        for left_out in range(_UNSETTLED_LIMIT):
            end = max(0, len(tokens) - left_out)
            text = self._decoder.decode(tokens[:end])
            if not text.endswith(_REPLACEMENT):
                return text + self._decoder.decode(tokens[end:]) if final and left_out else text
        text = self._decoder.decode(tokens)
        held = len(text) - len(text.rstrip(_REPLACEMENT))
        return text if final else text[: len(text) - min(held, _UNSETTLED_LIMIT)]

    def _last_of_window(self, *, final: bool) -> tuple[list[int], str]:
        """The last tokens, from the start of a character, and their settled text."""
        for count in range(_WINDOW_KEPT, _WINDOW_KEPT + _UNSETTLED_LIMIT):
            tokens = self._window[-count:]
            text = self._settled(tokens, final=final)
            if not text.startswith(_REPLACEMENT):
                break
        return tokens, text

    def _cut(self, start: int) -> None:
        found = [at for at in (self._text.find(stop, start) for stop in self._stop) if at >= 0]
        if found:
            self._text = self._text[: min(found)]
            self.stopped = True

    def _possible_stop(self) -> int:
        """Length of the longest end of the text that a stop string may begin with."""
        for length in range(min(self._longest - 1, len(self._text)), 0, -1):
            tail = self._text[-length:]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0
