"""Faults of the host, of the release and of files, injected one at a time."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

from b3iq.checks.credentials_sealed import HOST
from b3iq.credentials.secret_files import LAN_TLS, LENGTHS
from tests.unit.checks.fake_host import NOW, FakeHost, pin, trusted_root
from tests.unit.checks.injecting import trips


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
    for name in (*LENGTHS, LAN_TLS):
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
