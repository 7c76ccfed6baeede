"""From a verified model directory to something that runs: the slow part of a start."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from b3iq.config import EngineConfig
from b3iq.engine.architecture import Architecture, read_architecture
from b3iq.engine.chat_template import ChatTokenizer
from b3iq.engine.kv_cache import KVCache, plan_slots
from b3iq.engine.linear import activation_dtype, is_exact
from b3iq.engine.model import LlamaModel
from b3iq.engine.runner import Runner
from b3iq.engine.weights import load_weights
from b3iq.errors import ConfigError
from b3iq.models import integrity
from b3iq.models.errors import ModelRefused
from b3iq.models.manifest import ModelManifest, manifest_digest

_log = logging.getLogger(__name__)
# Below this many weights a step's pieces are so short that threads wait for each other
# longer than they compute, and far longer when another process takes one of the cores.
_SINGLE_THREAD_BELOW = 20_000_000


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to run, and what is known about it."""

    manifest: ModelManifest
    manifest_sha256: str
    architecture: Architecture
    tokenizer: ChatTokenizer
    cache: KVCache
    runner: Runner
    loaded_at: int

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together."""
        return self.cache.length


def load_model(config: EngineConfig, directory: Path) -> LoadedModel:
    """Verify, then load.

    Raises:
        ModelRefused: the directory is not what its manifest says, or not supported.
        ConfigError: the device or the memory in the configuration is not there.
    """
    manifest = integrity.verify(directory, config.manifest_sha256)
    if manifest.name != config.model:
        raise ModelRefused("The manifest is of a model of another name.")
    device = _device(config)
    torch.set_num_threads(config.threads or _threads(manifest.parameters))
    architecture = read_architecture(directory)
    model = _build(config, directory, architecture, device)
    loaded = LoadedModel(
        manifest=manifest,
        manifest_sha256=manifest_digest(directory),
        architecture=architecture,
        tokenizer=ChatTokenizer(directory),
        cache=model.cache,
        runner=Runner(model, device, exact=is_exact(config.precision, device)),
        loaded_at=int(time.time()),
    )
    _log_loaded(config, loaded)
    return loaded


def _build(
    config: EngineConfig, directory: Path, architecture: Architecture, device: torch.device
) -> LlamaModel:
    dtype = activation_dtype(config.precision, device)
    slots, length = plan_slots(
        architecture, cache_bytes=config.kv_cache_bytes, batch_limit=config.batch_limit, dtype=dtype
    )
    cache = KVCache(architecture, slots, length, dtype, device)
    with torch.inference_mode():
        weights = load_weights(directory, architecture, config.precision, device)
        return LlamaModel(architecture, weights, cache)


def _log_loaded(config: EngineConfig, loaded: LoadedModel) -> None:
    _log.info(
        "model_loaded",
        extra={
            "model": loaded.manifest.name,
            "precision": config.precision,
            "device": config.device,
            "slots": loaded.cache.slots,
            "context_length": loaded.context_length,
            "threads": torch.get_num_threads(),
        },
    )


def _threads(parameters: int) -> int:
    return 1 if parameters < _SINGLE_THREAD_BELOW else len(os.sched_getaffinity(0))


def _device(config: EngineConfig) -> torch.device:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "The configuration asks for a CUDA device and torch finds none.",
            remedy='Install the driver and the cuda layer, or set device = "cpu".',
        )
    return torch.device(config.device)
