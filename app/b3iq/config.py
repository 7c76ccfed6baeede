"""Settings of the node and the engine: closed schemas read from TOML.

A misspelled or unknown setting stops the process with the name of the setting;
no setting is secret (secrets are credentials, see `b3iq.credentials`).
"""

from __future__ import annotations

import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from b3iq.errors import ConfigError
from b3iq.schemas import Sha256, faults

Port = Annotated[int, Field(ge=1, le=65535)]


def _network(text: str) -> str:
    if ip_network(text).prefixlen == 0:
        raise ValueError("a list that allows every address is no allow-list")
    return text


def _address(text: str) -> str:
    return str(ip_address(text)) if text else text


Network = Annotated[str, AfterValidator(_network)]
Address = Annotated[str, AfterValidator(_address)]
# A DNS name or an address, without brackets and port.
HostName = Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45})$")]


class Settings(BaseModel):
    """Base of the closed schemas: unknown names are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeConfig(Settings):
    """`node.toml`."""

    listen_address: str = "127.0.0.1"
    listen_port: Port = 8831
    # Names besides localhost, 127.0.0.1 and [::1] that a Host header may carry.
    host_names: list[str] = []
    runtime_kind: Literal["pytorch", "vllm", "sglang", "openai"] = "pytorch"
    # Streams served at once; one more is a 429. Threads are stream_limit + spare_threads,
    # so that health, the owner's pages and refusals never wait for a stream to end.
    stream_limit: Annotated[int, Field(ge=1, le=512)] = 32
    spare_threads: Annotated[int, Field(ge=4, le=512)] = 32
    body_limit_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024
    # Kept back for receipts: a full disk refuses changes of security before it ends answers.
    disk_reserve_bytes: Annotated[int, Field(ge=0)] = 16 * 1024 * 1024
    header_deadline_s: Annotated[float, Field(gt=0)] = 10.0
    body_deadline_s: Annotated[float, Field(gt=0)] = 30.0
    # How long a request may wait for the engine to accept it before 503.
    engine_connect_s: Annotated[float, Field(gt=0)] = 5.0
    drain_s: Annotated[float, Field(gt=0)] = 30.0
    # The second listener, for other machines: TLS only, and off while its address is empty.
    lan_listen_address: Address = ""
    lan_listen_port: Port = 8832
    # Names besides the address that a Host header may carry there.
    lan_host_names: list[HostName] = []
    # Networks (192.168.1.0/24) and addresses whose requests are answered there.
    lan_allow: list[Network] = []

    @property
    def has_lan(self) -> bool:
        """Whether other machines are to be answered."""
        return bool(self.lan_listen_address)

    @property
    def lan_names(self) -> list[str]:
        """What the node is called on the LAN: its names, and its address if it is one."""
        everywhere = self.has_lan and ip_address(self.lan_listen_address).is_unspecified
        own = [] if everywhere or not self.has_lan else [self.lan_listen_address]
        return list(dict.fromkeys([name.lower() for name in self.lan_host_names] + own))

    @model_validator(mode="after")
    def _lan_is_closed(self) -> Self:
        if not self.has_lan:
            return self
        if not self.lan_allow:
            raise ValueError("lan_allow is empty: list the networks that may reach the node")
        if not self.lan_names:
            raise ValueError("lan_host_names is empty: name what clients will call the node")
        # The listener of a connection is told by its address.
        if self.lan_listen_address == self.listen_address:
            raise ValueError("lan_listen_address is listen_address: use one of the LAN")
        if ip_address(self.lan_listen_address).is_unspecified and (
            self.lan_listen_port == self.listen_port
        ):
            raise ValueError("lan_listen_port is listen_port: use another")
        return self


class EngineConfig(Settings):
    """`engine.toml`."""

    model: str = "b3iq-smoke"
    # sha256 of the model's manifest as the signed release names it; None only in development.
    manifest_sha256: Sha256 | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    # fp16 holds linear weights in half precision with fp32 activations (CPU); fp32 is the
    # exact mode; bf16 is for CUDA.
    precision: Literal["fp16", "fp32", "bf16"] = "fp16"
    batch_limit: Annotated[int, Field(ge=1, le=512)] = 32
    queue_limit: Annotated[int, Field(ge=0)] = 64
    kv_cache_bytes: Annotated[int, Field(ge=1024 * 1024)] = 512 * 1024 * 1024
    # 0: one per core of the machine.
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    drain_s: Annotated[float, Field(gt=0)] = 30.0


Schema = TypeVar("Schema", bound=Settings)


def load(schema: type[Schema], path: Path) -> Schema:
    """Read one settings file.

    Raises:
        ConfigError: the file is missing, not TOML, or has a wrong or unknown setting.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"No configuration file {path}.", remedy="Run the install playbook, or `b3iq serve`."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not valid TOML: {error}.", remedy="Correct the line and restart."
        ) from error
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {'; '.join(faults(error))}.", remedy="Correct the setting and restart."
        ) from error
