"""The engine serves another model than its settings name."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host


def _look(host: Host) -> Finding:
    wanted = host.engine_config
    answer = host.machine.get("/v1/models", socket=host.paths.engine_socket) or {}
    models = {
        str(model.get("id")): model.get("manifest_sha256") for model in answer.get("data", [])
    }
    if wanted.model not in models:
        return failed(
            f"The engine does not serve {wanted.model}.",
            "Restart it: `systemctl restart b3iq-engine.service`.",
        )
    if wanted.manifest_sha256 not in {None, models[wanted.model]}:
        return failed(
            f"The engine serves a {wanted.model} that is not the signed release's.",
            "Run the install playbook, which installs the model again and restarts the engine.",
        )
    return ok(f"It serves {wanted.model}.")


CHECK = Check(
    id="engine-model",
    title="the engine serves the model that the release names",
    examines="name and manifest digest in the engine's `/v1/models` against `engine.toml`",
    look=_look,
    needs=("engine-answers", "engine-settings"),
)
