"""A unit is more exposed than docs/hardening.md allows."""

from __future__ import annotations

from b3iq import systemd
from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import ENGINE, NODE, Host
from b3iq.checks.machine import CannotLook

# On systemd's scale of 10; docs/hardening.md says the same.
BOUNDS = {NODE: 1.2, ENGINE: 1.0}


def _look(host: Host) -> Finding:
    scores = {}
    for unit in BOUNDS:
        score = systemd.parse_exposure(host.machine.run(*systemd.exposure_command(unit)))
        if score is None:
            raise CannotLook(f"systemd-analyze says nothing about {unit}.")
        scores[unit] = score
    return judged(
        [
            f"{unit} has {scores[unit]}, and {bound} is allowed"
            for unit, bound in BOUNDS.items()
            if scores[unit] > bound
        ],
        fine=", ".join(f"{unit} {score}" for unit, score in scores.items()) + ".",
        remedy="See `systemctl cat UNIT` for a drop-in, remove it, and run the install playbook.",
    )


CHECK = Check(
    id="exposure",
    title="the live units are within systemd's exposure bounds",
    examines="`systemd-analyze security` of both services",
    look=_look,
    host_only=True,
)
