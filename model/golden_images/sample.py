"""One test image."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """A file that must be told a breed for."""

    name: str
    data: bytes
    # What it shows before it is turned upright, [height, width, 3], where the format is lossless: then the
    # drawing itself is the truth, and Pillow is only asked whether it agrees.
    drawn: np.ndarray | None = None
    # Why Pillow may not agree with what was drawn.
    pillow_differs: str | None = None


@dataclass(frozen=True)
class Refused:
    """A file that must be refused, and as what: `unprocessable` (422) or `too_large` (413)."""

    name: str
    data: bytes
    error: str = "unprocessable"
