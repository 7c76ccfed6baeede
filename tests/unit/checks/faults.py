"""The faults that the checks are for, injected one at a time into a host that is well."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from b3iq.checks.credentials_sealed import HOST
from b3iq.checks.host import ENGINE, NODE
from b3iq.credentials.secret_files import LENGTHS
from tests.unit.checks.fake_host import (
    LISTENER,
    NOW,
    PIDS,
    WORKER,
    FakeHost,
    pin,
    trusted_root,
)

FAULTS: list[tuple[str, Callable[[FakeHost], object]]] = []
Fault = Callable[[FakeHost], object]


def trips(check: str) -> Callable[[Fault], Fault]:
    """Register a fault as the one that a check is for."""

    def register(fault: Fault) -> Fault:
        FAULTS.append((check, fault))
        return fault

    return register


@trips("systemd-version")
def systemd_is_older_than_encrypted_credentials(fake: FakeHost) -> None:
    fake.machine.version = "systemd 247 (247.3-7+deb11u4)\n"


@trips("control-groups")
def the_control_groups_are_of_version_1(fake: FakeHost) -> None:
    fake.host.at("/sys/fs/cgroup/cgroup.controllers").unlink()


@trips("kernel-settings")
def any_process_may_trace_another(fake: FakeHost) -> None:
    fake.write("/proc/sys/kernel/yama/ptrace_scope", "0\n")


@trips("kernel-settings")
def the_file_of_kernel_settings_is_gone(fake: FakeHost) -> None:
    fake.host.at("/etc/sysctl.d/60-b3iq.conf").unlink()


@trips("disk-space")
def the_disk_is_full(fake: FakeHost) -> None:
    fake.machine.room = replace(fake.machine.room, free_bytes=1 << 20)


@trips("disk-space")
def the_disk_is_nearly_full(fake: FakeHost) -> None:
    fake.machine.room = replace(fake.machine.room, free_bytes=500 << 20)


@trips("disk-inodes")
def no_inode_is_left(fake: FakeHost) -> None:
    fake.machine.room = replace(fake.machine.room, free_inodes=0)


@trips("release-complete")
def current_leads_nowhere(fake: FakeHost) -> None:
    fake.host.paths.current.unlink()
    fake.host.paths.current.symlink_to("releases/9.9.9")


@trips("release-complete")
def the_runtime_layer_was_never_completed(fake: FakeHost) -> None:
    next(fake.host.paths.layers.glob("runtime-*/layer.json")).unlink()


@trips("release-complete")
def the_manifest_of_the_release_is_damaged(fake: FakeHost) -> None:
    (fake.host.paths.current / "release-manifest.json").write_text("{")


@trips("rollback-floors")
def the_floors_are_damaged(fake: FakeHost) -> None:
    fake.edit("/var/lib/b3iq/updater/floors.json", "b3iq-updater-floors-v1", "v0")


@trips("rollback-floors")
def the_floors_are_gone(fake: FakeHost) -> None:
    fake.host.at("/var/lib/b3iq/updater/floors.json").unlink()


@trips("clock")
def the_clock_went_back_a_month(fake: FakeHost) -> None:
    fake.machine.clock = NOW - timedelta(days=30)


@trips("trusted-root")
def somebody_pinned_another_root(fake: FakeHost) -> None:
    fake.write("/etc/b3iq/trusted-root.json", trusted_root("2028-01-01T00:00:00Z"))


@trips("trusted-root")
def the_trusted_root_is_no_root(fake: FakeHost) -> None:
    pin(fake, "{}")


@trips("trusted-root-expiry")
def the_pinned_root_expires_next_week(fake: FakeHost) -> None:
    pin(fake, trusted_root("2026-12-01T00:00:00Z"))


@trips("model-files")
def the_weights_are_cut_short(fake: FakeHost) -> None:
    weights = fake.host.paths.models / "b3iq-tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


@trips("model-files")
def the_manifest_of_the_model_is_another(fake: FakeHost) -> None:
    fake.edit("/var/lib/b3iq/models/b3iq-tiny/manifest.json", "Four bytes", "Five bytes")


@trips("accounts")
def a_service_has_a_shell(fake: FakeHost) -> None:
    fake.edit("/etc/passwd", "997:B3IQ service:/nonexistent:/usr/sbin/nologin", "997:::/bin/sh")


@trips("accounts")
def a_service_needs_no_password(fake: FakeHost) -> None:
    fake.edit("/etc/shadow", "b3iq-engine:!:", "b3iq-engine::")


@trips("secret-files")
def a_secret_can_be_read_by_all(fake: FakeHost) -> None:
    fake.host.at("/etc/credstore.encrypted/b3iq-token-pepper").chmod(0o644)


@trips("secret-files")
def a_secret_belongs_to_the_service(fake: FakeHost) -> None:
    fake.machine.owners["/etc/credstore.encrypted/b3iq-node-identity"] = "b3iq-node:b3iq-node"


@trips("secret-files")
def a_secret_is_gone(fake: FakeHost) -> None:
    fake.host.at("/etc/credstore.encrypted/b3iq-node-identity").unlink()


@trips("secret-files")
def the_engine_was_given_a_secret(fake: FakeHost) -> None:
    fake.write("/run/credentials/b3iq-engine.service/b3iq-token-pepper", "secret", 0o400)


@trips("secret-files")
def the_database_can_be_read_by_all(fake: FakeHost) -> None:
    fake.host.paths.database.chmod(0o644)


@trips("credentials-sealed")
def the_credentials_are_sealed_by_the_host_key_alone(fake: FakeHost) -> None:
    for name in LENGTHS:
        sealed = base64.b64encode(bytes.fromhex(HOST) + b"ciphertext")
        path = fake.host.at(f"/etc/credstore.encrypted/{name}")
        path.write_bytes(sealed)


@trips("file-permissions")
def others_may_use_the_engines_socket(fake: FakeHost) -> None:
    (fake.host.paths.run / "engine.sock").chmod(0o666)


@trips("file-permissions")
def the_models_belong_to_the_engine(fake: FakeHost) -> None:
    fake.machine.owners["/var/lib/b3iq/models"] = "b3iq-engine:b3iq-engine"


@trips("file-permissions")
def a_strange_file_lies_among_the_settings(fake: FakeHost) -> None:
    fake.write("/etc/b3iq/node.toml.orig", "")


@trips("database-file")
def another_program_left_a_journal(fake: FakeHost) -> None:
    fake.write("/var/lib/b3iq/node/node.db-journal", "", 0o600, "b3iq-node:b3iq-node")


@trips("database-file")
def the_database_is_text(fake: FakeHost) -> None:
    fake.host.paths.database.write_text("not a database, but long enough to look like one")


@trips("database-file")
def the_database_has_a_rollback_journal_by_its_header(fake: FakeHost) -> None:
    raw = fake.host.paths.database.read_bytes()
    fake.host.paths.database.write_bytes(raw[:18] + b"\1\1" + raw[20:])


@trips("units-reloaded")
def a_unit_was_edited_and_not_reloaded(fake: FakeHost) -> None:
    fake.machine.units[NODE]["NeedDaemonReload"] = "yes"


@trips("exposure")
def a_dropin_opens_the_node_a_little_everywhere(fake: FakeHost) -> None:
    fake.machine.scores[NODE] = 1.3


@trips("confinement")
def a_dropin_gives_the_engine_a_network(fake: FakeHost) -> None:
    fake.machine.units[ENGINE]["PrivateNetwork"] = "no"


@trips("confinement")
def a_dropin_gives_the_node_a_capability(fake: FakeHost) -> None:
    fake.machine.units[NODE]["CapabilityBoundingSet"] = "cap_net_admin"


@trips("services-offline")
def the_running_engine_has_an_interface(fake: FakeHost) -> None:
    with fake.host.at(f"/proc/{PIDS[ENGINE]}/net/dev").open("a") as devices:
        devices.write("  eth0: 0 0\n")


@trips("services-offline")
def a_worker_of_the_node_has_an_interface(fake: FakeHost) -> None:
    with fake.host.at(f"/proc/{WORKER}/net/dev").open("a") as devices:
        devices.write("  host0: 0 0\n")


@trips("listeners")
def the_nodes_port_is_open_to_all(fake: FakeHost) -> None:
    with fake.host.at("/proc/net/tcp").open("a") as table:
        table.write(LISTENER.format("00000000:227F", "0A", 0))


@trips("core-dumps")
def a_worker_may_dump_its_memory(fake: FakeHost) -> None:
    fake.edit(f"/proc/{WORKER}/limits", "0  0  bytes", "0  unlimited  bytes")


@trips("swap")
def a_part_of_the_engine_is_swapped_out(fake: FakeHost) -> None:
    fake.edit(f"/proc/{PIDS[ENGINE]}/status", "0 kB", "4096 kB")


@trips("node-settings")
def a_setting_of_the_node_is_misspelled(fake: FakeHost) -> None:
    fake.write("/etc/b3iq/node.toml", "listen_prot = 8831\n")


@trips("engine-settings")
def the_settings_of_the_engine_are_gone(fake: FakeHost) -> None:
    fake.host.paths.engine_config.unlink()


@trips("units-enabled")
def the_engine_does_not_start_at_boot(fake: FakeHost) -> None:
    fake.machine.units[ENGINE]["UnitFileState"] = "disabled"


@trips("node-running")
def the_node_has_failed(fake: FakeHost) -> None:
    fake.machine.units[NODE] |= {"ActiveState": "failed", "MainPID": "0"}


@trips("engine-running")
def the_engine_is_stopped(fake: FakeHost) -> None:
    fake.machine.units[ENGINE] |= {"ActiveState": "inactive", "MainPID": "0"}


@trips("restarts")
def the_engine_keeps_ending(fake: FakeHost) -> None:
    fake.machine.units[ENGINE]["NRestarts"] = "12"


@trips("node-answers")
def clients_get_no_answer(fake: FakeHost) -> None:
    fake.machine.answers["8831/health"] = None


@trips("admin-answers")
def the_administrator_gets_no_answer(fake: FakeHost) -> None:
    fake.machine.answers["admin.sock/admin/status"] = None


@trips("owner-claimed")
def nobody_has_claimed_the_node_for_a_week(fake: FakeHost) -> None:
    fake.machine.answers["admin.sock/admin/status"] = {"version": "0.1.0", "claimed": False}
    week_ago = (NOW - timedelta(days=7)).timestamp()
    for name in LENGTHS:
        os.utime(fake.host.at(f"/etc/credstore.encrypted/{name}"), (week_ago, week_ago))


@trips("engine-answers")
def the_engine_hangs(fake: FakeHost) -> None:
    fake.machine.answers["engine.sock/health"] = None


@trips("engine-model")
def the_engine_serves_another_manifest(fake: FakeHost) -> None:
    models = fake.machine.answers["engine.sock/v1/models"]
    assert models is not None
    models["data"][0]["manifest_sha256"] = "f" * 64
