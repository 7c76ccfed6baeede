"""Why a model is not loaded."""

from __future__ import annotations

from b3iq.errors import B3iqError


class ModelRefused(B3iqError):
    """A model directory is not exactly what its manifest says, or is not safe to load.

    `detail` names the file and the fault; it never quotes file contents or absolute paths.
    """

    code = "model_refused"
    title = "The model was refused"
    status = 503

    def __init__(self, detail: str, *, remedy: str = "") -> None:
        super().__init__(
            detail, remedy=remedy or "Install the model again from a verified release."
        )
