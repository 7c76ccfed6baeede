"""The settings of the engine are missing or wrong: it will not start again."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host
from b3iq.errors import ConfigError


def _look(host: Host) -> Finding:
    try:
        host.engine_config  # noqa: B018 - read for its errors
    except ConfigError as error:
        return failed(error.detail, "Correct it in the inventory and run the install playbook.")
    return ok("Every setting is known and in its bounds.")


CHECK = Check(
    id="engine-settings",
    title="the engine can read its settings",
    examines="`engine.toml` against its schema",
    look=_look,
)
