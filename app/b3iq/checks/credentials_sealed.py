"""The stored credentials are encrypted with a key that lies beside them, or with none."""

from __future__ import annotations

import base64
import binascii

from b3iq.checks.check import Check, Finding, failed, ok, warning
from b3iq.checks.host import Host
from b3iq.credentials import secret_table
from b3iq.credentials.secret_files import LENGTHS

# The first 16 bytes of a credential name its key (systemd, src/shared/creds-util.h).
HOST = "5a1c6a86df9d4096b1d5a65e0862f19a"
TPM2 = "0c7cc07b117645919c4b0bea08bc20fe"
HOST_AND_TPM2 = "93a894094874449090caf2fc93cab553"
TPM2_SIGNED = "faf7eb9341e3412ca1a436f95a29362f"
HOST_AND_TPM2_SIGNED = "af4950a849134eb1a73846304ff30c05"
_BY_TPM2 = {TPM2, HOST_AND_TPM2, TPM2_SIGNED, HOST_AND_TPM2_SIGNED}

_REMEDY = (
    "Restore the credentials from a backup. A new one is no repair: keys and receipts of this "
    "node depend on them."
)


def _look(host: Host) -> Finding:
    forms = {name: _sealed_by(host, f"{secret_table.CREDSTORE}/{name}") for name in LENGTHS}
    unknown = sorted(name for name, form in forms.items() if form not in {HOST, *_BY_TPM2})
    if unknown:
        return failed(f"{unknown[0]} is not encrypted with a key of this host.", _REMEDY)
    if HOST in forms.values():
        return warning(
            "Sealed with the host key, which lies on the same disk: a copied backup of /etc is "
            "of no use, a stolen disk is.",
            "Use a host with a TPM 2, and encrypt the disk. The credentials of a host are sealed "
            "when they are made.",
        )
    return ok("Sealed with this machine's TPM 2.")


def _sealed_by(host: Host, path: str) -> str:
    try:
        return base64.b64decode(host.read(path))[:16].hex()
    except (binascii.Error, ValueError):
        return ""


CHECK = Check(
    id="credentials-sealed",
    title="a stolen disk does not give the secrets away",
    examines="by what the encrypted credentials are sealed: a TPM 2, or the host key alone",
    look=_look,
    needs=("secret-files",),
    host_only=True,
)
