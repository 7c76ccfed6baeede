"""Trial, then commit: drive the state machine over the disk and the services.

The numbers are those of docs/release.md.

4. Intent: name the candidate durably; its trees are complete by now.
5. Switch: its models, then `current`, each by one rename and a flush.
6. Trial: use up a try durably, restart engine and node, run the manifest's checks.
7. Commit: raise the sequence floor, point `updater` to the release's own, collect garbage;
   or roll back: switch to the release before, restart, remember the candidate as bad.

The updater that began an update ends it: `updater` is switched only at commit and never goes
back, so a candidate whose updater is broken cannot stand in the way of its own rollback.
"""

from __future__ import annotations

from datetime import UTC, datetime

from b3iq.errors import ConfigError
from b3iq.paths import Paths
from b3iq.updater import apply as apply_
from b3iq.updater import floors as floors_
from b3iq.updater import fsops, journal, kept, phases, services, status
from b3iq.updater import manifest as manifest_
from b3iq.updater.apply import Job
from b3iq.updater.manifest import ReleaseManifest
from b3iq.updater.phases import Outcome, Release, State
from b3iq.updater.plan import Place, Step, Switch
from b3iq.updater.refusals import NoFormerRelease, Unfinished


def apply(job: Job, steps: tuple[Step, ...], *, retry_known_bad: bool = False) -> Outcome | None:
    """Place what is missing, then try the release and commit it or go back; under the lock.

    Args:
        job: with `park_models`, so that the models in use stay.

    Returns:
        How it ended; None where the release runs already.

    Raises:
        KnownBadRelease, DataTooNew, Unfinished, Refused: nothing was switched.
    """
    release = job.release
    candidate = journal.reference(release.manifest, release.manifest_sha256)
    state = require_idle(job.paths)
    if not retry_known_bad:
        phases.refuse_known_bad(state, candidate)
    intent = phases.begin(state, candidate)
    # The runtime link lies in the candidate's own tree; nothing that runs sees it.
    quiet = tuple(
        step for step in steps if isinstance(step, Place) or step.link.endswith("/runtime")
    )
    apply_.apply(job, quiet)
    if candidate == state.current and not any(isinstance(step, Switch) for step in steps):
        return None
    journal.write(job.paths, intent)  # 4
    return _finish(job.paths)


def rollback(paths: Paths) -> Outcome:
    """Go back to the former release, by the same trial; under the lock.

    Raises:
        NoFormerRelease: there is none, or it is not complete.
        DataTooNew: the data are newer than what it knows; nothing was switched.
    """
    state = require_idle(paths)
    if state.former is None or not _complete(paths, state.former):
        raise NoFormerRelease(
            "This machine keeps no complete former release.",
            remedy="Install a newer release instead.",
        )
    journal.write(paths, phases.begin(state, state.former))
    outcome = _finish(paths)
    assert outcome is not None  # noqa: S101 - an update that began ends
    return outcome


def recover(
    paths: Paths, *, before_start: bool = False, after_start: bool = False
) -> Outcome | None:
    """Finish what was interrupted; again does nothing (I5). Under the lock.

    Args:
        before_start: the services are not started yet (at boot): choose what they will be.
        after_start: they were started since: judge them and start nothing.

    Raises:
        StateUnreadable: the running release is kept (I4).
    """
    state = journal.read(paths)
    if before_start and state.phase in {"intent", "trial"}:
        if state.tries_left:
            _switch(paths, _candidate(state))
            journal.write(paths, phases.started(state))
            return None
        journal.write(paths, phases.failed(state, "The machine stopped in each of its tries."))
    if after_start and state.phase == "trial":
        _verdict(paths, state, start=False)
    return _finish(paths, start=not before_start)


def require_idle(paths: Paths) -> State:
    """The state, where no update has to be recovered first.

    Raises:
        Unfinished, StateUnreadable: nothing may be installed now.
    """
    state = journal.read(paths)
    if state.phase != "idle":
        raise Unfinished("An update was interrupted.", remedy="Run `recover`.")
    return state


def record_installed(paths: Paths, release: Release) -> None:
    """Note what `install` placed without a trial, for the rollback and the history.

    Raises:
        Unfinished: an update has to be recovered first.
    """
    state = require_idle(paths)
    if state.current == release and journal.state_file(paths).exists():
        return
    trial = phases.passed(phases.started(phases.begin(state, release)))
    journal.write(paths, phases.settled(trial, _now()))


def _finish(paths: Paths, *, start: bool = True) -> Outcome | None:
    """Go on from whatever phase until the machine is idle."""
    state = journal.read(paths)
    if state.phase == "idle":
        return None
    if state.phase in {"intent", "trial"}:
        if state.tries_left == 0:
            reason = "The machine stopped in each of its tries."
            state = journal.write(paths, phases.failed(state, reason))
        else:
            with fsops.named_failures():
                _switch(paths, _candidate(state))  # 5
            state = _verdict(paths, journal.write(paths, phases.started(state)), start=start)
    if state.phase == "committed":
        _commit(paths, _candidate(state))
    elif phases.may_return(state) and state.current is not None:
        with fsops.named_failures():
            _switch(paths, state.current)
        if start:
            _restart_anyway()
    settled = journal.write(paths, phases.settled(state, _now()))
    if settled.history[-1].result != "rolled_back":
        _collect(paths, settled)
    return settled.history[-1]


def _verdict(paths: Paths, state: State, *, start: bool) -> State:
    """Step 6; the verdict is durable before anything is done about it."""
    manifest = _manifest(paths, _candidate(state))
    try:
        if start:
            services.restart()
        services.judge(paths, manifest.health)
    except (services.Unhealthy, ConfigError) as error:
        with fsops.named_failures():
            log = services.excerpt().encode()
            fsops.write_file(paths.updater_state / "last-failure.log", log, 0o600)
        return journal.write(paths, phases.failed(state, str(error)))
    return journal.write(paths, phases.passed(state))


def _switch(paths: Paths, release: Release) -> None:
    kept.bring_in(paths, _manifest(paths, release))
    if not paths.current.is_symlink() or str(paths.current.readlink()) != _place(release):
        fsops.switch_link(paths.current, _place(release))


def _commit(paths: Paths, release: Release) -> None:
    """Step 7, the good half."""
    floors = floors_.read(status.floors_file(paths), required=True)
    manifest = _manifest(paths, release)
    if floors is None or manifest.sequence < floors.sequence:
        return
    floors_.write(status.floors_file(paths), floors_.raised_sequence(floors, manifest))
    with fsops.named_failures():
        fsops.switch_link(paths.updater, manifest.layer("updater").install_path)


def _collect(paths: Paths, state: State) -> None:
    """Keep what runs and the rollback target, with what they use (I2, I10)."""
    keep = [release for release in (state.current, state.former) if release is not None]
    manifests = [_manifest(paths, release) for release in keep]
    layers = {layer.install_path for manifest in manifests for layer in manifest.layers}
    layers |= {str(paths.updater.readlink())} if paths.updater.is_symlink() else set()
    with fsops.named_failures():
        for tree in paths.releases.glob("[!.]*"):
            if tree.name not in {release.version for release in keep}:
                fsops.remove(tree)
        for tree in paths.layers.glob("[!.]*"):
            if f"layers/{tree.name}" not in layers:
                fsops.remove(tree)
        kept.collect(paths, manifests)


def _restart_anyway() -> None:
    """The release before was good; that its restart fails is for systemd to go on with."""
    try:
        services.restart()
    except services.Unhealthy:
        return


def _complete(paths: Paths, release: Release) -> bool:
    tree = paths.opt / _place(release)
    try:
        manifest = _manifest(paths, release)
    except NoFormerRelease:
        return False
    runtime = (tree / "runtime" / status.LAYER_MARK).is_file()
    return runtime and all(kept.available(paths, model) for model in manifest.models)


def _manifest(paths: Paths, release: Release) -> ReleaseManifest:
    try:
        raw = (paths.opt / _place(release) / status.RELEASE_MANIFEST).read_bytes()
    except OSError as error:
        raise NoFormerRelease(f"Release {release.version} is not on this machine.") from error
    if manifest_.digest(raw) != release.manifest_sha256:
        raise NoFormerRelease(f"Release {release.version} is not the one that was verified.")
    return manifest_.parse(ReleaseManifest, raw, status.RELEASE_MANIFEST)


def _candidate(state: State) -> Release:
    if state.candidate is None:
        raise phases.IllegalMove("The state names no candidate.")
    return state.candidate


def _place(release: Release) -> str:
    return f"releases/{release.version}"


def _now() -> datetime:
    return datetime.now(UTC)
