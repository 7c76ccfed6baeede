"""Every check, in the order in which it makes sense to read them."""

from __future__ import annotations

from b3iq.checks import (
    accounts,
    admin_answers,
    clock,
    confinement,
    control_groups,
    core_dumps,
    credentials_sealed,
    database_file,
    disk_inodes,
    disk_space,
    engine_answers,
    engine_model,
    engine_running,
    engine_settings,
    exposure,
    file_permissions,
    kernel_settings,
    listeners,
    model_files,
    node_answers,
    node_running,
    node_settings,
    owner_claimed,
    release_complete,
    restarts,
    rollback_floors,
    secret_files,
    services_offline,
    swap,
    systemd_version,
    trusted_root,
    trusted_root_expiry,
    units_enabled,
    units_reloaded,
)

_MODULES = (
    # The host.
    systemd_version,
    control_groups,
    kernel_settings,
    disk_space,
    disk_inodes,
    # The release.
    release_complete,
    rollback_floors,
    clock,
    trusted_root,
    trusted_root_expiry,
    model_files,
    # Secrets and files.
    accounts,
    secret_files,
    credentials_sealed,
    file_permissions,
    database_file,
    # Confinement.
    units_reloaded,
    exposure,
    confinement,
    services_offline,
    listeners,
    core_dumps,
    swap,
    # Service.
    node_settings,
    engine_settings,
    units_enabled,
    node_running,
    engine_running,
    restarts,
    node_answers,
    admin_answers,
    owner_claimed,
    engine_answers,
    engine_model,
)

CHECKS = tuple(module.CHECK for module in _MODULES)
