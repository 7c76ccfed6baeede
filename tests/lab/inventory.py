"""An inventory of a lab host, as an operator would write it after reading inventory.example/."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.host import Host


def write(host: Host, directory: Path, repository: Path, trusted_root: Path) -> Path:
    """Write `directory`/hosts.yml and its group variables; returns `directory`."""
    ssh = f"-o UserKnownHostsFile={host.ssh_known_hosts} -o StrictHostKeyChecking=yes"
    hosts = f"""---
b3iq_nodes:
  hosts:
    {host.name}:
      ansible_host: {host.address}
      ansible_user: {host.user}
      ansible_ssh_private_key_file: {json.dumps(host.ssh_key)}
      ansible_ssh_common_args: {json.dumps(ssh + " -o IdentitiesOnly=yes")}
"""
    settings = f"""---
b3iq_release_repository: {json.dumps(str(repository.resolve()))}
b3iq_trusted_root: {json.dumps(str(trusted_root.resolve()))}
b3iq_accelerator: cpu
"""
    (directory / "group_vars").mkdir(parents=True, exist_ok=True)
    (directory / "hosts.yml").write_text(hosts)
    (directory / "group_vars" / "b3iq_nodes.yml").write_text(settings)
    return directory
