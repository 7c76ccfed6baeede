"""What a local key may use: models, rates, answers at once, client addresses.

A limit that is not set does not limit. The limits of a key are kept as one JSON text
that this closed schema reads again: a key whose limits a release does not understand,
because a newer one wrote them, opens nothing there.
"""

from __future__ import annotations

import functools
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from b3iq.schemas import Closed

MODELS_LIMIT = 32
ADDRESSES_LIMIT = 32


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a model's name has only printable characters")
    return name


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("write addresses as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32") from None


ModelName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]
Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]


class KeyLimits(Closed):
    """The limits of one key; null everywhere is a key without limits.

    A minute is any 60 seconds, not one of the clock. Tokens are those of prompts and of
    completions together, as the receipts count them.
    """

    models: (
        Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=MODELS_LIMIT)] | None
    ) = None
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=512)] | None = None
    addresses: (
        Annotated[tuple[Network, ...], Field(min_length=1, max_length=ADDRESSES_LIMIT)] | None
    ) = None

    @property
    def has_rates(self) -> bool:
        """Whether use has to be counted."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    @property
    def stated(self) -> str:
        """The names of the limits that are set, sorted; `none` if nothing is limited."""
        return " ".join(sorted(self.model_dump(exclude_none=True))) or "none"

    def allows_model(self, model_id: str) -> bool:
        """Whether the key may ask this model, installed or not."""
        return self.models is None or model_id in self.models

    def allows_address(self, address: str | None) -> bool:
        """Whether the key may be used from there; what is no address is nowhere."""
        return self.addresses is None or _is_within(address, self.addresses)

    def changed(self, change: KeyLimits) -> KeyLimits:
        """These limits with the ones that `change` states, null included, in their places."""
        return self.model_copy(update={n: getattr(change, n) for n in change.model_fields_set})


NO_LIMITS = KeyLimits()
# No model and no address is among none.
NOTHING = KeyLimits.model_construct(models=(), addresses=())


@functools.lru_cache(maxsize=1024)
def read(text: str | None) -> KeyLimits:
    """The limits as the database keeps them; `NOTHING` if they are not understood."""
    try:
        return NO_LIMITS if text is None else KeyLimits.model_validate_json(text)
    except ValidationError:
        return NOTHING


def write(limits: KeyLimits) -> str | None:
    """The text that `read` reads; None where nothing is limited."""
    return None if limits == NO_LIMITS else limits.model_dump_json(exclude_none=True)


@functools.lru_cache(maxsize=4096)
def _is_within(address: str | None, networks: tuple[str, ...]) -> bool:
    try:
        client = ip_address(address or "")
    except ValueError:
        return False
    if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
        # A listener for both families shows IPv4 clients so.
        client = client.ipv4_mapped
    return any(client in ip_network(network) for network in networks)
