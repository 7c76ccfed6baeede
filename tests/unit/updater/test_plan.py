"""The plan: a pure function of the release and of what is installed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b3iq.updater.manifest import ReleaseManifest, parse
from b3iq.updater.plan import Installed, Place, Step, Switch, plan
from b3iq.updater.refusals import VersionReused
from tests.attacks.parts import Release

SHA = "a" * 64
NOTHING = Installed({}, {}, {}, {})


def _manifest() -> ReleaseManifest:
    return parse(ReleaseManifest, json.dumps(Release().manifest).encode(), "the manifest")


def _after(steps: tuple[Step, ...], manifest: ReleaseManifest, have: Installed) -> Installed:
    """What a machine has once the steps are done."""
    layers, releases = dict(have.layers), dict(have.releases)
    models, links = dict(have.models), dict(have.links)
    for step in steps:
        if isinstance(step, Switch):
            links[step.link] = step.target
        elif step.archive in manifest.models:
            models["b3iq-tiny"] = manifest.models[0].manifest_sha256
        elif step.archive == manifest.layer("node"):
            releases[manifest.version] = SHA
        else:
            [layer] = [layer for layer in manifest.layers if layer == step.archive]
            layers[layer.install_path] = layer.sha256
    return Installed(layers, releases, models, links)


WHOLE = _after(plan(_manifest(), SHA, "cpu", NOTHING), _manifest(), NOTHING)


def test_on_a_bare_machine_everything_is_placed_and_current_is_switched_last() -> None:
    steps = plan(_manifest(), SHA, "cpu", NOTHING)
    assert [isinstance(step, Place) for step in steps] == [True] * 4 + [False] * 3
    assert steps[-1] == Switch("current", "releases/1.0.0")


def test_an_installed_release_needs_nothing() -> None:
    assert plan(_manifest(), SHA, "cpu", WHOLE) == ()


def test_another_content_of_an_installed_version_is_refused() -> None:
    with pytest.raises(VersionReused):
        plan(_manifest(), "b" * 64, "cpu", WHOLE)


def test_a_layer_with_another_digest_is_placed_again() -> None:
    [path] = [path for path in WHOLE.layers if "runtime" in path]
    damaged = replace(WHOLE, layers=dict(WHOLE.layers) | {path: "0" * 64})
    assert [str(step) for step in plan(_manifest(), SHA, "cpu", damaged)] == [f"place {path}"]


@given(st.data())
def test_whatever_is_missing_a_plan_restores_and_a_second_plan_is_empty(
    data: st.DataObject,
) -> None:
    manifest = _manifest()

    def some(mapping: object) -> dict[str, str]:
        items = sorted(dict(mapping).items())  # type: ignore[call-overload]
        return {key: value for key, value in items if data.draw(st.booleans())}

    have = Installed(
        some(WHOLE.layers), some(WHOLE.releases), some(WHOLE.models), some(WHOLE.links)
    )
    steps = plan(manifest, SHA, "cpu", have)
    kinds = [isinstance(step, Switch) for step in steps]
    assert kinds == sorted(kinds)
    if Switch("current", "releases/1.0.0") in steps:
        assert steps[-1] == Switch("current", "releases/1.0.0")
    after = _after(steps, manifest, have)
    assert after == WHOLE
    assert plan(manifest, SHA, "cpu", after) == ()
