"""What can go wrong with the audit log."""

from __future__ import annotations

from b3iq.errors import B3iqError


class AuditRefused(B3iqError):
    """The log, or a checkpoint of it, does not hold: somebody changed it."""

    code = "audit_log_broken"
    title = "The audit log does not verify"
    status = 409

    def __init__(self, detail: str) -> None:
        super().__init__(
            detail,
            remedy="Keep it as it is (`b3iq audit export`) and compare it with the journal's "
            "`audit_checkpoint` lines and with older exports.",
        )


class NothingToAccept(B3iqError):
    """The log holds; there is no fault that an administrator could accept."""

    code = "nothing_to_accept"
    title = "The audit log holds"
    status = 409

    def __init__(self) -> None:
        super().__init__("The audit log matches its checkpoint; there is nothing to accept.")
