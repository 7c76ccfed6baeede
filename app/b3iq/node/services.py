"""Everything a view may ask, made once when the node starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from b3iq.audit.checkpoints import CheckpointFile
from b3iq.audit.log import AuditLog
from b3iq.config import NodeConfig
from b3iq.credentials import secret_files
from b3iq.credentials.account import Account
from b3iq.credentials.keys import LocalKeys
from b3iq.credentials.logins import Logins
from b3iq.credentials.owners import Owners
from b3iq.credentials.passkey_logins import PasskeyLogins
from b3iq.credentials.passkeys import Passkeys
from b3iq.credentials.recovery import Recovery
from b3iq.credentials.second_factor import SecondFactor
from b3iq.credentials.sessions import Sessions
from b3iq.credentials.setup_tokens import SetupTokens
from b3iq.credentials.throttle import LoginThrottle
from b3iq.evidence.signing import Signer
from b3iq.node import lan
from b3iq.node.actors import acting
from b3iq.node.engine_client import EngineClient
from b3iq.node.metrics import Metrics
from b3iq.node.streams import StreamSlots
from b3iq.node.update_metrics import UpdateMetrics
from b3iq.paths import Paths
from b3iq.receipts.log import ReceiptLog
from b3iq.store.database import Database
from b3iq.store.migrate import upgrade
from b3iq.store.reserve import Reserve


@dataclass(frozen=True)
class Services:
    """The node behind its routes."""

    config: NodeConfig
    paths: Paths
    database: Database
    audit: AuditLog
    keys: LocalKeys
    setup: SetupTokens
    owners: Owners
    sessions: Sessions
    second_factor: SecondFactor
    logins: Logins
    passkeys: Passkeys
    passkey_logins: PasskeyLogins
    account: Account
    recovery: Recovery
    throttle: LoginThrottle
    receipts: ReceiptLog
    engine: EngineClient
    streams: StreamSlots
    metrics: Metrics
    lan: lan.Lan | None


def build(config: NodeConfig, paths: Paths) -> Services:
    """Read the secrets, open and migrate the database, recover what a crash left open.

    Raises:
        CredentialFileError: a secret of the node is missing or open to others.
        PairRefused: the certificate of the LAN listener cannot be used.
    """
    pepper = secret_files.read(secret_files.TOKEN_PEPPER, paths)
    signer = Signer(secret_files.read(secret_files.NODE_IDENTITY, paths))
    database = _database(config, paths)
    streams = StreamSlots(config.stream_limit)
    metrics = _metrics(streams, paths)
    owners = Owners(database)
    receipts = ReceiptLog(database, signer, on_seal=metrics.count_receipt)
    receipts.recover()
    audit = _audit_log(paths, database, signer, receipts.node_id)
    sessions = Sessions(database, pepper, audit)
    second_factor = SecondFactor(database, pepper, audit)
    return Services(
        config=config,
        paths=paths,
        database=database,
        audit=audit,
        keys=LocalKeys(database, pepper, audit),
        setup=SetupTokens(database, pepper, owners, audit),
        owners=owners,
        sessions=sessions,
        second_factor=second_factor,
        logins=Logins(database, pepper, owners, sessions, second_factor),
        passkeys=Passkeys(database, pepper, audit),
        passkey_logins=PasskeyLogins(database, pepper, sessions),
        account=Account(database, owners, audit),
        recovery=Recovery(database, pepper, owners, audit),
        throttle=LoginThrottle(database),
        receipts=receipts,
        engine=EngineClient(paths.engine_socket, config.engine_connect_s),
        streams=streams,
        metrics=metrics,
        lan=lan.load(config, paths),
    )


def _metrics(streams: StreamSlots, paths: Paths) -> Metrics:
    metrics = Metrics(streams)
    metrics.registry.register(UpdateMetrics(paths.update_status))
    return metrics


def _database(config: NodeConfig, paths: Paths) -> Database:
    database = Database(paths.database, Reserve(paths.disk_reserve, config.disk_reserve_bytes))
    upgrade(database)
    return database


def _audit_log(paths: Paths, database: Database, signer: Signer, node_id: str) -> AuditLog:
    log = AuditLog(database, CheckpointFile(paths.audit_checkpoint, signer, node_id), acting)
    log.start()
    return log


def services() -> Services:
    """The services of the application that handles this request."""
    return cast("Services", current_app.extensions["b3iq"])
