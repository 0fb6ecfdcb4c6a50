"""The two levels of Musika's autoencoder: spectra to vectors at 10.8 Hz, and back.

The decoders are convolutions that are fed piece by piece. The official ones decode windows of four
vectors, and of 64 frames, apart, each padded by zeros: `forward` of a window is that.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from ncodec.latents.musika.layers import Blocks, Swish
from ncodec.models.musika_config import MusikaConfig
from ncodec.nn import Conv1d, Tanh
from ncodec.nn.whole import whole
from ncodec.streaming import Sequential, State, Streamable, join_time

FRAMES = 16
"""Frames of the first level that become a vector of the second."""
_SECOND, _FIRST = 0, 100
"""From which number on the noise of the two decoders is numbered."""


_Through = Callable[[str, Tensor], Tensor]
_Added = Callable[[str], Tensor]
_Waiting = tuple[Tensor | None, Tensor | None]


def first_encoder(config: MusikaConfig) -> Sequential:
    """Return the net from spectra `[B, bins, F]` to latents `[B, latent, F]`, frame by frame."""
    width = 4 * config.base
    layers: list[Streamable] = [Conv1d(config.bins, width, 1), Swish()]
    for _ in range(4):
        layers += [Conv1d(width, width, 1), Swish()]
    return Sequential(*layers, Conv1d(width, config.latent, 1), Tanh())


class SecondEncoder(Streamable):
    """Latents `[B, latent, F]` to vectors `[B, dim, F / 16]`; each is of 16 frames alone.

    Args:
        config: Of the model.
    """

    def __init__(self, config: MusikaConfig) -> None:
        super().__init__()
        base = config.base
        shapes = (
            # inputs, outputs, taps, stride, padding
            (config.latent, base, 3, 1, 1),
            (base, base + base // 2, 3, 2, 0),
            (base + base // 2, base + base // 2, 3, 1, 1),
            (base + base // 2, 2 * base, 3, 2, 0),
            (2 * base, 2 * base, 3, 1, 1),
            (2 * base, 3 * base, 3, 1, 0),
            (3 * base, 3 * base, 1, 1, 0),
        )
        layers: list[Streamable] = []
        for inputs, outputs, kernel, stride, pad in shapes:
            conv = Conv1d(inputs, outputs, kernel, stride=stride, padding=(pad, pad))
            layers += [conv, Swish()]
        self.net = Sequential(*layers, Conv1d(3 * base, config.dim, 1), Tanh())

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return an empty window."""
        weight = next(self.parameters())
        width = next(iter(self.net)).in_channels
        return torch.zeros(batch, width, 0, device=device or weight.device, dtype=dtype)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the vectors of the windows that are full."""
        x = join_time(state, x)
        count = x.shape[2] // FRAMES
        rest = x[..., count * FRAMES :].clone()
        windows = x[..., : count * FRAMES].unflatten(2, (count, FRAMES)).transpose(1, 2)
        vectors = whole(self.net, windows.flatten(0, 1))
        return vectors.unflatten(0, (x.shape[0], count))[..., 0].transpose(1, 2), rest

    def flush(self, state: State) -> Tensor:
        """Return nothing: a window that is not full has no vector."""
        return self.step(state, state[..., :0])[0][..., :0]


def second_decoder(config: MusikaConfig) -> Sequential:
    """Return the net from vectors `[B, dim, n]` to latents `[B, latent, 16 n]`."""
    base, make = config.base, Blocks(_SECOND)
    rates = [Fraction(1 << i) for i in range(5)]
    wide, middle = 2 * base + base // 2, base + base // 2
    return Sequential(
        make.conv(config.dim, 3 * base, rates[0]),
        make.up(3 * base, wide, rates[1]),
        make.conv(wide, wide, rates[1]),
        make.up(wide, 2 * base, rates[2]),
        make.conv(2 * base, 2 * base, rates[2]),
        make.up(2 * base, middle, rates[3]),
        make.up(middle, base, rates[4]),
        Conv1d(base, config.latent, 1),
    )


class FirstDecoder(Streamable):
    """Latents `[B, latent, F]` to spectra `[B, 2 * bins, F]`: magnitudes, then phases, -1 to 1.

    Magnitudes are decibels and phases half turns, as `ncodec.latents.musika.spectrum` has them.
    Levels of a half, a quarter and an eighth of the rate lead back up twice, for magnitudes and
    for phases; what is added meets when both sides have it.

    Args:
        config: Of the model.
    """

    _PARTS: ClassVar[tuple[str, ...]] = ("g0", "g1", "g2", "g3", "u2", "u1", "v1", "u0", "v0")
    _SUMS: ClassVar[tuple[str, ...]] = ("u2+g2", "u1+g1", "v1+u1", "u0+g0", "v0+u0")

    def __init__(self, config: MusikaConfig) -> None:
        super().__init__()
        base, make = config.base, Blocks(_FIRST)
        full, half, quarter, eighth = (Fraction(FRAMES, 1 << i) for i in range(4))
        self.g0 = make.conv(config.latent, 3 * base, full)
        self.g1 = make.conv(3 * base, 3 * base, half, stride=2)
        self.g2 = make.conv(3 * base, 2 * base, quarter, stride=2)
        self.g3 = make.conv(2 * base, base, eighth, stride=2)
        self.u2 = make.up(base, 2 * base, quarter)
        self.u1 = make.up(2 * base, 3 * base, half)
        self.v1 = make.up(2 * base, 3 * base, half)
        self.u0 = make.up(3 * base, 3 * base, full)
        self.v0 = make.up(3 * base, 3 * base, full)
        self.magnitude = Conv1d(3 * base, config.bins, 1)
        self.phase = Conv1d(3 * base, config.bins, 1)

    def initial_state(
        self,
        batch: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the parts' states, and what waits for either side of each sum."""
        parts = (self._part(name).initial_state(batch, device, dtype) for name in self._PARTS)
        return tuple(parts), ((None, None),) * len(self._SUMS)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the spectra that both ways have ready."""
        states = dict[str, State](zip(self._PARTS, state[0], strict=True))
        waiting = dict[str, _Waiting](zip(self._SUMS, state[1], strict=True))
        given = dict[str, Tensor]()

        def through(name: str, x: Tensor) -> Tensor:
            given[name], states[name] = self._part(name).step(x, states[name])
            return given[name]

        def added(name: str) -> Tensor:
            one, other = name.split("+")
            y, waiting[name] = _meet(given[one], given[other], waiting[name])
            return y

        y = self._passed(x, through, added)
        order = tuple(states[name] for name in self._PARTS)
        return y, (order, tuple(waiting[name] for name in self._SUMS))

    def flush(self, state: State) -> Tensor:
        """Return the last spectra."""
        first = next(iter(self.g0))
        batch = state[0][0][0].samples.shape[0]
        return self.end(first.weight.new_zeros(batch, first.in_channels, 0), state)

    def end(self, x: Tensor, state: State) -> Tensor:
        """Return all spectra that are left, each part ended with all of its input."""
        states = dict[str, State](zip(self._PARTS, state[0], strict=True))
        waiting = dict[str, _Waiting](zip(self._SUMS, state[1], strict=True))
        given = dict[str, Tensor]()

        def through(name: str, x: Tensor) -> Tensor:
            given[name] = self._part(name).end(x, states[name])
            return given[name]

        def added(name: str) -> Tensor:
            one, other = name.split("+")
            return _meet(given[one], given[other], waiting[name])[0]

        return self._passed(x, through, added)

    def forward(self, x: Tensor) -> Tensor:
        """Return the spectra of a whole signal, F a multiple of 8."""
        given = dict[str, Tensor]()

        def through(name: str, x: Tensor) -> Tensor:
            given[name] = whole(self._part(name), x)
            return given[name]

        def added(name: str) -> Tensor:
            one, other = name.split("+")
            return given[one] + given[other]

        return self._passed(x, through, added)

    def _passed(self, x: Tensor, through: _Through, added: _Added) -> Tensor:
        """Pass the net: `through` a part, and `added` what two of them gave."""
        deep = through("g3", through("g2", through("g1", through("g0", x))))
        level = through("u2", deep)
        through("u1", added("u2+g2"))
        through("u0", added("u1+g1"))
        through("v1", level)
        through("v0", added("v1+u1"))
        magnitude, phase = self.magnitude(added("u0+g0")), self.phase(added("v0+u0"))
        return torch.cat([magnitude, phase], dim=1).clamp(-1, 1)

    def _part(self, name: str) -> Sequential:
        return getattr(self, name)


def _meet(a: Tensor, b: Tensor, waiting: _Waiting) -> tuple[Tensor, _Waiting]:
    """Add what both sides have ready; return the sum, and what waits for the other."""
    a = a if waiting[0] is None else join_time(waiting[0], a)
    b = b if waiting[1] is None else join_time(waiting[1], b)
    ready = min(a.shape[2], b.shape[2])
    return a[..., :ready] + b[..., :ready], (_rest(a, ready), _rest(b, ready))


def _rest(x: Tensor, taken: int) -> Tensor | None:
    return x[..., taken:].clone() if x.shape[2] > taken else None
