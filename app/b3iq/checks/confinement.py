"""A live unit lacks a setting that the security boundary rests on."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import ENGINE, NODE, Host

# As `systemctl show` prints them. The exposure counts all settings; these are the ones
# whose absence breaks a promise by itself, however good the sum is.
_BOTH = {
    "AmbientCapabilities": "",
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "KeyringMode": "private",
    "LimitCORE": "0",
    "MemorySwapMax": "0",
    "NoNewPrivileges": "yes",
    "PrivateMounts": "yes",
    "PrivateNetwork": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "ProtectHome": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RestrictAddressFamilies": "AF_UNIX",
    "RestrictSUIDSGID": "yes",
    "UMask": "0077",
}
SETTINGS = {
    NODE: _BOTH
    | {
        "User": "b3iq-node",
        "MemoryDenyWriteExecute": "yes",
        "PrivateDevices": "yes",
        "ProcSubset": "pid",
    },
    ENGINE: _BOTH | {"User": "b3iq-engine"},
}


def _look(host: Host) -> Finding:
    faults = [
        f"{unit}: {name} is {host.units[unit].get(name) or 'not set'}, not {value or 'empty'}"
        for unit, settings in SETTINGS.items()
        for name, value in settings.items()
        if host.units[unit].get(name, "") != value
    ]
    return judged(
        faults,
        fine=f"{sum(map(len, SETTINGS.values()))} settings of the live units are as they must be.",
        remedy="See `systemctl cat UNIT` for a drop-in, remove it, and run the install playbook.",
    )


CHECK = Check(
    id="confinement",
    title="the live units keep each promise of docs/hardening.md",
    examines="the settings that the boundary rests on, in `systemctl show` of both services",
    look=_look,
    host_only=True,
)
