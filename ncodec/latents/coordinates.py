"""Latent coordinates (Pasini and Schlueter 2022): where in a piece a generator is, and its style.

All randomness is counted: a number belongs to a seed, a stream and a step, so any place of a piece
can be made again, in any order, and a position is all that a stopped piece has to keep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncodec.arguments import check_number, check_whole
from ncodec.errors import ArgumentError

MAX_SEED = 2**63 - 1
STYLE, ANCHORS, LAYERS = 0, 1, 16
"""Streams of a seed: the style, the anchors, and from the last on the noise of layers."""
_WORDS = 4  # numbers that Philox makes of one value of its counter


def normal(
    seed: int, stream: int, first: int, count: int, width: int = 1, *, bound: float = math.inf
) -> Tensor:
    """Return the normal numbers `[width, count]` of steps `first` on, float32.

    They are those of Philox 4x64 with the key (seed, stream), by the inverse of the normal
    distribution between -bound and bound: one number of the counter each, that of
    `step * width + channel`. A larger bound moves each of them a little, and draws none anew.

    Args:
        seed: 0 to 2^63 - 1.
        stream: What the numbers are for, from 0.
        first: The first step, from 0.
        count: Steps.
        width: Numbers a step.
        bound: Where the distribution ends, in its deviations (Musika's truncation: at 2, the
            deviation is 0.88).

    Raises:
        ArgumentError: A value out of range.
    """
    seed, stream = check_whole("seed", seed, 0, MAX_SEED), check_whole("stream", stream, 0)
    if not bound > 0:
        raise ArgumentError(f"variation {bound}: must be above 0")
    begin = check_whole("first", first, 0) * width
    total = check_whole("count", count, 0) * width
    block, skip = divmod(begin, _WORDS)
    key = np.array([seed, stream], np.uint64)
    words = np.random.Philox(key=key, counter=block).random_raw(skip + total)[skip:]
    uniform = ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    low = 0.5 * math.erfc(bound / math.sqrt(2))
    numbers = torch.special.ndtri(torch.from_numpy(low + uniform * (1 - 2 * low)))
    return numbers.reshape(count, width).T.float()


@dataclass(frozen=True)
class Coordinates:
    """The coordinates of a piece without end.

    A coordinate is `width` numbers that lead from anchor to anchor in straight lines, and `style`
    numbers that stay. An anchor lies in the middle between two steps (marcoppasini/musika,
    `get_noise_interp`).

    Attributes:
        seed: Of the piece.
        width: Numbers that move.
        style: Numbers that stay.
        spacing: Steps from anchor to anchor.
        offset: Steps from the first anchor to the first step of the piece.
        variation: Where the normal distribution of anchors and style ends; infinity: nowhere.
        loop: Steps after which the piece begins again, or None. Anchors then lie as near to
            `spacing` apart as goes into it, but at least two.

    Raises:
        ArgumentError: A value out of range.
    """

    seed: int
    width: int = 64
    style: int = 64
    spacing: int = 384
    offset: int = 64
    variation: float = 2.0
    loop: int | None = None

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0, MAX_SEED)
        for name in ("width", "spacing"):
            check_whole(name, getattr(self, name), 1)
        for name in ("style", "offset"):
            check_whole(name, getattr(self, name), 0)
        if self.variation != math.inf and check_number("variation", self.variation) <= 0:
            raise ArgumentError(f"variation {self.variation}: must be above 0")
        if self.loop is not None:
            check_whole("loop", self.loop, 2)

    def at(self, first: int, count: int) -> Tensor:
        """Return the coordinates `[width + style, count]` of steps `first` on, float32.

        Steps before the first anchor are as it is, or in a loop those of the round before.
        """
        steps = np.arange(first, first + count)
        if self.loop is None:
            places = np.maximum(steps + self.offset + 0.5, 0) / self.spacing
            return self._between(places, None)
        anchors = max(2, round(self.loop / self.spacing))
        places = (np.mod(steps + self.offset, self.loop) + 0.5) * anchors / self.loop
        return self._between(places, anchors)

    def _between(self, places: NDArray[np.float64], cycle: int | None) -> Tensor:
        """Return the coordinates at places counted in anchors, of which `cycle` are different."""
        if not len(places):
            return torch.zeros(self.width + self.style, 0)
        before = np.floor(places).astype(np.int64)
        low, high = int(before.min()), int(before.max()) + 2
        numbers = np.arange(low, high) if cycle is None else np.arange(cycle)
        known = self._normal(ANCHORS, int(numbers[0]), len(numbers), self.width).double()
        index = torch.from_numpy(before - low if cycle is None else before % cycle)
        following = index + 1 if cycle is None else (index + 1) % cycle
        part = torch.from_numpy(places - before)
        moving = known[:, index] * (1 - part) + known[:, following] * part
        style = self._normal(STYLE, 0, 1, self.style).expand(-1, len(places))
        return torch.cat([moving.float(), style])

    def _normal(self, stream: int, first: int, count: int, width: int) -> Tensor:
        return normal(self.seed, stream, first, count, width, bound=self.variation)
