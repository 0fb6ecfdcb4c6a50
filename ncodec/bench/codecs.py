"""The one shape that all codecs in a comparison have, and finding them by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ncodec.errors import ArgumentError, NcodecError

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


@dataclass(frozen=True)
class Found:
    """The codecs that can run here, and for each other one asked for, why it cannot."""

    codecs: tuple[Codec, ...]
    left_out: tuple[str, ...]


def find(names: Sequence[str] | None = None, model: str | None = None) -> Found:
    """Return the codecs of these names; without names, every tool and every pulled model.

    Args:
        names: of tools and models. Those missing on this machine are told in `left_out`.
        model: the model under test: it comes first, and must be there.

    Raises:
        ArgumentError: a name that is no tool and no model.
        CheckpointError: the model under test is missing.
    """
    from ncodec.bench.neural import ModelCodec, pulled_models
    from ncodec.bench.tools import TOOLS, missing_programs
    from ncodec.checkpoints import known, stored_names

    models = list(dict.fromkeys([*(entry.name for entry in known()), *stored_names()]))
    asked = list(names) if names is not None else [*TOOLS, *pulled_models()]
    codecs: list[Codec] = [] if model is None else [ModelCodec(model)]
    left_out = list[str]()
    for name in dict.fromkeys(name for name in asked if name != model):
        if name in TOOLS:
            missing = missing_programs(TOOLS[name])
            if missing:
                left_out.append(f"{name}: {' and '.join(missing)} not installed")
            else:
                codecs.append(TOOLS[name])
            continue
        try:
            codecs.append(ModelCodec(name))
        except NcodecError as error:
            if name not in models and not Path(name).exists():
                choices = ", ".join([*TOOLS, *models])
                raise ArgumentError(f"unknown codec {name!r}: must be one of {choices}") from error
            left_out.append(f"{name}: {error}")
    return Found(tuple(codecs), tuple(left_out))


def nearest(ladder: Sequence[float], bandwidth: float, factor: float = 1.5) -> float | None:
    """Return the rate of the ladder nearest in ratio to the asked one, None if beyond `factor`."""
    best = min(ladder, key=lambda rate: abs(np.log(rate / bandwidth)))
    return best if 1 / factor <= best / bandwidth <= factor else None
