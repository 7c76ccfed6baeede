"""The fields of a key's limits in a form: empty is no limit, lists are separated by commas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from b3iq.credentials.limits import KeyLimits

EXPIRES_DAYS = 3650


@dataclass(frozen=True)
class LimitField:
    """A field: its name, what it is called, what may be typed."""

    name: str
    label: str
    hint: str
    is_number: bool = False


FIELDS = (
    LimitField("models", "Models", "Names, separated by commas. Empty: all."),
    LimitField("requests_per_minute", "Requests a minute", "In any 60 seconds.", is_number=True),
    LimitField(
        "tokens_per_minute", "Tokens a minute", "Of prompts and answers together.", is_number=True
    ),
    LimitField("concurrency", "Answers at once", "1 to 512.", is_number=True),
    LimitField(
        "addresses", "Client addresses", "Such as 192.0.2.7 or 192.0.2.0/24, separated by commas."
    ),
    LimitField("expires_days", "Days until it expires", f"1 to {EXPIRES_DAYS}.", is_number=True),
)
_LIMITS = tuple(f for f in FIELDS if f.name in KeyLimits.model_fields)


@dataclass(frozen=True)
class LimitForm:
    """What stands in the fields, and what was wrong with it, by the name of the field."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, limits: KeyLimits) -> LimitForm:
        """The form of a key that has these limits."""
        values = {}
        for item in _LIMITS:
            value = getattr(limits, item.name)
            if value is not None:
                values[item.name] = str(value) if item.is_number else ", ".join(value)
        return cls(values)

    @classmethod
    def typed(cls, form: Mapping[str, str]) -> LimitForm:
        """The form as it was sent."""
        return cls({item.name: form.get(item.name, "").strip()[:4096] for item in FIELDS})

    def read(self, now: datetime) -> tuple[KeyLimits, datetime | None] | LimitForm:
        """The limits and the expiry (None where the field is empty), or the form with errors."""
        errors = {}
        days = self.values.get("expires_days", "")
        expires_at = None
        if days:
            if days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= EXPIRES_DAYS:
                expires_at = now + timedelta(days=int(days[:6]))
            else:
                errors["expires_days"] = f"Type a number from 1 to {EXPIRES_DAYS}."
        try:
            limits = KeyLimits.model_validate({i.name: self._value(i) for i in _LIMITS})
        except ValidationError as refusal:
            for fault in refusal.errors(include_input=False, include_url=False):
                errors.setdefault(str(fault["loc"][0]), _plain(fault["msg"]))
            return replace(self, errors=errors)
        return replace(self, errors=errors) if errors else (limits, expires_at)

    def _value(self, item: LimitField) -> int | str | tuple[str, ...] | None:
        text = self.values.get(item.name, "")
        if not text:
            return None
        if item.is_number:
            # What is no number stays text, which the schema refuses.
            return int(text[:12]) if text.isascii() and text.isdigit() else text
        return tuple(part.strip() for part in text.split(",") if part.strip())


EMPTY = LimitForm()


def _plain(message: str) -> str:
    said = message.removeprefix("Value error, ")
    return f"{said[:1].upper()}{said[1:]}."
