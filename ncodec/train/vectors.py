"""What a latent GAN learns from: recordings as vectors of a second level, made once, and cut."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.utils.data import Dataset

from ncodec.errors import ArgumentError
from ncodec.files import atomic_output


class Stretches(NamedTuple):
    """Recordings as a generator is to make them.

    Attributes:
        vectors: `[N, channels * dim, T]`.
        told: `[N, n, T]`, the values of the conditions.
    """

    vectors: Tensor
    told: Tensor


def kept(folder: Path, about: Mapping[str, object], make: Callable[[], Stretches]) -> Stretches:
    """Return the stretches that `about` describes: those in `folder`, or made and written there."""
    text = json.dumps(about, sort_keys=True, default=str).encode()
    path = folder / f"vectors-{hashlib.sha256(text).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_output(path, force=True) as file:
            file.write(save({k: v.contiguous() for k, v in make()._asdict().items()}))
    return Stretches(**load_file(path))


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """Item i: a window of a stretch, `[channels * dim, steps]`, and what is told of it.

    That is `[2 n, steps]`: the values of the conditions, 0 where they are not told, and which are.

    Args:
        stretches: What is cut.
        steps: Length of a window.
        channels: Whose vectors lie beside each other; two change sides at random.
        drop: Probability that a condition is not told.
        seed: Of all draws.

    Raises:
        ArgumentError: Stretches are shorter than a window.
    """

    def __init__(
        self, stretches: Stretches, steps: int, *, channels: int, drop: float, seed: int
    ) -> None:
        length = stretches.vectors.shape[2]
        if length < steps:
            raise ArgumentError(f"stretches of {length} vectors: a window has {steps}")
        self._stretches, self._steps, self._channels = stretches, steps, channels
        self._drop, self._seed = drop, seed

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return item `index`."""
        rng = np.random.default_rng([self._seed, index])
        vectors, told = self._stretches
        row = int(rng.integers(len(vectors)))
        first = int(rng.integers(vectors.shape[2] - self._steps + 1))
        part = slice(first, first + self._steps)
        x = vectors[row, :, part]
        if self._channels == 2 and rng.random() < 0.5:
            x = torch.cat(x.chunk(2)[::-1])
        told_here = torch.from_numpy(rng.random((told.shape[1], 1)) >= self._drop).float()
        masks = told_here.expand(-1, self._steps)
        return x.contiguous(), torch.cat([told[row, :, part] * masks, masks])


def stretches_of(
    audio: Iterator[Tensor], count: int, make: Callable[[Tensor], Stretches]
) -> Stretches:
    """Return `count` stretches of batches of audio."""
    parts: list[Stretches] = []
    while sum(len(part.vectors) for part in parts) < count:
        parts.append(make(next(audio)))
    return Stretches(*(torch.cat(each)[:count] for each in zip(*parts, strict=True)))
