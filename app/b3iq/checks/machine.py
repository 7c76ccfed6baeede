"""The machine that checks look at: everything that is not simply reading a file.

Nothing here changes anything, opens the database or leaves the machine.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from b3iq.errors import B3iqError

_COMMAND_S = 20.0
_ANSWER_S = 5.0
_ANSWER_LIMIT_BYTES = 1024 * 1024


class CannotLook(B3iqError):
    """What a check wanted to read cannot be read."""

    code = "cannot_look"
    title = "A check could not look"
    exit_code = 2


@dataclass(frozen=True)
class Space:
    """Room on the file system of a directory; inodes are None where it counts none."""

    free_bytes: int
    free_inodes: int | None


class Machine:
    """The one that this process runs on."""

    def run(self, *command: str) -> str:
        """Standard output of a command that only shows something.

        Raises:
            CannotLook: it is not installed, takes too long or fails without a word.
        """
        # The words of an answer are compared, so they must not be translated.
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                timeout=_COMMAND_S,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotLook(
                f"{command[0]} could not be run ({type(error).__name__}).",
                remedy="Run doctor as root on a host that boots with systemd.",
            ) from error
        if done.returncode and not done.stdout:
            words = done.stderr.strip().splitlines()
            raise CannotLook(
                f"{command[0]} {command[1]} failed: {words[-1] if words else 'no reason given'}",
                remedy="Run doctor as root on a host that boots with systemd.",
            )
        return done.stdout

    def get(self, path: str, *, port: int = 0, socket: Path | None = None) -> dict[str, Any] | None:
        """The JSON answer of a local server, None where no good one comes in time.

        The engine parses files of strangers, and doctor is root: whatever answers can neither
        keep it waiting nor fill its memory.
        """
        answers: list[dict[str, Any] | None] = []
        asking = threading.Thread(
            target=lambda: answers.append(_ask(path, port, socket)), daemon=True
        )
        asking.start()
        asking.join(_ANSWER_S)
        return answers[0] if answers else None

    def now(self) -> datetime:
        """The clock."""
        return datetime.now(UTC)

    def space(self, path: Path) -> Space:
        """Room at a path."""
        found = os.statvfs(path)
        inodes = found.f_favail if found.f_files else None
        return Space(found.f_bavail * found.f_frsize, inodes)

    def owner(self, path: Path) -> str:
        """`user:group` of a file, not following a link; numbers where they have no name."""
        status = path.lstat()
        try:
            user = pwd.getpwuid(status.st_uid).pw_name
        except KeyError:
            user = str(status.st_uid)
        try:
            group = grp.getgrgid(status.st_gid).gr_name
        except KeyError:
            group = str(status.st_gid)
        return f"{user}:{group}"


def _ask(path: str, port: int, socket: Path | None) -> dict[str, Any] | None:
    transport = httpx.HTTPTransport(uds=str(socket) if socket else None)
    base_url = "http://local" if socket else f"http://127.0.0.1:{port}"
    body = b""
    try:
        # trust_env: no proxy from the environment is asked for what is on this machine.
        with (
            httpx.Client(
                transport=transport, base_url=base_url, timeout=_ANSWER_S, trust_env=False
            ) as client,
            client.stream("GET", path, headers={"accept-encoding": "identity"}) as answer,
        ):
            for part in answer.iter_raw():
                body += part
                if len(body) > _ANSWER_LIMIT_BYTES:
                    return None
        return dict(json.loads(body)) if answer.is_success else None
    except (httpx.HTTPError, ValueError, TypeError, RecursionError):
        return None
