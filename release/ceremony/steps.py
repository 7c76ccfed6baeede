"""Steps 1 to 3, 5 and 6 of the ceremony: they write metadata and sign nothing but step 5.

A version that carries a signature is never written over: a change makes the next version.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from securesystemslib.signer import Key, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from b3iq.updater import fsops
from b3iq.updater.fetch import target_file
from b3iq.updater.manifest import Channel
from release.ceremony.roles import PRODUCTION
from release.ceremony.staging import TOP, CeremonyRefused, Staging
from release.keys import RoleKeys

Keys = Mapping[str, Sequence[Key]]
Roles = Mapping[str, RoleKeys]


def init(staging: Staging, keys: Keys, now: datetime, roles: Roles = PRODUCTION) -> None:
    """1: the first root and an empty targets role, both unsigned.

    Raises:
        CeremonyRefused: a root is here already, or the keys are not as many as the roles say.
    """
    if staging.version("root"):
        raise CeremonyRefused("There is a root already.", remedy="Use rotate-key to change it.")
    root = Root(expires=_expiry(roles["root"], now), consistent_snapshot=True)
    for name in TOP:
        for key in _enough(roles[name], keys):
            root.add_key(key, name)
        root.roles[name].threshold = roles[name].threshold
    _no_key_twice([keyid for role in root.roles.values() for keyid in role.keyids])
    staging.write("root", Metadata[Any](root))
    staging.write("targets", Metadata[Any](Targets(expires=_expiry(roles["targets"], now))))


def delegate(staging: Staging, keys: Keys, now: datetime, roles: Roles = PRODUCTION) -> None:
    """2: terminating delegations, each with its own keys and an empty first version.

    Raises:
        CeremonyRefused: a role is delegated already, or a key has another role.
    """
    targets = _next(staging, "targets", roles["targets"], now)
    former = targets.signed.delegations
    delegated: dict[str, DelegatedRole] = dict((former and former.roles) or {})
    known: dict[str, Key] = dict(former.keys) if former else {}
    for name in keys:
        if name in delegated:
            raise CeremonyRefused(f"{name} is delegated already.", remedy="Use rotate-key.")
        own = _enough(roles[name], keys)
        delegated[name] = DelegatedRole(
            name, [key.keyid for key in own], roles[name].threshold, True, list(roles[name].paths)
        )
        known |= {key.keyid: key for key in own}
    root = staging.read("root").signed
    owners = [*root.roles.values(), *delegated.values()]
    _no_key_twice([keyid for role in owners for keyid in role.keyids])
    targets.signed.delegations = Delegations(known, delegated)
    staging.write("targets", targets)
    for name in keys:
        staging.write(name, Metadata[Any](Targets(expires=_expiry(roles[name], now))))


def add_release(
    staging: Staging, targets: Mapping[str, Path], now: datetime, roles: Roles = PRODUCTION
) -> tuple[str, ...]:
    """3: give target files to the role that their first path component names.

    `trust/…` belongs to the targets role itself.

    Args:
        targets: local file by TUF target path.

    Returns:
        The roles that now need signatures.

    Raises:
        CeremonyRefused: no role signs a path, a signed target would change its content, or
            a channel would not move to a strictly higher sequence.
    """
    known = staging.delegated()
    changed: dict[str, dict[str, TargetFile]] = {}
    for path, file in targets.items():
        role = path.partition("/")[0]
        role = "targets" if role == "trust" else role
        if role not in (*known, "targets") or (role == "targets") != path.startswith("trust/"):
            raise CeremonyRefused(f"No role signs {path}.", remedy="Delegate its first part.")
        info = TargetFile.from_file(path, str(file), ["sha256"])
        before = staging.read(role).signed.targets.get(path)
        if before == info:
            continue
        _may_replace(staging, path, before, file)
        changed.setdefault(role, {})[path] = info
    for role, infos in changed.items():
        metadata = _next(staging, role, roles[role], now)
        for path, info in infos.items():
            _place(staging, targets[path], info)
            metadata.signed.targets[path] = info
        staging.write(role, metadata)
    return tuple(changed)


def resign(
    staging: Staging, signers: Sequence[Signer], now: datetime, roles: Roles = PRODUCTION
) -> None:
    """5: a new snapshot of what has its signatures, and a new timestamp.

    Raises:
        CeremonyRefused: a role lacks signatures; the snapshot would hold it for good.
    """
    names = ("root", "targets", *staging.delegated())
    complete(staging, names)
    meta = {f"{name}.json": _describe(staging, name) for name in names[1:]}
    snapshot = Snapshot(
        staging.version("snapshot") + 1, expires=_expiry(roles["snapshot"], now), meta=meta
    )
    _signed(staging, "snapshot", snapshot, signers)
    timestamp = Timestamp(
        staging.version("timestamp") + 1,
        expires=_expiry(roles["timestamp"], now),
        snapshot_meta=_describe(staging, "snapshot"),
    )
    _signed(staging, "timestamp", timestamp, signers)


def rotate_key(
    staging: Staging, role: str, old: str, new: Key, now: datetime, roles: Roles = PRODUCTION
) -> str:
    """6: replace a key. Top roles by a new root, delegated ones by new targets.

    Returns:
        The role that must sign the change; a new root by its old keys and its new ones.

    Raises:
        CeremonyRefused: `old` is no key of the role, or `new` has a role already.
    """
    delegator = "root" if role in TOP else "targets"
    if old not in staging.delegator(role).get_delegated_role(role).keyids:
        raise CeremonyRefused(f"{old} is no key of {role}.", remedy="See status for the keys.")
    used = [keyid for name in (*TOP, *staging.delegated()) for keyid in staging.keys(name)]
    _no_key_twice([*dict.fromkeys(used), new.keyid])
    metadata = _next(staging, delegator, roles[delegator], now)
    metadata.signed.revoke_key(old, role)
    metadata.signed.add_key(new, role)
    staging.write(delegator, metadata)
    if delegator == "targets" or role == "targets":
        # What the revoked key signed must not count, so that the role is signed anew.
        staging.write(role, _next(staging, role, roles[role], now, always=True))
    return delegator


def complete(staging: Staging, names: Sequence[str]) -> None:
    """Check that each role has its threshold of signatures.

    Raises:
        CeremonyRefused: naming the first that has not, and who may sign it.
    """
    for name in names:
        lacking = staging.lacking(name)
        if lacking.count:
            raise CeremonyRefused(
                f"{name} lacks {lacking.count} of its signatures.",
                remedy=f"Let one of them sign: {', '.join(lacking.owners)}.",
            )


def _next(
    staging: Staging, role: str, policy: RoleKeys, now: datetime, *, always: bool = False
) -> Metadata[Any]:
    """The version to edit: the standing one if nobody has signed it, else the next."""
    metadata = staging.read(role)
    if metadata.signatures or always:
        metadata.signed.version += 1
    metadata.signatures.clear()
    metadata.signed.expires = _expiry(policy, now)
    return metadata


def _may_replace(staging: Staging, path: str, before: TargetFile | None, file: Path) -> None:
    if path.startswith("channels/"):
        try:
            after = Channel.model_validate_json(file.read_bytes())
            former = before and Channel.model_validate_json(
                (staging.targets / target_file(path, before.hashes["sha256"])).read_bytes()
            )
        except (OSError, ValidationError) as error:
            raise CeremonyRefused(f"{path} is no channel pointer.") from error
        if former and after.sequence <= former.sequence:
            raise CeremonyRefused(
                f"{path} stands at sequence {former.sequence}; {after.sequence} is not above it.",
                remedy="Build the release with a higher sequence.",
            )
    elif before is not None and not path.startswith("trust/"):
        raise CeremonyRefused(
            f"{path} is signed with another content.", remedy="A version is released once."
        )


def _place(staging: Staging, file: Path, info: TargetFile) -> None:
    place = staging.targets / target_file(info.path, info.hashes["sha256"])
    fsops.make_directory(place.parent, 0o755)
    partial = place.with_name(f".{place.name}.new")
    shutil.copyfile(file, partial)
    partial.chmod(0o644)
    partial.rename(place)


def _describe(staging: Staging, role: str) -> MetaFile:
    version = staging.version(role)
    sha256, length = fsops.hash_file(staging.path(role, version))
    return MetaFile(version, length, {"sha256": sha256})


def _signed(
    staging: Staging, role: str, signed: Snapshot | Timestamp, signers: Sequence[Signer]
) -> None:
    allowed = staging.keys(role)
    metadata = Metadata[Any](signed)
    for signer in signers:
        if signer.public_key.keyid in allowed:
            metadata.sign(signer, append=True)
    if len(metadata.signatures) < staging.delegator(role).get_delegated_role(role).threshold:
        raise CeremonyRefused(f"No key for {role} was given.", remedy="Name it with --key.")
    staging.write(role, metadata)


def _expiry(role: RoleKeys, now: datetime) -> datetime:
    return now.replace(microsecond=0) + timedelta(days=role.days)


def _enough(role: RoleKeys, keys: Keys) -> Sequence[Key]:
    given = keys.get(role.name, ())
    if len({key.keyid for key in given}) != role.count:
        raise CeremonyRefused(f"{role.name} needs {role.count} different keys.")
    return given


def _no_key_twice(keyids: list[str]) -> None:
    if len(set(keyids)) != len(keyids):
        raise CeremonyRefused(
            "A key would have two places.", remedy="Every role and person has an own key."
        )
