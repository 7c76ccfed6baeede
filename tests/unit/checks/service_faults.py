"""Faults of the units, the running services and their answers, injected one at a time."""

from __future__ import annotations

import os
from datetime import timedelta

from b3iq.checks.host import ENGINE, NODE
from b3iq.credentials.secret_files import LENGTHS
from tests.unit.checks.fake_host import LISTENER, NOW, PIDS, WORKER, FakeHost
from tests.unit.checks.injecting import trips


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


@trips("listeners")
def the_lan_port_is_open_at_every_address(fake: FakeHost) -> None:
    with fake.host.at("/proc/net/tcp").open("a") as table:
        table.write(LISTENER.format("00000000:2280", "0A", 0))


@trips("lan-filter")
def somebody_has_flushed_the_packet_filter(fake: FakeHost) -> None:
    fake.machine.rules = [{"table": {"family": "inet", "name": "filter"}}]


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


@trips("audit-log")
def the_audit_log_was_cut(fake: FakeHost) -> None:
    fake.machine.answers["admin.sock/admin/status"] = {"claimed": True, "audit_intact": False}


@trips("engine-answers")
def the_engine_hangs(fake: FakeHost) -> None:
    fake.machine.answers["engine.sock/health"] = None


@trips("engine-model")
def the_engine_serves_another_manifest(fake: FakeHost) -> None:
    models = fake.machine.answers["engine.sock/v1/models"]
    assert models is not None
    models["data"][0]["manifest_sha256"] = "f" * 64
