"""The one shape that all codecs in a comparison have, and finding them by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Coded:
    """What came of one signal.

    Attributes:
        file: the compressed file.
        samples: the decoded signal `[C, T]`, not yet aligned.
        sample_rate: of the decoded signal, in Hz.
    """

    file: Path
    samples: Samples
    sample_rate: int


class Codec(Protocol):
    """A codec in a comparison."""

    @property
    def name(self) -> str:
        """Name that `--against` takes."""
        ...

    @property
    def title(self) -> str:
        """Name and version, for tables and plots."""
        ...

    def setting(self, bandwidth: float) -> float | None:
        """Return the codec's own rate in kbps for an asked one; None if it has none near."""
        ...

    def run(self, samples: Samples, sample_rate: int, setting: float, folder: Path) -> Coded:
        """Compress `[C, T]` into a file in `folder` and decompress it again."""
        ...


def nearest(ladder: Sequence[float], bandwidth: float, factor: float = 1.5) -> float | None:
    """Return the rate of the ladder nearest in ratio to the asked one, None if beyond `factor`."""
    best = min(ladder, key=lambda rate: abs(np.log(rate / bandwidth)))
    return best if 1 / factor <= best / bandwidth <= factor else None
