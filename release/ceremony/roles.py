"""Production roles: thresholds, lifetimes and paths."""

from __future__ import annotations

from release.keys import RoleKeys

PRODUCTION = {
    role.name: role
    for role in (
        RoleKeys("root", 5, 3, 365),
        RoleKeys("targets", 3, 2, 365),
        RoleKeys("snapshot", 1, 1, 14),
        RoleKeys("timestamp", 1, 1, 7),
        RoleKeys("releases", 1, 1, 90, ("releases/*/*",)),
        RoleKeys("models", 1, 1, 90, ("models/*/*",)),
        RoleKeys("channels", 1, 1, 90, ("channels/*",)),
    )
}
