"""QR codes drawn on this machine, as the path of an SVG that a template holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import segno

# Light modules around the code, which readers need (ISO/IEC 18004).
_QUIET = 4


@dataclass(frozen=True)
class QrCode:
    """A square of `size` modules; `path` draws the dark ones, each one unit wide."""

    size: int
    path: str = field(repr=False)


def draw(text: str) -> QrCode:
    """The code of a text, readable with an eighth of it covered (level M)."""
    rows = [list(row) for row in segno.make_qr(text, error="m").matrix_iter(border=_QUIET)]
    dark = [(x, y) for y, row in enumerate(rows) for x, module in enumerate(row) if module]
    return QrCode(len(rows), "".join(f"M{x} {y}h1v1h-1z" for x, y in dark))
