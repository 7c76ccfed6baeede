"""Every file-system location of a node, in one place.

A host has one fixed layout (`Paths.system()`); a laptop keeps the same tree under
one directory (`Paths.under(state)`). No other module spells out a path.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """Roots of the layout; everything else is derived from them."""

    opt: Path
    etc: Path
    state: Path
    run: Path
    credentials: Path

    @classmethod
    def system(cls) -> Paths:
        """The layout of an installed host.

        systemd gives each service its own decrypted credentials directory in
        CREDENTIALS_DIRECTORY (systemd.exec(5)).
        """
        return cls(
            opt=Path("/opt/b3iq"),
            etc=Path("/etc/b3iq"),
            state=Path("/var/lib/b3iq"),
            run=Path("/run/b3iq"),
            credentials=Path(os.environ.get("CREDENTIALS_DIRECTORY", "/run/credentials/none")),
        )

    @classmethod
    def under(cls, directory: Path) -> Paths:
        """The layout of a development node, all below one 0700 directory."""
        return cls(
            opt=directory / "opt",
            etc=directory / "etc",
            state=directory / "state",
            run=directory / "run",
            credentials=directory / "credentials",
        )

    # Configuration (no secret in any of them).
    @property
    def node_config(self) -> Path:
        """Settings of the node process."""
        return self.etc / "node.toml"

    @property
    def engine_config(self) -> Path:
        """Settings of the engine process."""
        return self.etc / "engine.toml"

    @property
    def update_config(self) -> Path:
        """What the operator decided about updates."""
        return self.etc / "update.toml"

    @property
    def trusted_root(self) -> Path:
        """The pinned TUF root that the operator was given."""
        return self.etc / "trusted-root.json"

    # State.
    @property
    def node_state(self) -> Path:
        """The node process's own state directory."""
        return self.state / "node"

    @property
    def database(self) -> Path:
        """The node's SQLite database; only the node process opens it."""
        return self.node_state / "node.db"

    @property
    def audit_checkpoint(self) -> Path:
        """Size and head of the audit log, signed; beside the database, never in it."""
        return self.node_state / "audit-checkpoint.json"

    @property
    def disk_reserve(self) -> Path:
        """Zeros that make way for receipts when the disk is full."""
        return self.node_state / "disk-reserve"

    @property
    def models(self) -> Path:
        """One directory a model; the engine reads them, nobody but root writes."""
        return self.state / "models"

    @property
    def updater_state(self) -> Path:
        """Floors, lock and staging of the updater; no metadata is cached there."""
        return self.state / "updater"

    @property
    def update_status(self) -> Path:
        """What the updater tells the node; readable by everybody."""
        return self.state / "update-status.json"

    @property
    def update_spool(self) -> Path:
        """Where the node asks the updater for a verb, by a file of that name."""
        return self.state / "update-spool"

    # Sockets.
    @property
    def admin_socket(self) -> Path:
        """0600; the local administrator's door to the node process."""
        return self.run / "admin.sock"

    @property
    def engine_socket(self) -> Path:
        """0660 root:b3iq-node; the one door from the node to the engine."""
        return self.run / "engine.sock"

    # Releases.
    @property
    def releases(self) -> Path:
        """One directory a release version."""
        return self.opt / "releases"

    @property
    def layers(self) -> Path:
        """Runtime layers shared by releases, named by digest."""
        return self.opt / "layers"

    @property
    def current(self) -> Path:
        """Symbolic link to the release that runs."""
        return self.opt / "current"

    @property
    def updater(self) -> Path:
        """Symbolic link to the layer of the updater that runs."""
        return self.opt / "updater"

    @property
    def encrypted_credentials(self) -> Path:
        """Where systemd finds encrypted credentials (systemd-creds(1))."""
        return Path("/etc/credstore.encrypted")
