"""The one table of secret files: where each lies, whose it is, who reads it, how it is replaced.

`b3iq doctor` compares it whole with the host, and docs/hardening.md prints it.
"""

from __future__ import annotations

from dataclasses import dataclass

from b3iq.credentials.secret_files import LAN_TLS, LENGTHS, NODE_IDENTITY, TOKEN_PEPPER


@dataclass(frozen=True)
class SecretFile:
    """One line of the table.

    Attributes:
        path: absolute; a `*` stands for every file there.
        forms: `(user:group, mode)`, of which exactly one must hold.
        reader: who reads it, and how.
        rotation: what replaces it, and what that costs.
        required: a host without it is not whole.
    """

    path: str
    forms: tuple[tuple[str, int], ...]
    reader: str
    rotation: str
    required: bool = True


CREDSTORE = "/etc/credstore.encrypted"
# A directory for each service that was given credentials.
DECRYPTED = "/run/credentials"
# Where systemd would find credentials as well, and nothing of ours may lie (systemd.exec(5)).
OTHER_CREDSTORES = (
    "/etc/credstore", "/run/credstore", "/run/credstore.encrypted", "/usr/lib/credstore",
)  # fmt: skip

_ROTATION = {
    TOKEN_PEPPER: "none yet; a new one voids every key, session and setup link",
    LAN_TLS: "`b3iq lan renew`, or `b3iq lan import` of another; clients compare it anew",
    NODE_IDENTITY: "none yet; with a new one the node has another id and signs by another key",
}

ON_HOST = (
    *(
        SecretFile(
            path=f"{CREDSTORE}/{name}",
            forms=(("root:root", 0o600),),
            reader="systemd, which decrypts it for the node",
            rotation=_ROTATION[name],
            required=name in LENGTHS,
        )
        for name in (*LENGTHS, LAN_TLS)
    ),
    *(
        SecretFile(
            path=f"{DECRYPTED}/b3iq-node.service/{name}",
            # systemd gives the file to the user, or keeps it and adds an access list for the
            # user, whose mask shows as a group's permission.
            forms=(("b3iq-node:root", 0o400), ("root:root", 0o440)),
            reader="the node; in memory, while it runs",
            rotation="with the encrypted one",
            required=False,
        )
        for name in (*LENGTHS, LAN_TLS)
    ),
    SecretFile(
        path="/var/lib/systemd/credential.secret",
        forms=(("root:root", 0o400),),
        reader="systemd; decrypts the credentials where no TPM does alone",
        rotation="none; other credentials of the host may depend on it",
        required=False,
    ),
    SecretFile(
        path="/var/lib/b3iq/node/*",
        forms=(("b3iq-node:b3iq-node", 0o600),),
        reader="the node; passwords and tokens are digests in it",
        rotation="each entry by itself: revoke a key, log out",
        required=False,
    ),
)
