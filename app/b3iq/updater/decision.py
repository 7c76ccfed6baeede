"""One decision: ask the repository, gather the facts, judge, and tell the node.

Looking changes nothing that runs: it raises floors, and remembers when a release was first
seen. The status file is written whatever the outcome.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from b3iq.config import load
from b3iq.paths import Paths
from b3iq.updater import gates as gates_
from b3iq.updater import journal, machine, phases, plan, schedule, session, status, waves
from b3iq.updater import manifest as manifest_
from b3iq.updater.fetch import Repository
from b3iq.updater.floors import Floors
from b3iq.updater.gates import Facts, Gate
from b3iq.updater.manifest import ReleaseManifest
from b3iq.updater.plan import Place, Step
from b3iq.updater.refusals import ManifestRefused, NoRepository, Refused
from b3iq.updater.settings import UpdateSettings
from b3iq.updater.trust import Verified
from b3iq.updates.status import Release

BUNDLE = "bundle"


@dataclass(frozen=True)
class Question:
    """What is asked, on which machine.

    Attributes:
        root: where the machine's file system begins.
        from_bundle: use the bundle that was imported, whatever the settings say.
        asked: somebody asked for an update; else only the settings can.
        retry: try a release again that is known bad.
    """

    root: Path
    settings: UpdateSettings
    from_bundle: bool = False
    asked: bool = False
    retry: bool = False

    @property
    def paths(self) -> Paths:
        """The machine's layout."""
        return status.rooted(self.root)

    @property
    def location(self) -> str:
        """The repository to ask.

        Raises:
            NoRepository: there is none.
        """
        bundle = self.paths.updater_state / BUNDLE
        if self.from_bundle or (not self.settings.repository and bundle.is_dir()):
            return str(bundle)
        if not self.settings.repository:
            raise NoRepository(
                "update.toml names no repository, and no bundle was imported.",
                remedy="Set `repository`, or run `b3iq update import-bundle FILE`.",
            )
        return self.settings.repository


@dataclass(frozen=True)
class Decision:
    """A verified release, what installing it would take, and whether it may be."""

    release: Verified
    floors: Floors
    steps: tuple[Step, ...]
    gates: tuple[Gate, ...]


def settings(root: Path) -> UpdateSettings:
    """The operator's settings.

    Raises:
        ConfigError: the file is missing or has a wrong or unknown setting.
    """
    return load(UpdateSettings, status.rooted(root).update_config)


def request(question: Question) -> session.Request:
    """What is trusted on this machine."""
    paths = question.paths
    return session.Request(
        repository=Repository(question.location),
        trusted_root=session.read_trusted_root(paths.trusted_root),
        channel=question.settings.channel,
        state=paths.updater_state,
        floors_required=status.has_release(paths),
    )


@contextlib.contextmanager
def decided(question: Question) -> Iterator[Decision]:
    """Decide, holding the updater's lock while the body uses the decision.

    Raises:
        Refused: the repository is refused.
    """
    with session.verified(request(question)) as (release, floors):
        now = datetime.now(UTC)
        manifest = release.manifest
        paths = question.paths
        installed = status.read(paths, manifest.models)
        unmet = machine.unmet(manifest, question.settings.accelerator, question.root)
        steps = () if unmet else _steps(question, release, installed)
        facts = _facts(question, release, floors, steps, unmet, now)
        yield Decision(release, floors, steps, gates_.judge(facts))


def _steps(question: Question, release: Verified, installed: plan.Installed) -> tuple[Step, ...]:
    return plan.plan(
        release.manifest, release.manifest_sha256, question.settings.accelerator, installed
    )


def _facts(
    question: Question,
    release: Verified,
    floors: Floors,
    steps: tuple[Step, ...],
    unmet: tuple[str, ...],
    now: datetime,
) -> Facts:
    paths, manifest = question.paths, release.manifest
    here = installed_manifest(paths)
    streams = machine.streams(paths)
    memory = _remembered(question, release, busy=streams > 0, now=now)
    return Facts(
        now=now,
        settings=question.settings,
        clock_floor=floors.latest_time,
        installed=None if here is None else told(here),
        offered=told(manifest),
        known_bad=_known_bad(question, release),
        unmet=unmet,
        # What runs has brought the data to the highest revision that it knows.
        data_schema=None if here is None else here.data_schema.highest,
        readable=manifest.data_schema,
        spaces=machine.spaces(paths, tuple(s.archive for s in steps if isinstance(s, Place))),
        first_seen=memory.first_seen or now,
        waves=release.channel.waves,
        place=waves.place(memory.local_id, manifest.version),
        streams=streams,
        busy_since=memory.busy_since,
        asked=question.asked or question.settings.automatic,
    )


def _known_bad(question: Question, release: Verified) -> str:
    if question.retry:
        return ""
    candidate = journal.reference(release.manifest, release.manifest_sha256)
    bad = phases.known_bad(journal.read(question.paths), candidate)
    return "" if bad is None else bad.reason


def _remembered(
    question: Question, release: Verified, *, busy: bool, now: datetime
) -> schedule.Schedule:
    file = question.paths.updater_state / schedule.FILE_NAME
    memory = schedule.seen(schedule.read(file), release.manifest_sha256, now)
    # Only an update that wants to begin can be held back.
    if question.asked or question.settings.automatic:
        memory = schedule.held_back(memory, busy=busy, now=now)
    schedule.write(file, memory)
    return memory


def installed_manifest(paths: Paths) -> ReleaseManifest | None:
    """The manifest of the release that runs; None where there is none that can be read."""
    try:
        raw = (paths.current / status.RELEASE_MANIFEST).read_bytes()
        return manifest_.parse(ReleaseManifest, raw, status.RELEASE_MANIFEST)
    except (OSError, ManifestRefused):
        return None


def told(manifest: ReleaseManifest) -> Release:
    """A release as the status file names it."""
    return Release(version=manifest.version, sequence=manifest.sequence)


def refused(error: Refused) -> tuple[Gate, ...]:
    """The gates where the repository is refused."""
    return gates_.refused(error.code, error.detail, error.remedy)
