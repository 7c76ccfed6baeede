"""Every reason for which a release is refused, each with a stable name.

`code` is what operators grep for, playbooks compare and tests assert. A refusal always
means that nothing was installed and that the running release is untouched.
"""

from __future__ import annotations

from b3iq.errors import B3iqError


class Refused(B3iqError):
    """Base of the refusals; never raised itself."""

    code = "refused"
    title = "The release is refused"

    def __init__(self, detail: str, *, remedy: str = "") -> None:
        super().__init__(
            detail,
            remedy=remedy
            or "Nothing was installed. Get the repository again from its publisher, or ask there.",
        )


class WrongRoot(Refused):
    """The pinned root is not a root of this repository."""

    code = "wrong_root"
    title = "The repository is not signed by the pinned root"


class TrustedRootChanged(Refused):
    """This machine already trusts another root, and its floors belong to that one."""

    code = "trusted_root_changed"
    title = "The pinned root is not the one that this machine knows"


class ThresholdNotMet(Refused):
    """Too few valid signatures over a metadata file."""

    code = "signature_threshold"
    title = "Metadata is not signed by enough of its keys"


class MetadataMalformed(Refused):
    """Metadata is not what the TUF specification allows."""

    code = "metadata_malformed"
    title = "Metadata is malformed"


class MetadataMismatch(Refused):
    """Metadata files do not belong together (mix and match) or were changed."""

    code = "metadata_mismatch"
    title = "Metadata files do not belong together"


class MetadataExpired(Refused):
    """Metadata is past its expiry: a frozen or an unmaintained repository."""

    code = "metadata_expired"
    title = "Metadata is expired"


class Rollback(Refused):
    """Metadata or a release is older than what this machine has already seen."""

    code = "rollback"
    title = "The repository offers something older than this machine has seen"


class ClockBehind(Refused):
    """The clock is behind the latest time at which a verification succeeded."""

    code = "clock_behind"
    title = "The clock of this machine is behind"


class FloorsUnreadable(Refused):
    """The floors file is missing, damaged or not ours while a release is installed."""

    code = "floors_unreadable"
    title = "The rollback floors cannot be read"


class TooLarge(Refused):
    """A file or an archive goes on past its signed or allowed length."""

    code = "too_large"
    title = "A file is longer than it may be"


class TargetTampered(Refused):
    """A target's bytes are not the ones that were signed."""

    code = "target_tampered"
    title = "A target is not the one that was signed"


class TargetNotSigned(Refused):
    """No trusted role signs this target path."""

    code = "target_not_signed"
    title = "No trusted role signs a target that the release needs"


class ManifestRefused(Refused):
    """The release manifest or channel does not fit its closed schema."""

    code = "manifest_refused"
    title = "The release manifest is not valid"


class ManifestMismatch(Refused):
    """The manifest and the signed targets, or the manifest and an archive, disagree."""

    code = "manifest_mismatch"
    title = "The release manifest disagrees with what was signed"


class ProvenanceMissing(Refused):
    """The policy asks for provenance and the release has none."""

    code = "provenance_missing"
    title = "The release has no provenance"


class ProvenanceRefused(Refused):
    """The provenance is not by who the policy names, or not about this release."""

    code = "provenance_refused"
    title = "The provenance of the release is not valid"


class ProvenanceLowered(Refused):
    """The policy stopped asking for provenance."""

    code = "provenance_lowered"
    title = "The publisher asks for less than this machine has seen"


class LayerUnknown(Refused):
    """The release has no layer for what was asked."""

    code = "layer_unknown"
    title = "The release has no such layer"


class VersionReused(Refused):
    """Another release with the same version is already installed."""

    code = "version_reused"
    title = "Two different releases carry the same version"


class ArchiveRefused(Refused):
    """An archive holds something that no layer or model may hold."""

    code = "archive_refused"
    title = "An archive holds what it must not hold"


class RepositoryUnreachable(Refused):
    """The repository, or a file in it, cannot be read."""

    code = "repository_unreachable"
    title = "The repository cannot be read"


class Busy(Refused):
    """Another updater runs on this machine."""

    code = "busy"
    title = "Another updater is running"


class NoSpace(Refused):
    """The file system has too little space for the release."""

    code = "no_space"
    title = "Too little disk space"


class DiskFailed(Refused):
    """A write or an fsync failed; nothing was switched."""

    code = "disk_failed"
    title = "The disk refused a write"


class KnownBadRelease(Refused):
    """The release was tried here and did not work."""

    code = "known_bad"
    title = "This release did not work on this machine"


class TrialFailed(Refused):
    """The release was tried and failed a check; what runs now is in the words."""

    code = "trial_failed"
    title = "The release did not work on this machine"


class DataTooNew(Refused):
    """The data on this machine were written by a release that this one cannot follow."""

    code = "data_too_new"
    title = "The release is too old for the data of this machine"


class StateUnreadable(Refused):
    """The updater's state file is damaged; the running release is kept."""

    code = "state_unreadable"
    title = "The state of the updater cannot be read"


class NoFormerRelease(Refused):
    """There is no complete release to go back to."""

    code = "no_former_release"
    title = "There is no former release"


class Unfinished(Refused):
    """An update was interrupted and is not recovered yet."""

    code = "unfinished"
    title = "An update is under way"


class GatesClosed(Refused):
    """Something stands between this machine and the update; `explain` shows each gate."""

    code = "gates_closed"
    title = "The update does not begin now"


class NoRepository(Refused):
    """The settings name no repository, and no bundle was imported."""

    code = "no_repository"
    title = "There is no repository to ask"
