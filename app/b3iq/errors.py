"""The base of every error that a user, a client or an operator may see.

An error says what happened, what is safe, and what to do next. It never carries
a secret, a prompt, a file-system path of the node or a stack trace to a client:
`detail` and `remedy` are written for the reader, not formatted from exceptions.
"""

from __future__ import annotations


class B3iqError(Exception):
    """An error with a remedy, an exit code for the CLI and a problem for HTTP.

    Subclasses set the class attributes; instances give the details.

    Attributes:
        code: stable, machine-readable identifier (snake_case).
        title: short sentence, the same for every instance of the class.
        status: HTTP status when it reaches a client.
        exit_code: process exit status when it reaches the command line.
        retry_after_s: seconds after which a client may try again; None where that is no use.
    """

    code = "internal_error"
    title = "Something went wrong inside the node"
    status = 500
    exit_code = 1
    retry_after_s: int | None = None

    def __init__(self, detail: str, *, remedy: str = "", param: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.param = param

    @property
    def message(self) -> str:
        """Detail and remedy in one line, as clients and terminals show it."""
        return f"{self.detail} {self.remedy}".strip()


class ConfigError(B3iqError):
    """A configuration file is missing, unreadable or not what its schema says."""

    code = "invalid_configuration"
    title = "The configuration is not valid"
    exit_code = 2


class UsageError(B3iqError):
    """A command was called in a way that cannot work."""

    code = "usage"
    title = "The command was not called as it must be"
    status = 400
    exit_code = 2
