"""`update.toml`: what the operator decided about updates. No setting is secret."""

from __future__ import annotations

import re
from datetime import UTC, time, tzinfo
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from b3iq.config import Settings

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# In the order of `datetime.weekday`.
DAYS: tuple[Day, ...] = get_args(Day)


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name.

    Raises:
        ValueError: this machine knows no such zone.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"there is no time zone {name} on this machine") from error


def _clock(value: object) -> object:
    # Unquoted, YAML reads 22:00 as a number, and pydantic would take that for seconds.
    if not isinstance(value, str) or not re.fullmatch("[0-9]{2}:[0-9]{2}", value):
        raise ValueError('must be a quoted time such as "22:00"')
    return value


Clock = Annotated[time, BeforeValidator(_clock)]


def _known_zone(name: str) -> str:
    zone(name)
    return name


class Window(Settings):
    """When updates may begin: on these days, from `opens` until before `closes`.

    A window that closes before it opens goes on into the next day. The zone is always said: a
    node whose own zone is changed must not begin at noon.
    """

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    opens: Clock
    closes: Clock
    time_zone: Annotated[str, AfterValidator(_known_zone)]

    @field_validator("days", mode="before")
    @classmethod
    def _all_days_are_once(cls, value: object) -> object:
        if isinstance(value, list) and len(set(map(str, value))) != len(value):
            raise ValueError("a day is named twice")
        return value

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.opens == self.closes:
            raise ValueError("opens and closes are the same: leave the window out for all day")
        return self


class UpdateSettings(Settings):
    """`update.toml`.

    Attributes:
        repository: directory or http(s) address; empty: only imported bundles.
        channel: which pointer of the repository to follow.
        accelerator: which runtime layer this host takes.
        model_group: group that may read the models.
        automatic: let the timer install; otherwise it looks, and the operator decides.
        pin: the one version that may be installed; empty: any.
        delay_hours: how long a release must have been known here before it is installed.
        busy_limit_minutes: how long answers being made may hold an update back; 0: not at all.
        window: when an update may begin; without one, always.
    """

    repository: str = ""
    channel: Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$", max_length=64)] = (
        "stable"
    )
    accelerator: Literal["cpu", "cuda"] = "cpu"
    model_group: str = "b3iq-engine"
    automatic: bool = False
    pin: Annotated[str, Field(pattern=r"^[a-z0-9.+]*$", max_length=64)] = ""
    delay_hours: Annotated[float, Field(ge=0, le=24 * 365)] = 0.0
    busy_limit_minutes: Annotated[float, Field(ge=0, le=24 * 60)] = 30.0
    window: Window | None = None
