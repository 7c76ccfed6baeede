"""The closed schemas of manifest and channel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from b3iq.updater.manifest import Channel, ReleaseManifest, parse
from b3iq.updater.refusals import LayerUnknown, ManifestRefused
from tests.attacks.parts import Release


def _parse(document: dict[str, Any]) -> ReleaseManifest:
    return parse(ReleaseManifest, json.dumps(document).encode(), "the manifest")


def test_a_manifest_survives_its_own_encoding() -> None:
    manifest = _parse(Release().manifest)
    assert _parse(json.loads(manifest.model_dump_json())) == manifest


def test_a_host_needs_updater_runtime_node_and_models_in_this_order() -> None:
    needed = _parse(Release().manifest).needed("cpu")
    assert [archive.target.split("/")[-1].split("-")[0] for archive in needed[:2]] == [
        "updater",
        "runtime",
    ]
    assert needed[2].target == "releases/1.0.0/node.tar.zst"
    assert needed[3].target.startswith("models/b3iq-tiny/")


def test_an_accelerator_without_a_layer_is_named() -> None:
    with pytest.raises(LayerUnknown, match="runtime-cuda"):
        _parse(Release().manifest).needed("cuda")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "1.0"),
        ("version", "../1.0.0"),
        ("version", "1.0.0+a/b"),
        ("sequence", 0),
        ("sequence", "1"),
        ("source_commit", "main"),
        ("source_dirty", "no"),
        ("data_schema", {"lowest": 2, "highest": 1}),
        ("health", {"units": ["b3iq-node.service; reboot"], "golden": [], "soak_s": 0}),
        ("layers", []),
        ("comment", "unknown"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_by_its_name(field: str, value: object) -> None:
    document = Release().manifest | {field: value}
    with pytest.raises(ManifestRefused, match=field):
        _parse(document)


def test_bytes_that_are_no_json_are_refused() -> None:
    with pytest.raises(ManifestRefused, match="Invalid JSON"):
        parse(Channel, b"\xff\xfe", "the channel")


def test_a_channel_names_its_manifest_by_version_only() -> None:
    channel = parse(Channel, json.dumps(Release("2.0.0", 4).channel).encode(), "the channel")
    assert channel.manifest_target == "releases/2.0.0/release-manifest.json"
